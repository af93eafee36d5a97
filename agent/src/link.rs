//! The link of the moment to the proxy, for whoever has something to say.

use std::sync::{Arc, Mutex, PoisonError};

use tidegate_common::wire::FromAgent;
use tokio::sync::mpsc;

/// Answers on their way to the proxy over one link. Bounded: a link whose outbox
/// is full is given up.
pub type Outbox = mpsc::Sender<FromAgent>;

/// The link of the moment, if any.
#[derive(Debug, Clone, Default)]
pub struct Link(Arc<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    outbox: Option<Outbox>,
    /// Whether the hello has gone, which is the first to go.
    greeted: bool,
}

impl Link {
    /// Puts another in its place; tells whether there was one.
    pub fn set(&self, outbox: Option<Outbox>) -> bool {
        let mut link = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *link, Line { outbox, greeted: false }).outbox.is_some()
    }

    /// Sends it, if a link stands and takes it.
    pub fn send(&self, message: FromAgent) {
        let mut link = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        link.greeted |= matches!(message, FromAgent::Hello(_));
        if let Some(outbox) = link.outbox.as_ref()
            && outbox.try_send(message.bounded()).is_err()
        {
            // Full or fallen: what is alive is told again on the next link.
            *link = Line::default();
        }
    }

    /// Sends what can wait for a better time; `false` when this is none.
    pub fn send_at_leisure(&self, message: FromAgent) -> bool {
        let link = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outbox = link.outbox.as_ref().filter(|_| link.greeted);
        outbox.is_some_and(|outbox| outbox.try_send(message).is_ok())
    }
}
