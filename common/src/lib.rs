//! Tidegate's domain, pure: names, the model of who may do what, the decision,
//! the messages between proxy and agent, and the formats of recordings and of
//! the audit log.
//!
//! Nothing here reads a clock, a file, a socket or a source of randomness: every
//! such value is handed in, so that each rule is a function of values.

mod as_text;
pub mod audit;
pub mod change;
mod choices;
pub mod digest;
pub mod grant;
pub mod id;
pub mod kind;
pub mod model;
pub mod name;
pub mod note;
pub mod notice;
pub mod panic;
pub mod policy;
pub mod recording;
pub mod residue;
pub mod secret;
#[cfg(test)]
mod testing;
pub mod time;
pub mod unseen;
pub mod wire;
