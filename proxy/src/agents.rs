//! The agents: their certificate authority, their links, and the grants that
//! travel over them.
//!
//! An agent dials and stays connected. A grant is ordered and revoked over the
//! link, and lives only as long as a lease says: every third of it, the proxy
//! lists the grants that shall live on, and the agent ends any other. So a proxy
//! that dies, or a link that breaks, ends them all without anyone saying so.

mod budgets;
pub mod ca;
mod link;
mod listener;
mod registry;
mod reports;
mod texts;
mod vouching;

pub use listener::{ListenerContext, keep_seen, listen};
pub use registry::{GrantOver, GrantSeen, GrantState, LiveGrant, NotExtended, Registry, What};
pub use vouching::{Trust, trust};
