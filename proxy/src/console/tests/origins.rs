//! From where something was asked: known for who logged in, and nothing for the host's own administrator.

use tidegate_common::audit::Actor;
use tidegate_common::id::RequestId;

use super::World;
use crate::access::By;
use crate::requests::Narrowed;
use crate::store::RemoteAccessFilter;
use crate::testing::user;

#[tokio::test]
async fn what_comes_from_nowhere_that_is_known_has_no_origin_and_never_the_hosts_own() {
    let world = World::new().await;
    let known: Option<std::net::IpAddr> = Some("192.0.2.7".parse().unwrap());
    let done = async |who: &str, line: &str, input: &str| {
        let done = world.says_with(who, line, input).await;
        assert_eq!(done.status, 0, "{line}: {}", done.err);
    };
    done("operator", "request create ops@db01 -j x", "").await;
    done("approver", "request approve 1", "").await;
    done("root", "request revoke 1 -m stop", "").await;
    done("operator", "request create ops@db01 -j y", "").await;
    let group = "[[user_group]]\nname = \"field\"\nusers = [\"operator\"]\n";
    done("root", "apply -f -", group).await;
    done("root", "remote-access batch field --justification x --duration 2h", "").await;

    let records = world.services.audit.last(1000).await;
    let by_user = |actor: &Actor| matches!(actor, Actor::User(_));
    for record in &records {
        assert_eq!(record.origin, known.filter(|_| by_user(&record.actor)), "{record:?}");
    }
    assert!(records.iter().filter(|record| record.actor == Actor::LocalAdmin).count() >= 3);

    let requests = &world.services.requests;
    let request = requests.get(RequestId(1)).await.unwrap();
    assert_eq!((request.origin, request.votes[0].origin), (known, known));
    let nowhere = By { actor: Actor::User(user("approver")), origin: None, login: None };
    let approver = user("approver");
    let voted = requests.approve(RequestId(2), &approver, &nowhere, None, Narrowed::default()).await;
    assert_eq!(voted.unwrap().votes[0].origin, None);

    let accesses = world.services.remote_accesses.list(&RemoteAccessFilter::default()).await.unwrap();
    assert_eq!(accesses.iter().map(|access| access.origin).collect::<Vec<_>>(), [None]);
    for line in ["request show 1 -o json", "request show 2 -o json", "remote-access list -o json"] {
        let shown = world.says("auditor", line).await.out;
        assert!(shown.starts_with(['[', '{']) && !shown.contains("127.0.0.1"), "{line}: {shown}");
    }
}
