//! What changed on the host while a session lived: two pictures of it, compared.
//!
//! `Snapshot::compare` is a function of values; `gather` takes the pictures;
//! [`Comparer`] is the thread that keeps standing pictures between sessions, so that
//! no grant waits for one.
//!
//! Seen: what runs at a time, at boot, on an event or with a login, who becomes root, who a
//! login is and what it runs, of the host and in homes ([`places`]); the agent's own
//! settings, its drop-ins and the user CA that sshd trusts; files with a setuid or setgid bit or
//! capabilities, device nodes, and what others than root may change that is root's; the account
//! files; sockets that listen; programs that the kernel runs as root. Of all of them also owner,
//! group, mode, access control list and whether they can be changed ([`rights`]), and of homes
//! and the directories that hold them.
//! What was granted is taken out of a picture as its undo would ([`gather::Without`]), so
//! that what somebody did with a granted account or membership shows.
//! Not seen: network file systems, containers' insides, UDP on ephemeral ports, keys that sshd
//! reads from elsewhere, the content of programs and libraries, databases of directory
//! services, firmware; and what a bound cut off or could not be read, which is told.
//!
//! A change counts for a session when its inode changed since the session began
//! (`ctime`, which no program can set): two sessions at once both show it, and each says that
//! it may be the other's ([`lives`]).

mod accounts;
mod comparer;
mod files;
mod gather;
mod json;
mod lives;
mod mounts;
mod notes;
mod places;
mod records;
mod rights;
mod skeleton;
mod snapshot;
mod sockets;
mod standing;
mod walk;

#[cfg(test)]
mod tests;

pub use comparer::{Beginning, Comparer};
pub use notes::Notes;
pub use records::missed;
