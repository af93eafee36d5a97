//! What changed on the host while a session lived: two pictures of it, compared.
//!
//! `Snapshot::compare` is a function of values; `gather` takes the pictures;
//! [`Keeper`] is the thread that keeps standing pictures between sessions, so that
//! no grant waits for one.
//!
//! Seen: the tables of cron and jobs of at, units of systemd below /etc, /run, /usr and
//! in homes, lingering, `authorized_keys` in homes, files with a setuid or setgid bit,
//! sudoers, the account files, sockets that listen, ld.so.preload, profiles, PAM's and
//! ssh's configuration. Not seen: network file systems, containers' insides, UDP on
//! ephemeral ports, keys that sshd reads from elsewhere, the content of programs, and
//! what a bound cut off, which is told.
//!
//! A change counts for a session when its inode changed since the session began
//! (`ctime`, which no program can set): two sessions at once both show it.

mod album;
mod files;
mod gather;
mod json;
mod keeper;
mod mounts;
mod notes;
mod snapshot;
mod sockets;
mod standing;
mod walk;

#[cfg(test)]
mod tests;

pub use album::missed;
pub use keeper::{Beginning, Keeper};
pub use notes::Notes;
pub use snapshot::Granted;
