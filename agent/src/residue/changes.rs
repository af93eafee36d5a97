//! What changed on the host while a session lived: two pictures of it, compared.
//!
//! `Snapshot::compare` is a function of values; `gather` takes the pictures;
//! [`Keeper`] is the thread that keeps standing pictures between sessions, so that
//! no grant waits for one.
//!
//! Seen: what runs at a time, at boot, on an event or with a login, who becomes root, who a
//! login is and what it runs, of the host and in homes ([`places`]); the agent's own
//! settings, its drop-ins and the user CA that sshd trusts; files with a setuid or setgid bit or
//! capabilities; the account files; sockets that listen; programs that the kernel runs as root.
//! What was granted is taken out of a picture as its undo would ([`gather::Without`]), so
//! that what somebody did with a granted account or membership shows.
//! Not seen: network file systems, containers' insides, UDP on ephemeral ports, keys that sshd
//! reads from elsewhere, the content of programs and libraries, databases of directory
//! services, firmware; and what a bound cut off or could not be read, which is told.
//!
//! A change counts for a session when its inode changed since the session began
//! (`ctime`, which no program can set): two sessions at once both show it.

mod accounts;
mod album;
mod files;
mod gather;
mod json;
mod keeper;
mod mounts;
mod notes;
mod places;
mod snapshot;
mod sockets;
mod standing;
mod walk;

#[cfg(test)]
mod tests;

pub use album::missed;
pub use keeper::{Beginning, Keeper};
pub use notes::Notes;
