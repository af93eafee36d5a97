//! Authorization is continuous: the decision that admitted a session is taken again
//! whenever anything that it rests on may have changed. Whoever knows the end also
//! says when it comes near.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate_common::audit::EndCause;
use tidegate_common::policy::{EndReason, Permit};
use tokio::sync::watch;

use super::End;
use crate::access::{Access, Basis};

/// So many minutes before its end a session's user is warned.
const MARKS: [i64; 3] = [1, 5, 10];
/// How long to sleep at most, in case the clock is set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// After so long what the store could not tell is asked again.
const AWAY: Duration = Duration::from_secs(1);

/// The end is near. Two warnings are the same when they tell of the same end at the
/// same mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    end: Timestamp,
    mark: i64,
    on_request: bool,
}

impl Warning {
    /// The newest warning that is due, none while the end is far or unknown.
    fn due(end: Option<Timestamp>, on_request: bool, now: Timestamp) -> Option<Self> {
        let end = end?;
        let left = end.duration_since(now);
        let mark = MARKS.into_iter().find(|mark| left <= SignedDuration::from_mins(*mark))?;
        left.is_positive().then_some(Self { end, mark, on_request })
    }

    /// One line for the terminal, with what is left at this moment.
    #[must_use]
    pub fn sentence(&self, now: Timestamp) -> String {
        let left = self.end.duration_since(now).as_secs().max(0);
        let left = match left.saturating_add(59) / 60 {
            0 | 1 => "1 minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        };
        let more = if self.on_request { "; going on needs another request" } else { "" };
        format!("this session ends in {left} ({} UTC): save your work{more}", self.end.strftime("%H:%M"))
    }
}

/// Waits until policy no longer permits what it permitted; keeps `warnings` at what is
/// due meanwhile, also when the end moves. `granted` is the end that the device's agent was given:
/// what it grants ends then, whatever policy has added since.
pub async fn until_not_permitted(
    access: &Access,
    permit: &Permit,
    granted: Option<Timestamp>,
    warnings: &watch::Sender<Option<Warning>>,
) -> End {
    let mut changed = access.changed();
    let (mut permit, mut basis) = (permit.clone(), Basis::default());
    loop {
        changed.mark_unchanged();
        match access.still_lives(&permit, &mut basis, Timestamp::now()).await {
            Ok(now) => permit = now,
            Err(reason) => return ended(&reason),
        }
        if granted.is_some_and(|end| end <= Timestamp::now()) {
            return granted_time_over();
        }
        let end = [permit.expires(), granted].into_iter().flatten().min();
        tokio::select! {
            changed = changed.changed() => if changed.is_err() {
                return End { cause: EndCause::Shutdown, message: Some("the gate is stopping".to_owned()) };
            },
            () = tokio::time::sleep(AWAY), if basis.stale => {}
            () = until(end, permit.ends_with_request(), warnings, Timestamp::now) => {}
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

/// More time was given than the device's agent knows of.
fn granted_time_over() -> End {
    let why = "what this session was granted on the device ends; connect again for the time that was added";
    End { cause: EndCause::Window, message: Some(why.to_owned()) }
}

/// Waits for a moment of the wall clock, and warns as it comes near.
async fn until(
    end: Option<Timestamp>,
    on_request: bool,
    warnings: &watch::Sender<Option<Warning>>,
    clock: impl Fn() -> Timestamp,
) {
    loop {
        let now = clock();
        let due = Warning::due(end, on_request, now);
        warnings.send_if_modified(|warning| std::mem::replace(warning, due) != due);
        let Some(end) = end else {
            return std::future::pending().await;
        };
        let next = [10, 5, 1, 0].map(|mark| end.duration_since(now) - SignedDuration::from_mins(mark));
        let next = next.into_iter().find(|left| left.is_positive());
        match next.map(Duration::try_from) {
            Some(Ok(left)) => tokio::time::sleep(left.min(LOOK_AGAIN)).await,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A clock that goes with tokio's paused one.
    fn clock(start: Timestamp) -> impl Fn() -> Timestamp {
        let since = tokio::time::Instant::now();
        move || start + since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_warned_ten_five_and_one_minutes_before_its_end() {
        let start = at("2026-03-01T12:00:30Z");
        let now = clock(start);
        let (warnings, mut seen) = watch::channel(None::<Warning>);
        let end = at("2026-03-01T14:30:00Z");
        let told = async {
            let mut told = Vec::new();
            while told.len() < 3 {
                seen.changed().await.unwrap();
                let warning = seen.borrow_and_update().unwrap();
                told.push((now(), warning.sentence(now())));
            }
            told
        };
        let ((), told) = tokio::join!(until(Some(end), true, &warnings, &now), told);
        assert!(now() >= end && now() < end + Duration::from_secs(1));
        for (mark, (moment, sentence)) in ["10 minutes", "5 minutes", "1 minute"].into_iter().zip(told) {
            let wanted = format!(
                "this session ends in {mark} (14:30 UTC): save your work; going on needs another request"
            );
            assert_eq!(sentence, wanted);
            let minutes: i64 = mark.split(' ').next().unwrap().parse().unwrap();
            let late = moment.duration_since(end - SignedDuration::from_mins(minutes));
            assert!(late >= SignedDuration::ZERO && late < SignedDuration::from_secs(1), "{mark}: {late}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_moves_takes_its_warning_along() {
        let now = clock(at("2026-03-01T12:00:00Z"));
        let (warnings, seen) = watch::channel(None::<Warning>);
        let warn = |end: Option<&str>| {
            let (end, warnings, now) = (end.map(at), warnings.clone(), &now);
            async move {
                let _ = tokio::time::timeout(Duration::ZERO, until(end, false, &warnings, now)).await;
            }
        };
        warn(Some("2026-03-01T12:04:00Z")).await;
        let sentence = seen.borrow().unwrap().sentence(now());
        assert_eq!(sentence, "this session ends in 4 minutes (12:04 UTC): save your work");
        warn(Some("2026-03-01T12:30:00Z")).await;
        assert_eq!(*seen.borrow(), None, "the end is far again");
        warn(Some("2026-03-01T12:09:00Z")).await;
        assert!(seen.borrow().unwrap().sentence(now()).contains("in 9 minutes"));
        warn(None).await;
        assert_eq!(*seen.borrow(), None);
    }
}
