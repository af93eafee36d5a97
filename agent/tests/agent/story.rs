//! What an agent does from its enrolment to its end.

use std::time::{Duration, SystemTime};

use tidegate_common::grant::{Groups, Privilege};
use tidegate_common::wire::{FromAgent, FromProxy, GrantOrder};

use super::host::{Host, Running, possible};
use super::proxy::{Link, Proxy, id};

const LONG: Duration = Duration::from_secs(30);

fn order(number: u64) -> GrantOrder {
    let groups = Groups { groups: vec!["tg-docker".parse().unwrap()] };
    let sudo = serde_json::from_str(r#"{"kind":"sudo","commands":["/usr/bin/id"]}"#).unwrap();
    GrantOrder {
        session: id(number),
        account: "ops".parse().unwrap(),
        privileges: vec![sudo, Privilege::Groups(groups)],
        expires: Some(jiff::Timestamp::now() + Duration::from_secs(3600)),
        gate: None,
    }
}

pub async fn enrolled() -> (Proxy, Host) {
    let proxy = Proxy::start().await;
    let host = Host::new(&proxy.address());
    let token = proxy.token();
    let mut enrolling = host.start(&["enrol", "--token", &token]);
    let mut link = proxy.accept().await.unwrap();
    assert!(!link.known);
    let FromAgent::Enrol(enrol) = link.hear().await else { panic!("no enrolment") };
    assert_eq!(enrol.token.reveal(), "s3cret");
    link.say(&FromProxy::Enrolled(proxy.issue(&enrol.csr))).await;
    assert!(enrolling.wait().success());
    (proxy, host)
}

/// A host whose agent runs under such a lease; `None` where there can be none.
async fn linked(lease: Duration) -> Option<(Proxy, Host, Running, Link)> {
    if !possible() {
        return None;
    }
    let (proxy, host) = enrolled().await;
    let agent = host.start(&["run"]);
    let (link, _) = proxy.welcome(lease).await;
    Some((proxy, host, agent, link))
}

pub async fn granted(link: &mut Link, number: u64) {
    link.say(&FromProxy::Grant(order(number))).await;
    loop {
        match link.news().await {
            FromAgent::Granted { session, receipt } => {
                assert_eq!(session, id(number));
                assert_eq!(receipt.applied.len(), 2);
                return;
            }
            // What the kernel told meanwhile comes when it does.
            FromAgent::Witnessed(_) => {}
            other => panic!("not granted: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_grant_is_in_force_when_it_is_told_and_gone_when_its_end_is() {
    if !possible() {
        return;
    }
    let (proxy, host) = enrolled().await;
    let mut agent = host.start(&["run"]);
    let (mut link, hello) = proxy.welcome(LONG).await;
    assert!(hello.live.is_empty() && hello.standing.is_empty());
    granted(&mut link, 1).await;
    assert!(host.sudo_allows() && host.in_group());
    link.say(&FromProxy::Revoke { session: id(1) }).await;
    let FromAgent::Ended { ended, .. } = link.news().await else { panic!("not ended") };
    assert!(ended.standing.is_empty() && ended.drift.is_empty(), "{ended:?}");
    assert!(host.untouched() && !host.sudo_allows());
    host.until("the user CA's file", |host| host.state("user_ca.pub").exists()).await;
    agent.stop();
}

#[tokio::test]
async fn a_lease_without_word_from_the_proxy_ends_every_grant() {
    let Some((proxy, host, _agent, mut link)) = linked(Duration::from_millis(1500)).await else { return };
    granted(&mut link, 1).await;
    assert!(!host.untouched());
    // The link stays open, but nothing comes over it any more.
    host.until("the end of the lease", Host::untouched).await;
    drop(link);
    let (_link, hello) = proxy.welcome(LONG).await;
    assert!(hello.live.is_empty());
}

#[tokio::test]
async fn a_killed_agent_leaves_what_the_sweep_takes_away() {
    let Some((_proxy, host, mut agent, mut link)) = linked(LONG).await else { return };
    granted(&mut link, 1).await;
    // While the agent runs well, a sweep keeps its hands off.
    assert!(host.agent(&["sweep"]).status.success());
    assert!(host.in_group());
    agent.kill();
    assert!(!host.untouched(), "the kill itself undid something");
    assert!(host.agent(&["sweep"]).status.success());
    assert!(host.untouched());
}

#[tokio::test]
async fn an_agent_that_hangs_past_its_leases_is_ended_by_the_sweep() {
    let Some((_proxy, host, agent, mut link)) = linked(Duration::from_millis(1000)).await else { return };
    granted(&mut link, 1).await;
    agent.signal("STOP");
    host.until("the sweep", |host| {
        assert!(host.agent(&["sweep"]).status.success());
        host.untouched()
    })
    .await;
}

#[tokio::test]
async fn an_agent_after_a_killed_one_knows_its_grants_and_ends_them_when_told() {
    let Some((proxy, host, mut agent, mut link)) = linked(LONG).await else { return };
    granted(&mut link, 1).await;
    agent.kill();
    drop(link);
    let _agent = host.start(&["run"]);
    let (mut link, hello) = proxy.welcome(LONG).await;
    assert_eq!(hello.live, [id(1)]);
    link.say(&FromProxy::Lease { gate: None, live: vec![] }).await;
    let FromAgent::Ended { ended, .. } = link.news().await else { panic!("not ended") };
    assert!(ended.standing.is_empty());
    assert!(host.untouched());
}

#[tokio::test]
async fn a_stopped_agent_takes_everything_away_first() {
    let Some((_proxy, host, mut agent, mut link)) = linked(LONG).await else { return };
    granted(&mut link, 1).await;
    takes_everything_back(&host, &mut agent, &mut link).await;
}

/// A stop takes back what was granted, tells it, and is a success.
pub async fn takes_everything_back(host: &Host, agent: &mut Running, link: &mut Link) {
    agent.signal("TERM");
    let FromAgent::Ended { ended, .. } = link.news().await else { panic!("not told") };
    assert!(ended.standing.is_empty());
    assert!(agent.wait().success());
    assert!(host.untouched());
}

#[tokio::test]
async fn a_privilege_that_cannot_be_applied_leaves_nothing_half_done() {
    let Some((_proxy, host, _agent, mut link)) = linked(LONG).await else { return };
    // sudo reads no longer where the agent writes: the rule is placed but not in force.
    std::fs::remove_file(host.directory.join("sudoers.d/tidegate")).unwrap();
    link.say(&FromProxy::Grant(order(1))).await;
    let FromAgent::Refused { failure, .. } = link.news().await else { panic!("not refused") };
    assert!(failure.why.contains("is `tidegate-agent install` done"), "{failure}");
    assert!(host.untouched());
}

#[tokio::test]
async fn a_proxy_that_is_not_the_tokens_gets_neither_token_nor_key() {
    if !possible() {
        return;
    }
    let (proxy, other) = (Proxy::start().await, Proxy::start().await);
    let host = Host::new(&proxy.address());
    let token = other.token();
    let mut enrolling = host.start(&["enrol", "--token", &token]);
    assert!(proxy.accept().await.is_err(), "the handshake went through");
    assert!(!enrolling.wait().success());
    assert!(!host.state("key.pem").exists());
}

#[tokio::test]
async fn a_privilege_of_two_sessions_goes_with_the_last() {
    let Some((_proxy, host, _agent, mut link)) = linked(LONG).await else { return };
    granted(&mut link, 1).await;
    granted(&mut link, 2).await;
    link.say(&FromProxy::Revoke { session: id(1) }).await;
    let FromAgent::Ended { .. } = link.news().await else { panic!("not ended") };
    assert!(host.in_group() && host.sudo_allows(), "the other session lost its privileges");
    link.say(&FromProxy::Revoke { session: id(2) }).await;
    let FromAgent::Ended { .. } = link.news().await else { panic!("not ended") };
    assert!(host.untouched());
}

#[tokio::test]
async fn a_rule_is_written_anew_with_the_later_end_that_its_grant_is_given_and_goes_with_it() {
    let Some((_proxy, host, _agent, mut link)) = linked(LONG).await else { return };
    granted(&mut link, 1).await;
    let rules = || -> Vec<String> {
        let files = std::fs::read_dir(host.directory.join("run/sudoers.d")).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    };
    let until = jiff::Timestamp::now() + Duration::from_secs(7200);
    let (session, gate) = (id(1), "gate1".parse().unwrap());
    link.say(&FromProxy::Extend { session, gate, until }).await;
    assert_eq!(link.news().await, FromAgent::Extended { session, until });
    let [rule] = &rules()[..] else { panic!("{:?}", rules()) };
    let dated = rule.contains("NOTAFTER");
    assert!(!dated || rule.contains(&until.strftime("NOTAFTER=%Y%m%d%H%M%SZ ").to_string()), "{rule}");
    assert!(host.sudo_allows() && host.in_group());
    link.say(&FromProxy::Revoke { session }).await;
    let FromAgent::Ended { ended, .. } = link.news().await else { panic!("not ended") };
    assert!(ended.standing.is_empty() && ended.drift.is_empty(), "{ended:?}");
    assert!(host.untouched());
}

#[tokio::test]
async fn a_certificate_two_thirds_old_is_renewed_over_the_link() {
    if !possible() {
        return;
    }
    let proxy = Proxy::start().await;
    let host = Host::new(&proxy.address());
    let token = proxy.token();
    let mut enrolling = host.start(&["enrol", "--token", &token]);
    let mut link = proxy.accept().await.unwrap();
    let FromAgent::Enrol(enrol) = link.hear().await else { panic!("no enrolment") };
    link.say(&FromProxy::Enrolled(proxy.issue_old(&enrol.csr))).await;
    assert!(enrolling.wait().success());
    let old = std::fs::read(host.state("certificate.pem")).unwrap();
    let _agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    let FromAgent::Renew { csr } = link.news().await else { panic!("not renewed") };
    link.say(&FromProxy::Enrolled(proxy.issue(&csr))).await;
    let path = host.state("certificate.pem");
    host.until("the new certificate", |_| std::fs::read(&path).is_ok_and(|now| now != old)).await;
}

#[tokio::test]
async fn a_host_with_its_account_files_locked_refuses_and_grants_when_they_are_free() {
    let Some((_proxy, host, _agent, mut link)) = linked(LONG).await else { return };
    let lock = host.lock_accounts();
    link.say(&FromProxy::Grant(order(1))).await;
    let FromAgent::Refused { failure, .. } = link.news().await else { panic!("not refused") };
    assert!(failure.why.contains(".pwd.lock"), "{failure}");
    assert!(host.untouched());
    drop(lock);
    granted(&mut link, 2).await;
}

#[tokio::test]
async fn a_rule_with_every_field_is_found_in_force() {
    let Some((_proxy, _host, _agent, mut link)) = linked(LONG).await else { return };
    let long = format!("/usr/bin/systemctl restart {}@15-main.service", "a-rather-long-name-".repeat(12));
    for (number, fields) in [
        format!(
            r#""run_as":["root","ops"],"commands":["{long}","/usr/bin/id -u"],"tags":["PASSWD","NOEXEC"]"#
        ),
        r#""run_as":["ALL"],"tags":["NOPASSWD","SETENV"]"#.to_owned(),
        r#""tags":[]"#.to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let mut order = order(number as u64 + 1);
        order.expires = None;
        order.privileges = vec![serde_json::from_str(&format!(r#"{{"kind":"sudo",{fields}}}"#)).unwrap()];
        link.say(&FromProxy::Grant(order)).await;
        match link.news().await {
            FromAgent::Granted { .. } => {}
            other => panic!("{fields}: {other:?}"),
        }
    }
}

/// How a point of the doctor's stands, and what was found.
fn point(host: &Host, name: &str) -> (String, String) {
    let said = host.agent(&["doctor", "-o", "json"]).stdout;
    let points: serde_json::Value = serde_json::from_slice(&said).unwrap();
    let mut points = points.as_array().unwrap().iter();
    let point = points.find(|point| point["point"] == name).unwrap();
    let text = |field: &str| point[field].as_str().unwrap().to_owned();
    (text("verdict"), text("found"))
}

#[tokio::test]
async fn doctor_compares_the_clock_with_the_proxys_over_the_agents_own_link() {
    if !possible() {
        return;
    }
    let (proxy, host) = enrolled().await;
    assert_eq!(point(&host, "proxy clock").0, "warning", "nothing was heard yet");
    for (seconds, verdict, told) in [
        (0, "ok", "within"),
        (10, "warning", "s ahead of the proxy's"),
        (90, "wrong", "no session can log in"),
    ] {
        let mut agent = host.start(&["run"]);
        let now = SystemTime::now() - Duration::from_secs(seconds);
        let (link, _) = proxy.welcome_at(LONG, now).await;
        host.until("the welcome is kept", |host| {
            let state = std::fs::read_to_string(host.directory.join("run/link")).unwrap_or_default();
            state.contains("\"lost\":null")
        })
        .await;
        let (stands, found) = point(&host, "proxy clock");
        assert!(stands == verdict && found.contains(told), "{seconds}: {stands}: {found}");
        drop(link);
        agent.kill();
        std::fs::remove_file(host.directory.join("run/link")).unwrap();
    }
}
