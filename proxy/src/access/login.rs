//! Whether who has logged in still is in. Every way in asks when something new opens, and
//! watches for as long as the connection lives.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit;
use tidegate_common::model::Role;
use tidegate_common::policy::{self, EndReason, Proved};

use super::{Access, AccessError, By};

/// How long to sleep at most, in case the clock is set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Access {
    /// Whether the user is enabled, what they logged in with still proves them, and they may be in from where they
    /// come.
    ///
    /// # Errors
    /// Why their connection and all on it must end.
    pub fn still_in(&self, proved: &Proved) -> Result<(), EndReason> {
        self.in_until(proved).map(drop)
    }

    /// The same, and when that ends by itself.
    fn in_until(&self, proved: &Proved) -> Result<Option<Timestamp>, EndReason> {
        let seen = self.seen(&proved.user, Some(proved.origin));
        policy::still_in(&self.snapshot(), proved, &seen.coming(), Timestamp::now())
    }

    /// Whether the user is enabled and what they show proves them, wherever they come from.
    ///
    /// # Errors
    /// Why not.
    pub fn proves(&self, proved: &Proved) -> Result<(), EndReason> {
        let seen = self.seen(&proved.user, Some(proved.origin));
        policy::proves(&self.snapshot(), proved, &seen.coming(), Timestamp::now())
    }

    /// Whether who changes resources may, at this moment: what they send may have been long in
    /// coming. Asked with the right to change in hand, so that nobody takes theirs meanwhile.
    ///
    /// # Errors
    /// When they are no administrator any more, or their log-in is gone.
    pub(crate) fn may_change(&self, by: &By) -> Result<(), AccessError> {
        self.is_there(by)?;
        let audit::Actor::User(user) = &by.actor else { return Ok(()) };
        let snapshot = self.snapshot();
        let user = snapshot.user(user).filter(|user| user.enabled && user.has_role(Role::Admin));
        user.map(drop).ok_or_else(|| AccessError::Right("you are no administrator any more".to_owned()))
    }

    /// Whether who logged in is in still, and enabled.
    pub(super) fn is_there(&self, by: &By) -> Result<(), AccessError> {
        let audit::Actor::User(user) = &by.actor else { return Ok(()) };
        self.still_proved(by)?;
        let enabled = self.snapshot().user(user).is_some_and(|user| user.enabled);
        if enabled {
            Ok(())
        } else {
            Err(AccessError::Right("your account in Tidegate is disabled".to_owned()))
        }
    }

    /// Whether what a user logged in with still proves who they are, where they still come from.
    pub(super) fn still_proved(&self, by: &By) -> Result<(), AccessError> {
        let (audit::Actor::User(user), Some(login)) = (&by.actor, &by.login) else { return Ok(()) };
        let right = |why: &dyn std::fmt::Display| AccessError::Right(why.to_string());
        let origin = by.origin.ok_or_else(|| right(&"it is not known from where you come"))?;
        let proved = Proved { user: user.clone(), login: Arc::clone(login), origin };
        self.still_in(&proved).map_err(|why| right(&why))
    }

    /// Waits until it does not, and says why.
    pub async fn until_out(&self, proved: &Proved) -> EndReason {
        let mut changed = self.changed();
        loop {
            changed.mark_unchanged();
            let until = match self.in_until(proved) {
                Ok(until) => until,
                Err(reason) => return reason,
            };
            tokio::select! {
                changed = changed.changed() => if changed.is_err() {
                    return EndReason::Unchecked;
                },
                () = passed(until) => {}
            }
        }
    }
}

/// Waits for a moment of the wall clock; for ever where there is none.
async fn passed(moment: Option<Timestamp>) {
    let Some(moment) = moment else { return std::future::pending().await };
    loop {
        match Duration::try_from(moment.duration_since(Timestamp::now())) {
            Ok(left) if !left.is_zero() => tokio::time::sleep(left.min(LOOK_AGAIN)).await,
            _ => return,
        }
    }
}
