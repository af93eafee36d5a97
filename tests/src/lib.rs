//! The harness: throwaway devices with a real systemd, sshd and sudo, a proxy on
//! port 0, stock OpenSSH as the client. The end-to-end tests, `make demo`,
//! `make bench` and `make torture` are written with it.
//!
//! Whatever it makes (mounts, network namespaces, processes, directories) belongs
//! to a [`guardian`], which removes it when the program that made it ends, however
//! it ends.

pub mod accounts;
pub mod agent;
pub mod client;
pub mod device;
pub mod guardian;
pub mod here;
pub mod host;
pub mod mmdb;
pub mod postgres;
pub mod programs;
pub mod pty;
pub mod run;
pub mod say;
pub mod sinks;
pub mod slot;
pub mod torture;
pub mod wait;
pub mod world;
