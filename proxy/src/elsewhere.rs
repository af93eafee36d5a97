//! What other gates on the same store have changed: seen within a second, and at once where
//! the database's hint arrives.

use std::time::Duration;

use tidegate_common::id::SessionId;

use crate::access::{Access, AccessError};
use crate::requests::Requests;
use crate::store::{self, Revisions, Store, StoreError, Watch};

/// How long until the store is looked at without a hint.
const AGAIN: Duration = Duration::from_millis(500);

/// How long a look may take.
const LONGEST: Duration = Duration::from_secs(10);

/// Ends a session.
pub type End = Box<dyn Fn(SessionId, &str) + Send + Sync>;

/// What keeps up with the store.
pub struct Local {
    /// Policy.
    pub access: Access,
    /// The workflow.
    pub requests: Requests,
    /// Ends a live session, and tells its user by whom.
    pub end: End,
}

/// Keeps policy, the workflow and live sessions up with the store, for as long as it is polled; it
/// holds the store until it is dropped. A file nobody else changes.
pub async fn keep_up(store: Store, watch: Watch, local: Local) {
    let mut watch = match watch {
        Watch::Shared(watch) => watch,
        Watch::Alone(_lock) => return std::future::pending().await,
    };
    let mut seen = Revisions::default();
    let mut away = false;
    loop {
        let looked = look(&store, &local, &mut seen, away);
        match store::within(LONGEST, "looked for what other gates changed", looked).await {
            Ok(()) if away => {
                tracing::info!("the store's database is back");
                away = false;
            }
            Ok(()) => {}
            Err(error) if !away => {
                tracing::error!(%error, "what other gates change is not seen");
                away = true;
            }
            Err(_) => {}
        }
        watch.hint(AGAIN).await;
    }
}

/// Looks once; `all` has everybody look again who rests on something.
async fn look(
    store: &Store,
    Local { access, requests, end }: &Local,
    seen: &mut Revisions,
    all: bool,
) -> Result<(), StoreError> {
    store.compare_clocks().await?;
    let now = store.revisions().await?;
    // First, and whatever becomes of the resources: what was taken back ends what rests on it.
    if now.requests != seen.requests || all {
        requests.tick();
        access.look_at_requests().await?;
        seen.requests = now.requests;
    }
    if now.rulings != seen.rulings {
        match access.refresh_rulings().await {
            Ok(()) => seen.rulings = now.rulings,
            // Until it is written anew.
            Err(error) if error.is_behind() => seen.rulings = now.rulings,
            Err(AccessError::Store(error @ StoreError::Away { .. })) => return Err(error),
            // The next look tries again.
            Err(error) => tracing::error!(%error, "what another gate ruled was not taken"),
        }
    }
    if now.remote_accesses != seen.remote_accesses {
        match access.refresh_remote_accesses().await {
            Ok(()) | Err(StoreError::Unread { .. }) => seen.remote_accesses = now.remote_accesses,
            Err(error) => return Err(error),
        }
    }
    if now.sessions != seen.sessions {
        for (session, by) in store.ends_asked().await? {
            end(session, &by);
        }
        seen.sessions = now.sessions;
    }
    if now.resources != seen.resources {
        match access.refresh().await {
            Ok(()) => seen.resources = now.resources,
            // Until it is written anew.
            Err(error) if error.is_behind() => seen.resources = now.resources,
            Err(AccessError::Store(error @ StoreError::Away { .. })) => return Err(error),
            // The next look tries again.
            Err(error) => tracing::error!(%error, "the resources that another gate wrote were not taken"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
