//! Whether who has logged in still is in. Every way in asks when something new opens, and
//! watches for as long as the connection lives.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_common::audit;
use tidegate_common::model::Role;
use tidegate_common::policy::{self, EndReason, Proved};

use super::{Access, AccessError, Bound, By, Clocks};

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
        let mut bound = None;
        loop {
            changed.mark_unchanged();
            let until = match self.in_until(proved) {
                Ok(until) => until,
                Err(reason) => return reason,
            };
            bound = until.map(|end| Bound::of(end, bound, Timestamp::now()));
            if bound.is_some_and(|bound| bound.is_over()) {
                return EndReason::TimeOver;
            }
            tokio::select! {
                changed = changed.changed() => if changed.is_err() {
                    return EndReason::Unchecked;
                },
                () = passed(bound, Timestamp::now) => {}
            }
        }
    }
}

/// Waits for an end, or until the wall clock was set; for ever where there is no end.
async fn passed(bound: Option<Bound>, clock: impl Fn() -> Timestamp) {
    let Some(bound) = bound else { return std::future::pending().await };
    let clocks = Clocks::at(clock());
    loop {
        let now = clock();
        match Duration::try_from(bound.end().duration_since(now)) {
            Ok(left) if !left.is_zero() && !bound.is_over() && !clocks.is_set(now) => {
                tokio::time::sleep(left.min(bound.left()).min(LOOK_AGAIN)).await;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use jiff::SignedDuration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_sets_the_clock_back_lets_nobody_stay_in_for_longer() {
        let (start, since) = (Timestamp::now(), tokio::time::Instant::now());
        let hour = SignedDuration::from_hours(1);
        for set in [-hour, SignedDuration::from_hours(24)] {
            let begun = since.elapsed();
            let apart = Cell::new(SignedDuration::ZERO);
            let clock = || start + since.elapsed() + apart.get();
            let end = clock() + hour;
            let mut bound = Bound::of(end, None, clock());
            let step = async {
                tokio::time::sleep(Duration::from_secs(600)).await;
                apart.set(set);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = passed(Some(bound), clock) => {}
                () = step => {}
            }
            // It is asked again soon after the step, and the end stays where it was.
            let seen = since.elapsed() - begun;
            assert!(seen >= Duration::from_secs(600) && seen < Duration::from_secs(661), "{seen:?}");
            while clock() < end && !bound.is_over() {
                bound = Bound::of(end, Some(bound), clock());
                passed(Some(bound), clock).await;
            }
            let over = since.elapsed() - begun;
            let most = if set.is_negative() { 3602 } else { 661 };
            assert!(over <= Duration::from_secs(most), "{over:?}");
            assert!(set.is_positive() || over >= Duration::from_secs(3600), "{over:?}");
        }
    }
}
