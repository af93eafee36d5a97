//! Several credentials in one request, and what it is bounded to.

use super::*;

const MORE: &str = r#"
[[device]]
name = "db02"
[[credential]]
name = "ops@db02"
[[credential]]
name = "free@db02"
[[reason]]
name = "incident"
[[reason]]
name = "audit"
enabled = false
"#;

async fn wider() -> World {
    let world = world().await;
    world.apply(MORE).await;
    world
}

fn both() -> NewRequest {
    let targets = ["ops@db01", "ops@db02"].map(|name| name.parse().unwrap()).to_vec();
    let claims = Claims { reason: Some("incident".parse().unwrap()), ..ops().claims };
    NewRequest { targets, claims, ..ops() }
}

impl World {
    async fn in_part(&self, id: RequestId, who: &str, only: &[&str]) -> Result<Request, RequestError> {
        let only = only.iter().map(|name| name.parse().unwrap()).collect();
        let less = Narrowed { wish: Wish::default(), only };
        self.requests.approve(id, &user(who), &by(who), None, less).await
    }

    async fn decided(&self, target: &str) -> Decision {
        let (proved, target) = (proved("operator"), target.parse().unwrap());
        let origin = "192.0.2.7".parse().unwrap();
        self.access.decide(&proved, &target, Action::Session, origin, &both().claims).await.unwrap()
    }
}

async fn what_one_group_governs_is_one_request_and_the_rest_is_told() {
    let world = wider().await;
    let mut new = both();
    let more = ["said@db01", "ops@db01", "nobody@db01", "free@db02"].map(|name| name.parse().unwrap());
    new.targets.extend(more);
    let Sorted { each, refused } = world.requests.sort(new).await;
    let targets = |new: &NewRequest| new.targets.iter().map(ToString::to_string).collect::<Vec<_>>();
    let sorted: Vec<_> = each.iter().map(targets).collect();
    assert_eq!(sorted, [vec!["ops@db01", "ops@db02"], vec!["said@db01"], vec!["free@db02"]]);
    assert!(refused.len() == 1 && refused[0].to_string().contains("nobody@db01"), "{refused:?}");
    // Under several groups it is no single request.
    let apart =
        NewRequest { targets: vec!["ops@db01".parse().unwrap(), "said@db01".parse().unwrap()], ..both() };
    assert!(matches!(world.requests.create(apart).await, Err(RequestError::Apart)));
    let made = world.requests.create(both()).await.unwrap();
    assert_eq!(made.what(), "ops@db01 and ops@db02");
    let twin = NewRequest { targets: vec!["ops@db02".parse().unwrap()], ..both() };
    let told = world.requests.create(twin).await.unwrap_err().to_string();
    assert_eq!(told, "request 1 for ops@db02 waits already");
}

async fn of_a_start_too_far_ahead_that_is_told_and_not_what_its_group_gives_then() {
    let world = wider().await;
    let ahead = |days: i64| moment() + SignedDuration::from_hours(24 * days);
    let last = ahead(57).strftime("%Y-%m-%d").to_string();
    let ending = format!(
        "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
         criteria = {{ accounts = [\"ops\"] }}\nlimitation = {{ until = {last} }}\n\
         session = {{ justification = true, approval = {{ needed = 1 }} }}\n"
    );
    world.apply(&ending).await;
    let sorted = async |days: i64| {
        let wish = Wish { start: Some(ahead(days)), duration: None };
        world.requests.sort(NewRequest { wish, ..both() }).await
    };
    assert_eq!(sorted(30).await.each.len(), 1);
    assert!(matches!(sorted(100).await.refused.as_slice(), [RequestError::Refused(_), ..]));
    let far = sorted(400).await;
    assert!(far.each.is_empty() && matches!(far.refused.as_slice(), [RequestError::Start]), "{far:?}");
}

async fn an_approver_leaves_out_what_they_do_not_name_also_for_those_who_vote_later() {
    let world = wider().await;
    let id = world.requests.create(both()).await.unwrap().id;
    let wrong = world.in_part(id, "approver", &["ops@db03"]).await.unwrap_err().to_string();
    assert_eq!(wrong, "request 1 is not for ops@db03");
    let narrowed = world.in_part(id, "approver", &["ops@db02"]).await.unwrap();
    assert_eq!((narrowed.what().as_str(), narrowed.left_out.len()), ("ops@db02", 1));
    let gone = world.in_part(id, "boss", &["ops@db01"]).await.unwrap_err().to_string();
    assert_eq!(gone, "request 1 is not for ops@db01");
    let approved = world.in_part(id, "boss", &[]).await.unwrap();
    assert!(matches!(approved.state, RequestState::Approved { .. }));
    assert_eq!(approved.left_out[0].by, user("approver"));
    assert!(matches!(world.decided("ops@db02").await, Decision::Permitted(_)));
    assert!(matches!(world.decided("ops@db01").await, Decision::Needs(_)), "it was left out");
}

async fn what_a_request_may_not_be_bounded_to_is_told_in_a_sentence() {
    let world = wider().await;
    let told = async |limits: Limits, wish: Wish, claims: Claims| {
        let new = NewRequest { limits, wish, claims, ..both() };
        world.requests.create(new).await.unwrap_err().to_string()
    };
    let (none, claims) = (Wish::default(), both().claims);
    for sessions in [0, 1001] {
        let limits = Limits { sessions: Some(sessions), ..Limits::default() };
        let sentence = "a request is for 1 to 1000 sessions; leave the number out to bound nothing";
        assert_eq!(told(limits, none, claims.clone()).await, sentence);
    }
    // A start in a window of an hour, and a time of another hour.
    let start = moment().checked_add(jiff::Span::new().hours(30)).unwrap();
    let hour = (start.as_second() / 3600 + 12) % 24;
    let slot = format!("{hour:02}:00-{hour:02}:15").parse().unwrap();
    let limits = Limits { slots: vec![slot], ..Limits::default() };
    let wish = Wish { start: Some(start), duration: None };
    let never = told(limits.clone(), wish, claims.clone()).await;
    assert!(never.contains("(UTC), which does not come before its end at"), "{never}");
    let urgent = Claims { emergency: text("the shop is down"), ..claims.clone() };
    let sentence = "an emergency is bounded by its access group; leave days, times and sessions out";
    assert_eq!(told(limits, none, urgent).await, sentence);
    for reason in ["audit", "boredom"] {
        let claims = Claims { reason: Some(reason.parse().unwrap()), ..claims.clone() };
        let sentence = format!("`{reason}` is no reason that can be chosen; choose one of incident");
        assert_eq!(told(Limits::default(), none, claims).await, sentence);
    }
    let many = NewRequest { targets: vec!["ops@db01".parse().unwrap(); 101], ..both() };
    let sentence = "a request is for 100 credentials at most, and for one at least";
    assert_eq!(world.requests.create(many).await.unwrap_err().to_string(), sentence);
}

async fn days_and_times_are_read_in_the_zone_of_the_group_unless_another_is_said() {
    let world = wider().await;
    let zoned = "[[access_group]]\nname = \"dba\"\nusers = [\"operator\"]\n\
                 approvers = [\"approver\", { user = \"boss\", level = 2 }]\n\
                 criteria = { accounts = [\"ops\"] }\nlimitation = { zone = \"Europe/Berlin\" }\n\
                 session = { justification = true, approval = { needed = 1, levels = true } }\n";
    world.apply(zoned).await;
    let limits = Limits { weekdays: vec!["mon".parse().unwrap()], ..Limits::default() };
    let made = world.requests.create(NewRequest { limits: limits.clone(), ..both() }).await.unwrap();
    assert_eq!(made.limits.to_string(), "mon (Europe/Berlin)");
    world.requests.cancel(made.id, &user("operator"), &by("operator")).await.unwrap();
    let limits = Limits { zone: Some("Asia/Tokyo".parse().unwrap()), ..limits };
    let made = world.requests.create(NewRequest { limits, ..both() }).await.unwrap();
    assert_eq!(made.limits.to_string(), "mon (Asia/Tokyo)");
}

on_both! {
    what_one_group_governs_is_one_request_and_the_rest_is_told,
    of_a_start_too_far_ahead_that_is_told_and_not_what_its_group_gives_then,
    an_approver_leaves_out_what_they_do_not_name_also_for_those_who_vote_later,
    what_a_request_may_not_be_bounded_to_is_told_in_a_sentence,
    days_and_times_are_read_in_the_zone_of_the_group_unless_another_is_said,
}
