use super::*;
use crate::access::tests::proved;
use crate::changes::tests::approved;
use crate::requests::Narrowed;
use crate::testing::{self, by, user};

mod ended;
mod governance;

const RESOURCES: &str = r#"
user = [{ name = "operator" }, { name = "approver" }, { name = "boss" }]
device = [{ name = "db01" }]
credential = [
    { name = "free@db01" }, { name = "all@db01" }, { name = "ops@db01" }, { name = "calm@db01" },
    { name = "levels@db01" }, { name = "said@db01" }, { name = "coded@db01" },
]

[[access_group]]
name = "free"
users = ["operator"]
criteria = { accounts = ["free"] }
session = {}

[[access_group]]
name = "all"
users = ["operator"]
criteria = { accounts = ["all"] }
session = { justification = true, change = true }
request = { governance = true }

[[access_group]]
name = "ops"
users = ["operator"]
approvers = ["approver"]
criteria = { accounts = ["ops"] }
session = { justification = true, emergency = true, approval = { needed = 1 } }

[[access_group]]
name = "calm"
users = ["operator"]
approvers = ["approver"]
criteria = { accounts = ["calm"] }
session = { approval = { needed = 1 } }

[[access_group]]
name = "levels"
users = ["operator"]
approvers = ["approver", { user = "boss", level = 2 }]
criteria = { accounts = ["levels"] }
session = { approval = { needed = 1, levels = true } }

[[access_group]]
name = "said"
users = ["operator"]
criteria = { accounts = ["said"] }
session = { justification = true }

[[access_group]]
name = "coded"
users = ["operator"]
approvers = ["approver"]
criteria = { accounts = ["coded"] }
session = { approval = { needed = 1 } }
request = { governance = true }
"#;

struct World {
    admission: Admission,
    base: testing::World,
}

impl World {
    async fn new() -> Self {
        let base = testing::World::new(RESOURCES).await;
        let ssh_name = SshName { host: "gate.example.org".to_owned(), port: 2222 };
        let (access, requests, audit) = (base.access.clone(), base.requests.clone(), base.audit.clone());
        let admission = Admission::new(access, requests, audit, ssh_name);
        Self { admission, base }
    }

    async fn begin(&self, target: &str) -> (Conversation, Step) {
        let origin = "192.0.2.7".parse().unwrap();
        self.admission.begin(proved("operator"), target.parse().unwrap(), origin).await.unwrap()
    }

    /// A conversation whose request waits, and the request.
    async fn waiting(&self, target: &str) -> (Conversation, RequestId) {
        let (mut conversation, step) = self.begin(target).await;
        let request = waits(step);
        conversation.pause = Duration::from_secs(600);
        (conversation, request)
    }

    async fn votes(&self, who: &str, request: RequestId, yes: bool) {
        let (user, by, comment) = (user(who), by(who), Some("so be it".parse().unwrap()));
        let requests = &self.base.requests;
        let done = if yes {
            requests.approve(request, &user, &by, comment, Narrowed::default()).await
        } else {
            requests.reject(request, &user, &by, comment).await
        };
        done.unwrap();
    }

    /// A session that rests on the permit begins.
    async fn begins(&self, permit: &Permit) {
        let (session, origin) = (crate::session::new_id(), permit.origin().unwrap());
        self.base.store.session_begin(session, permit, origin, jiff::Timestamp::now()).await.unwrap();
    }

    async fn refusals(&self) -> usize {
        let records = self.base.records().await;
        records.iter().filter(|record| matches!(record.event, Event::SessionRefused { .. })).count()
    }
}

/// A request that is made ahead.
fn ahead(target: &str, wish: Wish, limits: Limits) -> NewRequest {
    NewRequest {
        user: user("operator"),
        targets: vec![target.parse().unwrap()],
        action: Action::Session,
        claims: Claims::default(),
        wish,
        limits,
        origin: None,
    }
}

fn asks(step: Step) -> Ask {
    match step {
        Step::Ask(ask) => ask,
        other => panic!("nothing is asked: {other:?}"),
    }
}

fn waits(step: Step) -> RequestId {
    match asks(step).question {
        Question::Waiting { request, .. } => request,
        other => panic!("nothing is waited for: {other:?}"),
    }
}

fn admitted(step: Step) -> Permit {
    match step {
        Step::Admitted(permit) => *permit,
        other => panic!("not admitted: {other:?}"),
    }
}

fn refused(step: Step) -> String {
    match step {
        Step::Refused(sentence) => sentence,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn who_needs_to_say_nothing_is_admitted_and_who_may_not_is_refused_and_logged() {
    let world = World::new().await;
    let permit = admitted(world.begin("free@db01").await.1);
    assert_eq!(permit.origin(), Some("192.0.2.7".parse().unwrap()));
    assert_eq!(world.refusals().await, 0);
    let sentence = refused(world.begin("free@db02").await.1);
    assert!(sentence.contains("access to free@db02 is not given to you"), "{sentence}");
    assert_eq!(world.refusals().await, 1);
}

#[tokio::test]
async fn what_the_group_wants_is_asked_one_by_one_and_a_wrong_answer_again() {
    let world = World::new().await;
    world.base.apply("[[reason]]\nname = \"incident\"\n[[reason]]\nname = \"patching\"\n").await;
    approved(&world.base.store, "CHG-7", "all").await;
    let target = "all@db01".parse::<CredentialName>().unwrap();
    let (mut conversation, step) = world.begin("all@db01").await;
    assert_eq!(asks(step), Ask::of(Question::Justification { target: target.clone() }));
    let again = asks(conversation.answer(" ").await.unwrap());
    assert_eq!(again.instructions(), "This can't be left empty; Ctrl-C leaves.");
    let again = asks(conversation.answer("a\u{7}b").await.unwrap());
    assert!(again.wrong.is_some() && !again.instructions().contains('\u{7}'), "{again:?}");
    let reasons = ["incident", "patching"].map(|reason| reason.parse().unwrap()).to_vec();
    let ask = asks(conversation.answer("ticket 7").await.unwrap());
    assert_eq!(ask, Ask::of(Question::Reason { target: target.clone(), reasons }));
    assert_eq!(ask.instructions(), "Access to all@db01 wants a reason:\n  1  incident\n  2  patching\n");
    for wrong in ["0", "3", "other"] {
        let again = asks(conversation.answer(wrong).await.unwrap());
        assert_eq!(
            again.instructions(),
            "That is none of them; choose one of incident, patching.",
            "{wrong}"
        );
    }
    let ask = asks(conversation.answer("2").await.unwrap());
    let open =
        vec![OpenChange { id: "CHG-7".parse().unwrap(), title: "Restart the database".parse().unwrap() }];
    assert_eq!(ask, Ask::of(Question::Change { target: target.clone(), open }));
    let shown = "Access to all@db01 wants an approved change:\n  1  CHG-7  Restart the database\n";
    assert_eq!(ask.instructions(), shown);
    assert!(asks(conversation.answer("not an id!").await.unwrap()).wrong.is_some());
    let again = asks(conversation.answer("CHG-8").await.unwrap());
    assert_eq!(again.instructions(), "there is no change `CHG-8` that is open to you.");
    let ask = asks(conversation.answer("1").await.unwrap());
    assert_eq!(ask, Ask::of(Question::Governance { target }));
    let permit = admitted(conversation.answer("INC-1").await.unwrap());
    let claims = permit.claims();
    assert_eq!(claims.justification, Some("ticket 7".parse().unwrap()));
    assert_eq!(claims.reason, Some("patching".parse().unwrap()));
    assert_eq!(claims.change, Some("CHG-7".parse().unwrap()));
    assert_eq!(claims.governance, Some("INC-1".parse().unwrap()));
}

#[tokio::test]
async fn where_no_change_is_open_the_sentence_says_how_to_make_one() {
    let world = World::new().await;
    let (mut conversation, _) = world.begin("all@db01").await;
    let sentence = refused(conversation.answer("ticket 7").await.unwrap());
    assert_eq!(
        sentence,
        "access to all@db01 wants an approved change, and none is open for it now; `change list` shows yours, \
         `change create` makes one"
    );
}

#[tokio::test]
async fn who_answers_with_nothing_for_ever_has_no_terminal() {
    let world = World::new().await;
    let (mut conversation, _) = world.begin("all@db01").await;
    for _ in 1..MOST_EMPTY {
        asks(conversation.answer("").await.unwrap());
    }
    let sentence = refused(conversation.answer("").await.unwrap());
    // All that its group wants: a request without it would be refused.
    let typed = "ssh -p 2222 operator@gate.example.org request create all@db01 --justification '...' --change ID \
                 --governance CODE";
    assert!(sentence.ends_with(typed), "{sentence}");
}

#[tokio::test]
async fn a_wait_ends_with_the_approval_and_says_meanwhile_that_it_lasts() {
    let world = World::new().await;
    let (mut conversation, request) = world.waiting("levels@db01").await;
    let text = conversation.ask().instructions();
    assert!(text.contains("is made for 1 approval in each level. You get in as soon as"), "{text}");
    assert!(conversation.ask().question.prompt().is_none());
    conversation.pause = Duration::from_millis(1);
    let text = asks(conversation.answer("").await.unwrap()).instructions();
    assert_eq!(text, format!("Request {request} still waits for approval (0 min 00 s)."));
    conversation.pause = Duration::from_secs(600);
    let ((), step) = tokio::join!(
        async {
            world.votes("approver", request, true).await;
            world.votes("boss", request, true).await;
        },
        conversation.answer("")
    );
    assert_eq!(admitted(step.unwrap()).request(), Some(request));
}

#[tokio::test]
async fn a_rejection_ends_the_wait_with_who_and_why() {
    let world = World::new().await;
    let (mut conversation, request) = world.waiting("calm@db01").await;
    let ((), step) = tokio::join!(world.votes("approver", request, false), conversation.answer(""));
    let sentence = refused(step.unwrap());
    assert_eq!(sentence, format!("request {request} was rejected by approver: so be it"));
}

#[tokio::test]
async fn who_is_disabled_while_they_wait_is_out() {
    let world = World::new().await;
    let (mut conversation, _) = world.waiting("calm@db01").await;
    let out = world.base.apply("[[user]]\nname = \"operator\"\nenabled = false\n");
    let ((), step) = tokio::join!(out, conversation.answer(""));
    assert!(refused(step.unwrap()).contains("disabled"));
}

#[tokio::test]
async fn who_comes_again_joins_what_waits_and_is_asked_nothing_twice() {
    let world = World::new().await;
    let (_, request) = world.waiting("calm@db01").await;
    let (second, step) = world.begin("calm@db01").await;
    assert_eq!(waits(step), request);
    assert!(second.ask().instructions().contains("already waits"), "{:?}", second.ask());
    // One that asks for a justification has it from the request.
    let (mut first, _) = world.begin("ops@db01").await;
    asks(first.answer("ticket 7").await.unwrap());
    // No emergency, and for as long as is usual.
    asks(first.answer("").await.unwrap());
    let request = waits(first.answer("").await.unwrap());
    let (mut second, step) = world.begin("ops@db01").await;
    assert_eq!(asks(step).question, Question::Emergency);
    assert_eq!(waits(second.answer("").await.unwrap()), request);
}

#[tokio::test]
async fn who_has_answered_why_is_asked_for_how_long_and_no_longer_than_the_group_gives() {
    let world = World::new().await;
    let group = "[[access_group]]\nname = \"ops\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
                 criteria = { accounts = [\"ops\"] }\nconditions = { longest = \"2h\" }\n\
                 session = { justification = true, approval = { needed = 1 } }\n";
    world.base.apply(group).await;
    let (mut conversation, _) = world.begin("ops@db01").await;
    let ask = asks(conversation.answer("ticket 7").await.unwrap());
    let length = |text: &str| text.parse::<tidegate_common::time::Length>().unwrap();
    let (target, usual, longest) = ("ops@db01".parse().unwrap(), length("60m"), Some(length("2h")));
    assert_eq!(ask, Ask::of(Question::Duration { target, usual, longest }));
    assert_eq!(ask.question.prompt().as_deref(), Some("For how long [1h]: "));
    assert_eq!(
        ask.instructions(),
        "For how long do you want access to ops@db01? Press Enter for 1h, or type another length, such as 15m; 2h at \
         most."
    );
    for (typed, told) in [
        ("soon", "`soon` is not a length of time; write it as 90m, 2h, 3d, 1 month or 1h 30m."),
        ("0m", "a length of time must be longer than nothing."),
        ("5s", "Access is asked for a minute at least and for 366 days at most; say one between these."),
        ("121m", "Access to ops@db01 is given for 2h at most; say that or less."),
    ] {
        assert_eq!(asks(conversation.answer(typed).await.unwrap()).instructions(), told);
    }
    let request = waits(conversation.answer(" 30m ").await.unwrap());
    let wish = world.base.requests.get(request).await.unwrap().wish;
    assert_eq!(wish, Wish { start: None, duration: Some(length("30m")) });
    world.votes("approver", request, false).await;

    // An empty answer is for as long as is usual.
    let (mut conversation, _) = world.begin("ops@db01").await;
    asks(conversation.answer("ticket 8").await.unwrap());
    let request = waits(conversation.answer("").await.unwrap());
    assert_eq!(world.base.requests.get(request).await.unwrap().wish, Wish::default());
}

#[tokio::test]
async fn an_emergency_is_asked_for_where_the_group_allows_it_and_lets_in_at_once() {
    let world = World::new().await;
    let (mut conversation, _) = world.begin("ops@db01").await;
    let ask = asks(conversation.answer("ticket 7").await.unwrap());
    assert_eq!(
        (ask.question.clone(), ask.question.prompt()),
        (Question::Emergency, Some("Emergency, why it cannot wait (Enter: none): ".into()))
    );
    // What is no text is asked again, and no emergency.
    assert!(asks(conversation.answer("\u{202e}").await.unwrap()).wrong.is_some());
    let permit = admitted(conversation.answer("the shop is down").await.unwrap());
    assert_eq!(permit.claims().emergency, Some("the shop is down".parse().unwrap()));
    let request = world.base.requests.get(permit.request().unwrap()).await.unwrap();
    assert!(request.wants_review());
}

#[tokio::test]
async fn a_word_that_says_no_is_no_emergency_and_goes_on_as_nothing_does() {
    let world = World::new().await;
    for typed in ["", "n", "No", " none ", "-", "<"] {
        let (mut conversation, _) = world.begin("ops@db01").await;
        assert_eq!(
            asks(conversation.answer("ticket 7").await.unwrap()).question,
            Question::Emergency,
            "{typed:?}"
        );
        // One that says yes says not why, and is asked again.
        let again = asks(conversation.answer("Yes").await.unwrap());
        assert_eq!(
            (again.question, again.wrong.as_deref()),
            (Question::Emergency, Some("an emergency says why it cannot wait"))
        );
        let next = asks(conversation.answer(typed).await.unwrap());
        assert!(matches!(next.question, Question::Duration { .. }) && next.wrong.is_none(), "{next:?}");
    }
    // Nor is it an answer, after which it would be asked for how long.
    let group = "[[access_group]]\nname = \"calm\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
                 criteria = { accounts = [\"calm\"] }\n\
                 session = { emergency = true, approval = { needed = 1 } }\n";
    world.base.apply(group).await;
    let (mut conversation, step) = world.begin("calm@db01").await;
    assert_eq!(asks(step).question, Question::Emergency);
    let request = waits(conversation.answer("no").await.unwrap());
    let request = world.base.requests.get(request).await.unwrap();
    assert!(request.claims.emergency.is_none() && !request.wants_review());
}

#[tokio::test]
async fn an_emergency_lets_in_beside_a_request_that_waits() {
    let world = World::new().await;
    let (mut first, _) = world.begin("ops@db01").await;
    asks(first.answer("ticket 7").await.unwrap());
    // No emergency, and for as long as is usual.
    asks(first.answer("").await.unwrap());
    let request = waits(first.answer("").await.unwrap());
    assert!(first.ask().instructions().ends_with("leave and come again."), "{:?}", first.ask());
    let (mut second, _) = world.begin("ops@db01").await;
    let permit = admitted(second.answer("the shop is down").await.unwrap());
    assert!(permit.request().is_some_and(|own| own != request));
}

#[tokio::test]
async fn an_approval_for_later_says_when() {
    let world = World::new().await;
    let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(2);
    let new = ahead("calm@db01", Wish { start: Some(start), duration: None }, Limits::default());
    let request = world.base.requests.create(new).await.unwrap().id;
    world.votes("approver", request, true).await;
    let sentence = refused(world.begin("calm@db01").await.1);
    assert!(
        sentence.contains(&format!("request {request} is approved, but its time begins only at")),
        "{sentence}"
    );
}
