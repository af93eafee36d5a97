//! What other gates on the same store have changed: seen within a second, and at once where
//! the database's hint arrives.

use std::time::Duration;

use crate::access::{Access, AccessError};
use crate::requests::Requests;
use crate::store::{self, Revisions, Store, StoreError, Watch};

/// How long until the store is looked at without a hint.
const AGAIN: Duration = Duration::from_millis(500);

/// How long a look may take.
const LONGEST: Duration = Duration::from_secs(10);

/// Keeps policy and the workflow up with the store, for as long as it is polled. Without a
/// `watch` nobody else changes it.
pub async fn keep_up(store: Store, watch: Option<Watch>, access: Access, requests: Requests) {
    let Some(mut watch) = watch else { return std::future::pending().await };
    let mut seen = Revisions::default();
    let mut away = false;
    loop {
        let looked = look(&store, &access, &requests, &mut seen, away);
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
    access: &Access,
    requests: &Requests,
    seen: &mut Revisions,
    all: bool,
) -> Result<(), StoreError> {
    store.compare_clocks().await?;
    let now = store.revisions().await?;
    // First, and whatever becomes of the resources: what was taken back ends what rests on it.
    if now.requests != seen.requests || all {
        requests.tick();
        seen.requests = now.requests;
    }
    if now.rulings != seen.rulings {
        match access.refresh_rulings().await {
            Ok(()) => seen.rulings = now.rulings,
            Err(AccessError::Store(error @ StoreError::Away { .. })) => return Err(error),
            // The next look tries again.
            Err(error) => tracing::error!(%error, "what another gate ruled was not taken"),
        }
    }
    if now.remote_accesses != seen.remote_accesses {
        access.refresh_remote_accesses().await?;
        seen.remote_accesses = now.remote_accesses;
    }
    if now.resources != seen.resources {
        match access.refresh().await {
            Ok(()) => seen.resources = now.resources,
            Err(AccessError::Store(error @ StoreError::Away { .. })) => return Err(error),
            // The next look tries again.
            Err(error) => tracing::error!(%error, "the resources that another gate wrote were not taken"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
