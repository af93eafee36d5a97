mod codes;
mod governance;
mod limited_users;
mod outcomes;

use tidegate_common::audit::Record;
use tidegate_common::model::{Claims, Limited, RemoteAccessState, RemoteAccessWord, Scope};
use tidegate_common::notice::Notice;
use tidegate_common::policy::{Login, Proved};
use tidegate_common::secret::Secret;
use tidegate_common::time::{Length, Limitation};

use super::*;
use crate::access::Border;
use crate::governance::Codes;
use crate::store::NotificationFilter;
use crate::store::testing::on_both;
use crate::testing::{World, by, user};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

fn resources(automatic: &str, members: &str) -> String {
    format!(
        "[[user]]\nname = \"olga\"\nemail = \"o@example.org\"\nkeys = [\"{KEY}\"]\n[[user]]\nname = \"adam\"\n\
         email = \"a@example.org\"\n[[user]]\nname = \"boss\"\nroles = [\"admin\"]\n[[user]]\nname = \"chief\"\n\
         [[device]]\nname = \"db01\"\n[[credential]]\nname = \"ops@db01\"\n[[reason]]\nname = \"visit\"\n\
         [[user_group]]\nname = \"field\"\nautomatic_access = \"{automatic}\"\nusers = [{members}]\n\
         [[user_group]]\nname = \"off\"\nenabled = false\nusers = [\"olga\"]\n[[user_group]]\nname = \"empty\"\n"
    )
}

/// One whose remote accesses so many of these have to approve.
async fn world(approvers: &[&str], needed: u8) -> World {
    let border = Border { inside: vec!["10.0.0.0/8".parse().unwrap()], ..Border::default() };
    let world = World::within(border, &resources("no", "\"olga\", \"adam\"")).await;
    let approvers = approvers.iter().map(|name| user(name)).collect();
    world.with_remote_accesses(Settings { approvers, needed, slowed: Duration::ZERO, ..Settings::default() })
}

impl World {
    /// What `olga` is told who comes from an address; nothing where she is in.
    fn comes_from(&self, address: &str) -> Option<String> {
        let login = Login::Key(KEY.parse().unwrap()).into();
        let proved = Proved { user: user("olga"), login, origin: address.parse().unwrap() };
        let entered = self.access.enter(&proved).err().map(|why| why.to_string());
        let still = self.access.still_in(&proved).err().map(|why| why.to_string());
        assert_eq!(entered, still, "coming in and staying in are one rule");
        entered
    }
}

fn new(user: Option<&str>) -> NewRemoteAccess {
    let claims = Claims {
        justification: Some("on site".parse().unwrap()),
        reason: Some("visit".parse().unwrap()),
        ..Claims::default()
    };
    let (group, user) = ("field".parse().unwrap(), user.map(self::user));
    NewRemoteAccess { group, user, scope: Scope::Full, claims, start: None, duration: Length::hours(2) }
}

async fn who_has_a_remote_access_is_in_from_outside_until_it_is_cancelled() {
    let world = world(&[], 1).await;
    assert_eq!(world.comes_from("10.1.2.3"), None);
    assert!(world.comes_from("203.0.113.9").unwrap().contains("have no remote access"));
    let mut changed = world.access.changed();
    let made = world.remote_accesses.create(&new(Some("olga")), &by("boss")).await.unwrap();
    assert!(changed.has_changed().unwrap(), "whoever rests on it looks again");
    changed.mark_unchanged();
    assert_eq!((made.len(), made[0].batch, made[0].by.as_str()), (1, None, "boss"));
    assert_eq!(world.comes_from("203.0.113.9"), None);
    let comment = "the work is done".parse().unwrap();
    world.remote_accesses.cancel(made[0].id, &by("boss"), Some(&comment)).await.unwrap();
    assert!(changed.has_changed().unwrap());
    let told = world.comes_from("203.0.113.9").unwrap();
    assert_eq!(told, "you come from outside, and remote access 1 was cancelled by boss: the work is done");
    let twice = world.remote_accesses.cancel(made[0].id, &by("boss"), None).await.unwrap_err().to_string();
    assert_eq!(twice, "remote access 1 is cancelled already");
    let step = |record: Record| match record.event {
        Event::RemoteAccess { step, said, .. } => Some(format!("{step}: {said}")),
        _ => None,
    };
    let steps: Vec<_> = world.records().await.into_iter().filter_map(step).collect();
    assert_eq!(steps.len(), 2);
    assert!(steps[0].starts_with("requested: full, from ") && steps[0].ends_with("; on site; reason visit"));
    assert_eq!(steps[1], "cancelled: the work is done");
}

async fn a_batch_is_one_for_each_of_the_group_and_shares_its_number() {
    let world = world(&[], 1).await;
    let shown = world.remote_accesses.review(&new(None), &by("boss")).await.unwrap();
    assert_eq!(shown.len(), 2);
    assert_eq!(
        world.remote_accesses.list(&RemoteAccessFilter::default()).await.unwrap(),
        [],
        "nothing is saved by a look"
    );
    let one = world.remote_accesses.create(&new(Some("adam")), &by("boss")).await.unwrap();
    let made = world.remote_accesses.create(&new(None), &by("boss")).await.unwrap();
    let users: Vec<_> = made.iter().map(|access| access.user.as_str()).collect();
    assert_eq!((users.as_slice(), one[0].id.0), (["olga", "adam"].as_slice(), 1));
    assert!(made.iter().all(|access| access.batch == Some(made[0].id)));
}

async fn approval_is_others_and_each_of_them_counts_once() {
    let world = world(&["chief", "adam", "boss"], 2).await;
    let id = world.remote_accesses.create(&new(Some("olga")), &by("boss")).await.unwrap()[0].id;
    let told = world.comes_from("203.0.113.9").unwrap();
    assert_eq!(told, "you come from outside, and remote access 1 waits for approval");
    let approve = async |name: &str| world.remote_accesses.approve(id, &user(name), &by(name), None).await;
    for (name, says) in [
        ("olga", "you do not approve remote accesses"),
        ("boss", "remote access 1 is yours or was requested by you"),
    ] {
        let told = approve(name).await.unwrap_err().to_string();
        assert!(told.contains(says), "{told}");
    }
    assert_eq!(approve("chief").await.unwrap().word_at(moment()), RemoteAccessWord::Pending);
    assert!(
        approve("chief").await.unwrap_err().to_string().contains("you have approved remote access 1 already")
    );
    assert_eq!(approve("adam").await.unwrap().word_at(moment()), RemoteAccessWord::Active);
    assert_eq!(world.comes_from("203.0.113.9"), None);
    let second = world.remote_accesses.create(&new(Some("olga")), &by("boss")).await.unwrap()[0].id;
    let own = world.remote_accesses.create(&new(Some("adam")), &by("boss")).await.unwrap()[0].id;
    let comment = Some("not before May".parse().unwrap());
    let rejected =
        world.remote_accesses.reject(second, &user("chief"), &by("chief"), comment.as_ref()).await.unwrap();
    assert_eq!(rejected.word_at(moment()), RemoteAccessWord::Rejected);
    let told =
        world.remote_accesses.approve(own, &user("adam"), &by("adam"), None).await.unwrap_err().to_string();
    assert!(told.contains("is yours"), "{told}");
}

async fn approvers_are_told_that_a_remote_access_waits_for_them_and_of_a_batch_once() {
    let world = world(&["chief", "adam", "boss"], 1).await;
    let people = "[[user]]\nname = \"chief\"\nemail = \"c@example.org\"\n[[user]]\nname = \"boss\"\n\
                  email = \"b@example.org\"\nroles = [\"admin\"]\n";
    world.apply(people).await;
    let told = async || {
        let filter = NotificationFilter { limit: 100, ..NotificationFilter::default() };
        let rows = world.store.notifications(&filter).await.unwrap();
        let asked = rows.into_iter().rev().filter_map(|row| match row.notice {
            Notice::RemoteAccessAsked { remote, .. } => Some((row.recipient.to_string(), remote)),
            _ => None,
        });
        asked.collect::<Vec<_>>()
    };
    let limited = Limited {
        devices: vec!["db01".parse().unwrap()],
        credentials: vec!["ops@db01:login".parse().unwrap()],
        times: Limitation::default(),
        sessions: Some(3),
    };
    let one = NewRemoteAccess { scope: Scope::Limited(limited), ..new(Some("olga")) };
    world.remote_accesses.create(&one, &by("boss")).await.unwrap();
    let first = told().await;
    let whom: Vec<_> = first.iter().map(|(whom, _)| whom.as_str()).collect();
    assert_eq!(whom, ["chief", "adam"], "not who asked");
    let remote = &first[0].1;
    assert_eq!((remote.access.0, remote.batch, remote.by.as_str()), (1, false, "boss"));
    let reaches = "3 sessions at most; every credential on db01; ops@db01:login";
    assert_eq!((remote.reaches.to_string().as_str(), remote.users.to_string().as_str()), (reaches, "olga"));
    // Nobody decides on their own; of a batch, adam does on olga's.
    world.remote_accesses.create(&new(Some("adam")), &by("boss")).await.unwrap();
    world.remote_accesses.create(&new(None), &by("boss")).await.unwrap();
    let later: Vec<_> = told()
        .await
        .split_off(2)
        .into_iter()
        .map(|(whom, asked)| (whom, asked.access.0, asked.count))
        .collect();
    let both = |whom: &str| (whom.to_owned(), 3, 2);
    assert_eq!(later, [("chief".to_owned(), 2, 1), both("chief"), both("adam")]);

    // What needs no approval asks nobody.
    let world = self::world(&[], 1).await;
    world.remote_accesses.create(&new(None), &by("boss")).await.unwrap();
    assert_eq!(world.store.notifications(&NotificationFilter::default()).await.unwrap(), []);
}

async fn a_request_that_says_too_little_or_names_what_is_not_there_saves_nothing() {
    let world = world(&[], 1).await;
    let limited = |devices: &[&str], credentials: &[&str]| {
        Scope::Limited(Limited {
            devices: devices.iter().map(|name| name.parse().unwrap()).collect(),
            credentials: credentials.iter().map(|name| name.parse().unwrap()).collect(),
            times: Limitation::default(),
            sessions: None,
        })
    };
    let group = |name: &str| NewRemoteAccess { group: name.parse().unwrap(), ..new(None) };
    let start = |hours: i64| Some(moment() + jiff::SignedDuration::from_hours(hours));
    let silent = NewRemoteAccess { claims: Claims::default(), ..new(None) };
    let other = Claims { reason: Some("boredom".parse().unwrap()), ..new(None).claims };
    let codes = Codes { form: Some("CHG[0-9]+".parse().unwrap()), endpoint: None };
    let _ = world.access.clone().with_codes(codes);
    let coded = Claims { governance: Some("nonsense".parse().unwrap()), ..new(None).claims };
    for (asked, says) in [
        (group("nobody"), "there is no user group `nobody`"),
        (group("off"), "user group `off` is disabled"),
        (group("empty"), "user group `empty` has no users"),
        (new(Some("boss")), "user `boss` is not in user group `field`"),
        (silent, "wants a justification (--justification) and a reason (--reason, one of visit)"),
        (NewRemoteAccess { claims: other, ..new(None) }, "`boredom` is no registered reason"),
        (NewRemoteAccess { scope: limited(&[], &[]), ..new(None) }, "names devices or credentials"),
        (NewRemoteAccess { scope: limited(&["db09"], &[]), ..new(None) }, "there is no device `db09`"),
        (
            NewRemoteAccess { scope: limited(&[], &["x@db01"]), ..new(None) },
            "there is no credential `x@db01`",
        ),
        (NewRemoteAccess { start: start(-1), ..new(None) }, "the start must lie in the future"),
        (NewRemoteAccess { start: start(24 * 400), ..new(None) }, "at most a year ahead"),
        (NewRemoteAccess { claims: coded, ..new(None) }, "`nonsense` is not of the form CHG[0-9]+"),
    ] {
        let told = world.remote_accesses.create(&asked, &by("boss")).await.unwrap_err().to_string();
        assert!(told.contains(says), "{told}");
    }
    assert_eq!(world.remote_accesses.list(&RemoteAccessFilter::default()).await.unwrap(), []);
}

async fn a_remote_access_is_for_a_minute_at_least_and_for_366_days_at_most() {
    let world = world(&[], 1).await;
    let asked = |duration: &str| NewRemoteAccess { duration: duration.parse().unwrap(), ..new(Some("olga")) };
    let told =
        "a request is for a minute at least and for 366 days at most; ask for a duration between these";
    for duration in ["5s", "59s", "366d 1s", "3000d", "13 months"] {
        let shown = world.remote_accesses.review(&asked(duration), &by("boss")).await.unwrap_err();
        let made = world.remote_accesses.create(&asked(duration), &by("boss")).await.unwrap_err();
        assert_eq!([shown.to_string(), made.to_string()], [told, told], "{duration}");
    }
    assert_eq!(world.remote_accesses.list(&RemoteAccessFilter::default()).await.unwrap(), []);
    for duration in ["1m", "366d", "12 months"] {
        world.remote_accesses.create(&asked(duration), &by("boss")).await.unwrap();
    }
}

async fn days_and_times_that_do_not_come_before_the_end_of_a_remote_access_are_refused() {
    let world = world(&[], 1).await;
    let later = moment() + jiff::SignedDuration::from_hours(72);
    let day = later.strftime("%a").to_string().to_lowercase();
    let times = Limitation {
        weekdays: vec![day.parse().unwrap()],
        slots: vec!["00:00-00:15".parse().unwrap()],
        ..Limitation::default()
    };
    let limited =
        Limited { devices: vec!["db01".parse().unwrap()], credentials: Vec::new(), times, sessions: Some(3) };
    let asked = |days: u64| NewRemoteAccess {
        scope: Scope::Limited(limited.clone()),
        duration: format!("{days}d").parse().unwrap(),
        ..new(Some("olga"))
    };
    let told = world.remote_accesses.create(&asked(1), &by("boss")).await.unwrap_err().to_string();
    let begins = format!("it is wanted for {day} 00:00-00:15 (UTC), which does not come before its end at ");
    assert!(told.starts_with(&begins), "{told}");
    assert_eq!(world.remote_accesses.list(&RemoteAccessFilter::default()).await.unwrap(), []);
    world.remote_accesses.create(&asked(8), &by("boss")).await.unwrap();
}

async fn who_joins_a_group_that_gives_access_by_itself_is_in_at_once_and_only_then() {
    let world = world(&[], 1).await;
    let apply = async |text: &str| world.access.apply(text, &by("boss"), false).await.unwrap();
    apply(&resources("default", "\"adam\"")).await;
    apply(&resources("default", "\"adam\", \"olga\"")).await;
    assert!(world.comes_from("203.0.113.9").is_some(), "the setting says no");
    apply(&resources("yes", "\"adam\", \"olga\"")).await;
    assert!(world.comes_from("203.0.113.9").is_some(), "nobody has joined by that");
    apply(&resources("yes", "\"adam\"")).await;
    apply(&resources("yes", "\"adam\", \"olga\"")).await;
    assert_eq!(world.comes_from("203.0.113.9"), None);
    let all = world.remote_accesses.list(&RemoteAccessFilter::default()).await.unwrap();
    assert_eq!((all.len(), all[0].user.as_str(), &all[0].scope), (1, "olga", &Scope::Full));
    // Who leaves is out.
    apply(&resources("yes", "\"adam\"")).await;
    assert!(world.comes_from("203.0.113.9").unwrap().contains("no longer lets you in"));
}

async fn who_decides_on_a_remote_access_that_expired_reads_that_it_has() {
    let world = world(&["chief"], 1).await;
    let id = world.remote_accesses.create(&new(Some("olga")), &by("boss")).await.unwrap()[0].id;
    let (mut access, was) = world.store.remote_access_to_change(id).await.unwrap().unwrap();
    let RemoteAccessState::Pending { until, .. } = &mut access.state else { panic!("{access:?}") };
    assert!(*until > moment());
    *until = moment();
    assert!(world.store.takes(Store::remote_access_changed(access, was)).await);
    let approved = world.remote_accesses.approve(id, &user("chief"), &by("chief"), None).await;
    let rejected = world.remote_accesses.reject(id, &user("chief"), &by("chief"), None).await;
    let cancelled = world.remote_accesses.cancel(id, &by("boss"), None).await;
    for late in [approved, rejected, cancelled] {
        assert_eq!(late.unwrap_err().to_string(), "remote access 1 is expired already");
    }
    world.access.refresh_remote_accesses().await.unwrap();
    let told = world.comes_from("203.0.113.9").unwrap();
    let sentence = "you come from outside, and remote access 1 expired before anybody approved it";
    assert_eq!(told, sentence);
}

async fn who_joins_is_in_at_once_where_the_settings_say_so_and_the_group_does_not_say_no() {
    let inside = vec!["10.0.0.0/8".parse().unwrap()];
    let border =
        Border { inside, automatic: true, automatic_duration: Length::hours(5), ..Border::default() };
    let world = World::within(border, &resources("no", "\"adam\"")).await;
    let joins = async |automatic: &str| {
        world.apply(&resources(automatic, "\"adam\"")).await;
        world.apply(&resources(automatic, "\"adam\", \"olga\"")).await;
        world.remote_accesses.list(&RemoteAccessFilter::default()).await.unwrap()
    };
    assert_eq!(joins("no").await, []);
    assert!(world.comes_from("203.0.113.9").unwrap().contains("have no remote access"));
    let all = joins("default").await;
    assert_eq!((all.len(), all[0].user.as_str()), (1, "olga"));
    assert_eq!(all[0].window.end, Length::hours(5).after(all[0].window.start));
    assert_eq!(world.comes_from("203.0.113.9"), None);
}

async fn before_a_remote_access_ends_whom_the_settings_name_is_told_too_and_as_long_before_as_they_say() {
    let (tell, tell_before) = (vec![user("chief")], Length::hours(2));
    let world = world(&[], 1).await;
    let world = world.with_remote_accesses(Settings { tell, tell_before, ..Settings::default() });
    world.apply("[[user]]\nname = \"chief\"\nemail = \"c@example.org\"\n").await;
    let long = NewRemoteAccess { duration: Length::hours(72), ..new(Some("olga")) };
    world.remote_accesses.create(&long, &by("boss")).await.unwrap();
    let hours = |hours| moment() + jiff::SignedDuration::from_hours(hours);
    for (at, told) in [(49, 0), (69, 0), (71, 1), (71, 0)] {
        assert_eq!(world.remote_accesses.tell_of_ends(hours(at)).await.unwrap(), told, "{at}");
    }
    let rows = world.store.notifications(&NotificationFilter::default()).await.unwrap();
    let ends = rows.iter().filter(|row| matches!(row.notice, Notice::EndsSoon { .. }));
    let mut whom: Vec<_> = ends.map(|row| row.recipient.to_string()).collect();
    whom.sort_unstable();
    assert_eq!(whom, ["chief", "olga"]);
}

async fn before_a_remote_access_ends_its_user_is_told_once_and_of_a_short_one_not_at_all() {
    let world = world(&[], 1).await;
    let long = NewRemoteAccess { duration: Length::hours(72), ..new(Some("olga")) };
    world.remote_accesses.create(&long, &by("boss")).await.unwrap();
    world.remote_accesses.create(&new(Some("adam")), &by("boss")).await.unwrap();
    let hours = |hours| moment() + jiff::SignedDuration::from_hours(hours);
    for (at, told) in [(0, 0), (47, 0), (49, 1), (50, 0), (73, 0)] {
        assert_eq!(world.remote_accesses.tell_of_ends(hours(at)).await.unwrap(), told, "{at}");
    }
    let (now, until) = (hours(49), hours(50));
    let mail = tidegate_common::notice::Channel::Mail;
    let claimed = world.store.notifications_claim(mail, 10, now, until).await.unwrap();
    assert_eq!(claimed.rows.len(), 1);
}

on_both! {
    before_a_remote_access_ends_its_user_is_told_once_and_of_a_short_one_not_at_all,
    before_a_remote_access_ends_whom_the_settings_name_is_told_too_and_as_long_before_as_they_say,
    who_decides_on_a_remote_access_that_expired_reads_that_it_has,
    who_joins_is_in_at_once_where_the_settings_say_so_and_the_group_does_not_say_no,
    who_has_a_remote_access_is_in_from_outside_until_it_is_cancelled,
    a_batch_is_one_for_each_of_the_group_and_shares_its_number,
    approval_is_others_and_each_of_them_counts_once,
    approvers_are_told_that_a_remote_access_waits_for_them_and_of_a_batch_once,
    a_request_that_says_too_little_or_names_what_is_not_there_saves_nothing,
    a_remote_access_is_for_a_minute_at_least_and_for_366_days_at_most,
    days_and_times_that_do_not_come_before_the_end_of_a_remote_access_are_refused,
    who_joins_a_group_that_gives_access_by_itself_is_in_at_once_and_only_then,
}
