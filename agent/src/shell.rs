//! Everything around the core that touches the world: the loop, the worker that
//! executes effects in their order, the journal, the way to the proxy.

mod again;
pub mod driver;
mod explain;
pub mod handover;
pub mod journal;
pub mod leases;
pub mod link_state;
pub mod reload;
mod reloads;
mod signals;
mod slow;
pub mod sweep;
pub mod tls;
pub mod uplink;
mod watchdog;
mod worker;

use tokio::sync::mpsc;

use crate::core::{Carried, Event};
use crate::link::Outbox;
use crate::residue::Systemd;

/// How those who look after processes reach the host's systemd.
const SYSTEMD: Systemd = Systemd { stop: crate::elevate::stop_service, show: crate::elevate::show_services };

/// What the loop waits for.
#[derive(Debug)]
pub enum Message {
    /// Something for the core.
    Event(Event),
    /// A link stands; answers to the proxy go here until it falls.
    Linked(Outbox),
    /// The link is gone.
    Unlinked,
    /// The core has nothing left to do after a stop.
    Finished,
    /// Whether the program now installed can take this one's place.
    Prepared(Result<reload::Successor, reload::ReloadError>),
    /// All that was decided is done, and this is left for the next agent.
    HandedOver(Carried),
}

/// How the worker and the link reach the loop.
pub type Inbox = mpsc::Sender<Message>;
