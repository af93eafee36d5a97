//! Authorization is continuous: the decision that admitted a session is taken again
//! whenever anything that it rests on may have changed, and when the clock was set. Whoever knows the
//! end also says when it comes near.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate_common::audit::EndCause;
use tidegate_common::policy::{EndReason, Permit};
use tokio::sync::watch;

use super::End;
use super::granted_end::GrantedEnd;
use crate::access::{Access, Basis, Bound, Clocks};

/// So many minutes before its end a session's user is warned.
const MARKS: [i64; 3] = [1, 5, 10];
/// How long to sleep at most, in case the clock is set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// After so long what the store could not tell is asked again.
const AWAY: Duration = Duration::from_secs(1);

/// What it takes to go on after the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GoingOn {
    /// That is not for a request to say.
    Unknown,
    /// A request.
    Request,
    /// Another session: more time was given, and the device's agent did not take it.
    Session,
}

/// The end is near, or stays although more time was given. Two warnings are the same when they
/// tell of the same end at the same mark, and of the same way to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    end: Timestamp,
    /// None while the end is far.
    mark: Option<i64>,
    going_on: GoingOn,
}

impl Warning {
    /// The newest warning that is due, none while the end is unknown, or far and as expected.
    fn due(end: Option<Timestamp>, going_on: GoingOn, now: Timestamp) -> Option<Self> {
        let end = end?;
        let left = end.duration_since(now);
        let mark = MARKS.into_iter().find(|mark| left <= SignedDuration::from_mins(*mark));
        let due = mark.is_some() || going_on == GoingOn::Session;
        (due && left.is_positive()).then_some(Self { end, mark, going_on })
    }

    /// One line for the terminal, with what is left at this moment.
    #[must_use]
    pub fn sentence(&self, now: Timestamp) -> String {
        let left = left(self.end.duration_since(now));
        let end = self.end.strftime("%H:%M");
        let more = match self.going_on {
            GoingOn::Unknown => "",
            GoingOn::Request => "; going on needs another request",
            GoingOn::Session => {
                "; more time was given, and it is for the next session, because the device did not take it"
            }
        };
        format!("this session ends in {left} ({end} UTC): save your work{more}")
    }
}

/// What is left, and never more than that: whole minutes, and seconds where there are few. A second
/// that has begun counts, since who is warned at a mark is told of it a moment later.
fn left(left: SignedDuration) -> String {
    match left.saturating_add(SignedDuration::from_millis(999)).as_secs().max(0) {
        1 => "1 second".to_owned(),
        60 => "1 minute".to_owned(),
        seconds @ ..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds / 60),
    }
}

/// Waits until policy no longer permits what it permitted; keeps `warnings` at what is
/// due meanwhile, also when the end moves. `granted` is the end that the device's agent was given: what
/// it grants ends then, so policy's end is the session's only once the agent has taken it.
pub async fn until_not_permitted(
    access: &Access,
    permit: &Permit,
    granted: Option<GrantedEnd>,
    warnings: &watch::Sender<Option<Warning>>,
) -> End {
    until_not_permitted_by(Timestamp::now, access, permit, granted, warnings).await
}

async fn until_not_permitted_by(
    clock: impl Fn() -> Timestamp,
    access: &Access,
    permit: &Permit,
    mut granted: Option<GrantedEnd>,
    warnings: &watch::Sender<Option<Warning>>,
) -> End {
    let mut changed = access.changed();
    let (mut permit, mut basis, mut bound) = (permit.clone(), Basis::default(), None);
    loop {
        changed.mark_unchanged();
        match access.still_lives(&permit, &mut basis, clock()).await {
            Ok(now) => permit = now,
            Err(reason) => return ended(&reason),
        }
        let mut going_on = if permit.ends_with_request() { GoingOn::Request } else { GoingOn::Unknown };
        if let Some(granted) = &mut granted {
            if granted.end() <= clock() {
                return granted_time_over();
            }
            granted.follow(permit.expires());
            if granted.is_kept() && permit.expires().is_none_or(|end| end > granted.end()) {
                going_on = GoingOn::Session;
            }
        }
        let end = [permit.expires(), granted.as_ref().map(GrantedEnd::end)].into_iter().flatten().min();
        bound = end.map(|end| Bound::of(end, bound, clock()));
        if bound.is_some_and(|bound| bound.is_over()) {
            let is_policys = permit.expires() == end;
            return if is_policys { ended(&EndReason::TimeOver) } else { granted_time_over() };
        }
        tokio::select! {
            changed = changed.changed() => if changed.is_err() {
                return End { cause: EndCause::Shutdown, message: Some("the gate is stopping".to_owned()) };
            },
            () = tokio::time::sleep(AWAY), if basis.stale => {}
            () = answered(&mut granted) => {}
            () = until(bound, going_on, warnings, &clock) => {}
        }
    }
}

/// Waits until the agent has taken a later end or not; for ever where none was ordered.
async fn answered(granted: &mut Option<GrantedEnd>) {
    match granted {
        Some(granted) => granted.answered().await,
        None => std::future::pending().await,
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

/// Waits for an end, or until the wall clock was set, and warns as the end comes near.
async fn until(
    bound: Option<Bound>,
    going_on: GoingOn,
    warnings: &watch::Sender<Option<Warning>>,
    clock: impl Fn() -> Timestamp,
) {
    let clocks = Clocks::at(clock());
    loop {
        let now = clock();
        let due = Warning::due(bound.map(|bound| bound.end()), going_on, now);
        warnings.send_if_modified(|warning| std::mem::replace(warning, due) != due);
        let Some(bound) = bound else {
            return std::future::pending().await;
        };
        let left = bound.end().duration_since(now);
        let next = [10, 5, 1, 0].map(|mark| left - SignedDuration::from_mins(mark));
        let next = next.into_iter().find(|left| left.is_positive());
        match next.map(Duration::try_from) {
            Some(Ok(left)) if !bound.is_over() && !clocks.is_set(now) => {
                tokio::time::sleep(left.min(bound.left()).min(LOOK_AGAIN)).await;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tidegate_common::model::{Action, Claims};
    use tidegate_common::policy::Decision;

    use super::*;
    use crate::access::tests::proved;
    use crate::testing::World;

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
        let bound = Some(Bound::of(end, None, now()));
        let told = async {
            let mut told = Vec::new();
            while told.len() < 3 {
                seen.changed().await.unwrap();
                let warning = seen.borrow_and_update().unwrap();
                told.push((now(), warning.sentence(now())));
            }
            told
        };
        let ((), told) = tokio::join!(until(bound, GoingOn::Request, &warnings, &now), told);
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

    #[test]
    fn what_is_left_is_never_told_as_more_than_it_is() {
        for (seconds, told) in [
            (600, "10 minutes"),
            (599, "9 minutes"),
            (310, "5 minutes"),
            (250, "4 minutes"),
            (120, "2 minutes"),
            (119, "119 seconds"),
            (90, "90 seconds"),
            (60, "1 minute"),
            (59, "59 seconds"),
            (1, "1 second"),
            (0, "0 seconds"),
            (-5, "0 seconds"),
        ] {
            assert_eq!(left(SignedDuration::from_secs(seconds)), told);
        }
        assert_eq!(left(SignedDuration::from_millis(299_100)), "5 minutes", "told a moment after its mark");
        let end = at("2026-03-01T12:05:10Z");
        let warning = Warning { end, mark: Some(10), going_on: GoingOn::Unknown };
        let sentence = "this session ends in 5 minutes (12:05 UTC): save your work";
        assert_eq!(warning.sentence(at("2026-03-01T12:00:00Z")), sentence);
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_moves_takes_its_warning_along() {
        let now = clock(at("2026-03-01T12:00:00Z"));
        let (warnings, seen) = watch::channel(None::<Warning>);
        let warn = |end: Option<&str>| {
            let bound = end.map(|end| Bound::of(at(end), None, now()));
            let (warnings, now) = (warnings.clone(), &now);
            async move {
                let _ = tokio::time::timeout(Duration::ZERO, until(bound, GoingOn::Unknown, &warnings, now))
                    .await;
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

    #[tokio::test(start_paused = true)]
    async fn an_end_that_stays_although_more_time_was_given_is_told_at_once_and_as_it_comes_near() {
        let now = clock(at("2026-03-01T12:00:00Z"));
        let (warnings, seen) = watch::channel(None::<Warning>);
        let end = Some(Bound::of(at("2026-03-01T12:30:00Z"), None, now()));
        let _ = tokio::time::timeout(Duration::ZERO, until(end, GoingOn::Request, &warnings, &now)).await;
        assert_eq!(*seen.borrow(), None, "the end is far");
        let _ = tokio::time::timeout(Duration::ZERO, until(end, GoingOn::Session, &warnings, &now)).await;
        let told = *seen.borrow();
        let sentence = "this session ends in 30 minutes (12:30 UTC): save your work; more time was given, and it is \
                        for the next session, because the device did not take it";
        assert_eq!(told.unwrap().sentence(now()), sentence);
        let nearer =
            tokio::time::timeout(Duration::from_secs(1230), until(end, GoingOn::Session, &warnings, &now));
        assert!(nearer.await.is_err());
        let last = seen.borrow().unwrap();
        assert!(Some(last) != told && last.sentence(now()).contains("in 9 minutes"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_has_policy_asked_again_and_gives_no_session_more_time() {
        let (start, since) = (at("2026-03-01T12:00:00Z"), tokio::time::Instant::now());
        let apart = Cell::new(SignedDuration::ZERO);
        let clock = || start + since.elapsed() + apart.get();
        let (warnings, _seen) = watch::channel(None::<Warning>);
        let end = at("2026-03-01T12:30:00Z");
        let bound = Bound::of(end, None, clock());
        let set_back = async {
            tokio::time::sleep(Duration::from_secs(300)).await;
            apart.set(SignedDuration::from_hours(-1));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = until(Some(bound), GoingOn::Request, &warnings, clock) => {}
            () = set_back => {}
        }
        let asked = since.elapsed();
        assert!(asked >= Duration::from_secs(300) && asked < Duration::from_secs(361), "{asked:?}");
        assert!(clock() + SignedDuration::from_mins(80) < end, "by the wall clock there is much time");
        let again = Bound::of(end, Some(bound), clock());
        until(Some(again), GoingOn::Request, &warnings, clock).await;
        let over = since.elapsed();
        assert!(again.is_over() && over >= Duration::from_secs(1800), "{over:?}");
        assert!(over <= Duration::from_secs(1802), "{over:?}");
        // Its twin: another end is one that was given anew.
        let later = Bound::of(end + Duration::from_secs(1), Some(again), clock());
        assert!(!later.is_over() && later.left() > Duration::from_secs(3600));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_end_that_a_clock_as_it_was_set_back_finds_gives_no_more_time() {
        // Slots from nine to noon and from one to six, and the clock is set back into the first.
        let bound = Bound::of(at("2026-03-01T18:00:00Z"), None, at("2026-03-01T17:59:00Z"));
        let (noon, nine) = (at("2026-03-01T12:00:00Z"), at("2026-03-01T09:00:00Z"));
        let again = Bound::of(noon, Some(bound), nine);
        assert_eq!(again.end(), noon);
        assert!(again.left() <= Duration::from_secs(61), "{:?}", again.left());
        // Its twin: the clock stays, and an earlier end is there earlier.
        let sooner = Bound::of(at("2026-03-01T17:59:30Z"), Some(bound), at("2026-03-01T17:59:00Z"));
        assert!(sooner.left() <= Duration::from_secs(31), "{:?}", sooner.left());
        // And a later one than was known is given anew.
        let later = Bound::of(at("2026-03-01T19:00:00Z"), Some(bound), at("2026-03-01T17:59:00Z"));
        assert!(later.left() > Duration::from_secs(3600), "{:?}", later.left());
    }

    #[tokio::test]
    async fn a_session_whose_end_is_past_by_the_clock_as_it_was_set_ends() {
        let world = World::new(
            "[[user]]\nname = \"operator\"\n[[device]]\nname = \"db01\"\n[[credential]]\nname = \"ops@db01\"\n\
             [[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\ncriteria = { devices = [\"db01\"] }\n\
             session = {}\nconditions = { longest = \"30m\" }\n",
        )
        .await;
        let (proved, target) = (proved("operator"), "ops@db01".parse().unwrap());
        let (origin, claims) = ("192.0.2.7".parse().unwrap(), Claims::default());
        let decided = world.access.decide(&proved, &target, Action::Session, origin, &claims).await;
        let Decision::Permitted(permit) = decided.unwrap() else { panic!("not permitted") };
        let apart = Cell::new(SignedDuration::ZERO);
        let clock = || Timestamp::now() + apart.get();
        let (warnings, _seen) = watch::channel(None::<Warning>);
        let ended = until_not_permitted_by(clock, &world.access, &permit, None, &warnings);
        let mut ended = std::pin::pin!(ended);
        let short = Duration::from_millis(100);
        assert!(tokio::time::timeout(short, &mut ended).await.is_err(), "it lives");
        // A step back changes nothing while there is time left.
        apart.set(SignedDuration::from_mins(-5));
        world.access.tick();
        assert!(tokio::time::timeout(short, &mut ended).await.is_err(), "it lives");
        apart.set(SignedDuration::from_hours(24));
        world.access.tick();
        let end = tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
        assert_eq!(end.cause, EndCause::Window);
    }
}
