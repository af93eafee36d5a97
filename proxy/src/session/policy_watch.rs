//! Authorization is continuous: the decision that admitted a session is taken again
//! whenever anything that it rests on may have changed.

use tidegate_common::audit::EndCause;
use tidegate_common::policy::{EndReason, Permit};

use super::End;
use crate::access::Access;

/// Waits until policy no longer permits what it permitted.
pub async fn until_not_permitted(access: &Access, permit: &Permit) -> End {
    let mut changed = access.changed();
    let mut permit = permit.clone();
    loop {
        changed.mark_unchanged();
        match access.still_permits(&permit).await {
            Ok(now) => permit = now,
            Err(reason) => return ended(&reason),
        }
        tokio::select! {
            changed = changed.changed() => if changed.is_err() {
                return End { cause: EndCause::Shutdown, message: Some("the gate is stopping".to_owned()) };
            },
            () = until(permit.expires()) => {}
        }
    }
}

fn ended(reason: &EndReason) -> End {
    let cause = match reason {
        EndReason::TimeOver => EndCause::Window,
        _ => EndCause::Policy,
    };
    End { cause, message: Some(format!("{reason}; the session ends")) }
}

/// Waits for a moment of the wall clock, looking again each minute in case it is set.
async fn until(moment: Option<jiff::Timestamp>) {
    let Some(moment) = moment else {
        return std::future::pending().await;
    };
    loop {
        let left = moment.duration_since(jiff::Timestamp::now());
        match std::time::Duration::try_from(left) {
            Ok(left) if !left.is_zero() => {
                tokio::time::sleep(left.min(std::time::Duration::from_secs(60))).await;
            }
            _ => return,
        }
    }
}
