//! What somebody with root does so that the kernel tells nothing: it is told, and what can
//! be put right is.

use tidegate_common::wire::{FromAgent, FromProxy};

use super::audit::{Audit, EXCLUDE, EXIT, FIRST, TASK, never};
use super::host::Host;
use super::proxy::{Link, Proxy, id};
use super::story::granted;
use super::witness::{LONG, Served, the_rest, watching};

/// The kinds of records that audit's fields name (linux/audit.h).
const KIND: u32 = 12;
const CONFIG_CHANGE: u32 = 1305;
const LOGIN: u32 = 1006;
const LOGINUID: u32 = 9;

/// A watching agent on a machine without rules of its own; none, said why, elsewhere.
async fn alone() -> Option<(Audit, Proxy, Host)> {
    let (audit, proxy, host) = watching().await?;
    if !audit.state().rules.is_empty() {
        println!("SKIPPED: the machine has audit rules of its own");
        return None;
    }
    Some((audit, proxy, host))
}

/// Waits for a remark on a session, which tells of a loss.
async fn until_remark(link: &mut Link, number: u64, words: &str) {
    loop {
        if let FromAgent::Witnessed(said) = link.news().await {
            link.say(&FromProxy::Noted { number: said.number }).await;
            let has = said.remarks.iter().any(|why| why.as_str().contains(words));
            if said.session == id(number) && has {
                assert!(said.lost > 0, "{:?}", said.remarks);
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_rule_that_somebody_puts_before_the_agents_is_told_and_the_agents_go_first_again() {
    let Some((audit, proxy, host)) = alone().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    host.until("the agent's rules", |_| audit.state().rules.len() == 2).await;
    let ours = audit.state().rules;
    // auditctl -A never,exit -S all
    audit.add(&never(EXIT | FIRST, None));
    until_remark(&mut link, 1, "put another before them").await;
    let now = audit.state().rules;
    let word =
        |rule: &[u8], place: usize| u32::from_ne_bytes(rule[place * 4..place * 4 + 4].try_into().unwrap());
    assert!(ours.iter().all(|own| now[..2].contains(own)), "the agent's are first");
    assert_eq!((now.len(), word(&now[2], 0), word(&now[2], 1)), (3, EXIT, 0), "the other's stays, behind");
    let mut served = Served::dial(&mut link, 1, "/bin/echo seen-again").await;
    served.await_command();
    let heard = the_rest(&mut link, 1).await;
    assert!(
        heard.commands().iter().any(|command| command == "/bin/echo seen-again"),
        "{:?}",
        heard.commands()
    );
    // The next session finds the rule there, and the agent's before it.
    granted(&mut link, 2).await;
    let mut served = Served::dial(&mut link, 2, "/bin/echo seen-too").await;
    served.await_command();
    let heard = the_rest(&mut link, 2).await;
    assert!(heard.commands().iter().any(|command| command == "/bin/echo seen-too"), "{:?}", heard.commands());
    assert_eq!(heard.lost, 0, "{:?}", heard.remarks);
    agent.stop();
    audit.remove(&never(EXIT, None));
    // It stays on for a rule of somebody else's.
    assert_eq!(audit.state().rules, before.rules);
}

#[tokio::test]
async fn a_false_rule_of_the_agents_name_does_not_stand_for_its_own() {
    let Some((audit, proxy, host)) = alone().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    host.until("the agent's rules", |_| audit.state().rules.len() == 2).await;
    let ours = audit.state().rules;
    // The same with other system calls: nothing is told of an exec then.
    let false_ones = ours.clone().into_iter().map(|mut rule| {
        rule[12..12 + 256].rotate_left(64);
        rule
    });
    let false_ones: Vec<Vec<u8>> = false_ones.collect();
    for (own, false_one) in ours.iter().zip(&false_ones) {
        audit.add(false_one);
        audit.remove(own);
    }
    until_remark(&mut link, 1, "somebody removed the agent's audit rules").await;
    host.until("the agent's own rules", |_| ours.iter().all(|own| audit.state().rules.contains(own))).await;
    false_ones.iter().for_each(|rule| audit.remove(rule));
    the_rest(&mut link, 1).await;
    agent.stop();
    assert_eq!(audit.state(), before);
}

#[tokio::test]
async fn rules_that_hide_processes_or_records_are_told_while_they_stand_and_by_the_doctor() {
    let Some((audit, proxy, host)) = alone().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    let fine = host.agent(&["doctor"]);
    let doctor = |said: &std::process::Output| String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(doctor(&fine).contains("tells all that runs"), "{}", doctor(&fine));
    let cases = [
        (never(TASK, Some((LOGINUID, 4000))), "-a never,task"),
        // Of the change itself nothing is heard then.
        (never(EXCLUDE, Some((KIND, CONFIG_CHANGE))), "-a always,exclude"),
        (never(EXCLUDE, Some((KIND, LOGIN))), "-a always,exclude"),
    ];
    for (number, (rule, named)) in (1..).zip(cases) {
        granted(&mut link, number).await;
        host.until("the agent's rules", |_| audit.state().rules.len() == 2).await;
        audit.add(&rule);
        until_remark(&mut link, number, named).await;
        let found = host.agent(&["doctor"]);
        assert!(doctor(&found).contains(named), "{}", doctor(&found));
        // A session that begins meanwhile is told too.
        granted(&mut link, number + 10).await;
        until_remark(&mut link, number + 10, named).await;
        audit.remove(&rule);
        the_rest(&mut link, number + 10).await;
        the_rest(&mut link, number).await;
    }
    agent.stop();
    assert_eq!(audit.state(), before);
}

#[tokio::test]
async fn what_blinds_for_a_moment_is_told_also_when_it_is_over_before_anybody_looks() {
    let Some((audit, proxy, host)) = alone().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    host.until("the agent's rules", |_| audit.state().rules.len() == 2).await;
    for rule in [never(EXIT | FIRST, None), never(EXCLUDE, Some((KIND, CONFIG_CHANGE)))] {
        audit.add(&rule);
        audit.remove(&never(u32::from(rule[0]) & !FIRST, (rule[8] == 1).then_some((KIND, CONFIG_CHANGE))));
        until_remark(&mut link, 1, "came and went").await;
    }
    audit.enable(0);
    audit.enable(1);
    until_remark(&mut link, 1, "switched the kernel's audit off").await;
    audit.enable(0);
    until_remark(&mut link, 1, "switched the kernel's audit off").await;
    host.until("audit is on again", |_| audit.state().enabled == 1).await;
    let mut served = Served::dial(&mut link, 1, "/bin/echo seen-again").await;
    served.await_command();
    let heard = the_rest(&mut link, 1).await;
    assert!(
        heard.commands().iter().any(|command| command == "/bin/echo seen-again"),
        "{:?}",
        heard.commands()
    );
    agent.stop();
    assert_eq!(audit.state(), before);
}
