//! The program is replaced while sessions live: they go on, or everything is taken back.

use std::time::Duration;

use tidegate_common::id::SessionId;
use tidegate_common::wire::{FromAgent, FromProxy};

use super::host::{Host, Running, possible};
use super::proxy::{Link, Proxy, id};
use super::story::{enrolled, granted, takes_everything_back};

const LONG: Duration = Duration::from_secs(30);

/// A session that lives, under an agent from a file that can be replaced.
async fn living(lease: Duration) -> Option<(Proxy, Host, Running, Link)> {
    if !possible() {
        return None;
    }
    let (proxy, host) = enrolled().await;
    let agent = host.start_own(&["run"]);
    let (mut link, _) = proxy.welcome(lease).await;
    granted(&mut link, 1).await;
    Some((proxy, host, agent, link))
}

/// Reloads beside the proxy, which has to hear and answer meanwhile.
pub async fn reload(host: &Host) -> std::process::Output {
    let mut reloading = host.start_quiet(&["reload"]);
    host.until("the end of the reload", |_| reloading.has_ended()).await;
    reloading.output()
}

pub async fn relinked(proxy: &Proxy, link: Link, live: &[SessionId]) -> Link {
    drop(link);
    let (mut link, hello) = proxy.welcome(LONG).await;
    assert_eq!(hello.live, live);
    link.say(&FromProxy::Lease { gate: None, live: live.to_vec() }).await;
    while link.hear().await != FromAgent::Alive {}
    link
}

#[tokio::test]
async fn a_program_that_is_replaced_keeps_its_grants_its_process_and_the_lock() {
    let Some((proxy, host, agent, mut link)) = living(LONG).await else { return };
    granted(&mut link, 2).await;
    let before = agent.program();
    // As a package manager does: the old file is gone, another has its name.
    host.replace_program();
    for _ in 0..2 {
        let said = reload(&host).await;
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        link = relinked(&proxy, link, &[id(1), id(2)]).await;
        assert!(host.sudo_allows() && host.in_group());
        // The lock was not given up: a sweep finds an agent at work.
        assert!(host.agent(&["sweep"]).status.success());
        assert!(host.in_group());
    }
    assert_ne!(agent.program(), before, "the replaced program still runs");
    for number in [1, 2] {
        link.say(&FromProxy::Revoke { session: id(number) }).await;
        let FromAgent::Ended { ended, .. } = link.news().await else { panic!("not ended") };
        assert!(ended.standing.is_empty() && ended.drift.is_empty(), "{ended:?}");
    }
    assert!(host.untouched() && !host.sudo_allows());
    assert!(!host.state("previous").exists());
}

#[tokio::test]
async fn a_program_that_cannot_take_over_is_refused_with_a_sentence_and_all_stays() {
    let Some((_proxy, host, agent, mut link)) = living(LONG).await else { return };
    let program = agent.program();
    for (script, sentence) in [
        ("#!/bin/sh\necho 'this is no agent'\nexit 1\n", "can't take over: this is no agent"),
        ("#!/bin/sh\nexec sleep 1000\n", "took longer than 5000 ms"),
        ("\u{7f}ELF", "could not be started"),
    ] {
        host.put_program(script);
        let said = reload(&host).await;
        let why = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && why.contains(sentence) && why.contains("stays"), "{why}");
    }
    assert_eq!(agent.program(), program);
    // It works as before, and the link has never been away.
    granted(&mut link, 2).await;
    link.say(&FromProxy::Lease { gate: None, live: vec![] }).await;
    for _ in 0..2 {
        let FromAgent::Ended { ended, .. } = link.news().await else { panic!("not ended") };
        assert!(ended.standing.is_empty(), "{ended:?}");
    }
    assert!(host.untouched());
}

#[tokio::test]
async fn a_program_that_dies_as_it_starts_leaves_what_the_sweep_of_the_old_one_takes_away() {
    let Some((_proxy, host, mut agent, _link)) = living(LONG).await else { return };
    host.put_program("#!/bin/sh\n[ \"$1\" = check-handover ]\n");
    let said = reload(&host).await;
    let why = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && why.contains("the agent ended"), "{why}");
    assert!(!agent.wait().success());
    assert!(!host.untouched());
    let previous = host.state("previous");
    assert!(host.run(previous.to_str().unwrap(), &["sweep"]).status.success());
    assert!(host.untouched());
}

#[tokio::test]
async fn a_lease_that_runs_out_while_the_program_is_replaced_ends_its_grant() {
    let Some((_proxy, host, _agent, link)) = living(Duration::from_secs(2)).await else { return };
    let said = reload(&host).await;
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    // The proxy does not answer any more.
    drop(link);
    host.until("the end of the lease", Host::untouched).await;
}

#[tokio::test]
async fn a_stop_after_a_replacement_takes_everything_back_and_tells() {
    let Some((proxy, host, mut agent, link)) = living(LONG).await else { return };
    assert!(reload(&host).await.status.success());
    let mut link = relinked(&proxy, link, &[id(1)]).await;
    takes_everything_back(&host, &mut agent, &mut link).await;
}

#[tokio::test]
async fn what_a_session_left_behind_is_told_after_a_replacement_after_a_kill_and_again_on_the_next_link() {
    let Some((proxy, host, mut agent, link)) = living(LONG).await else { return };
    begun(&host, id(1)).await;
    std::fs::create_dir_all(host.directory.join("etc/cron.d")).unwrap();
    std::fs::write(host.directory.join("etc/cron.d/before"), "").unwrap();
    assert!(reload(&host).await.status.success());
    let mut link = relinked(&proxy, link, &[id(1)]).await;
    link.say(&FromProxy::Revoke { session: id(1) }).await;
    assert!(told(&mut link, id(1)).await.iter().any(|what| what.ends_with("cron.d/before")));
    // Nobody said that it has arrived.
    drop(link);
    let (mut link, _) = proxy.welcome(LONG).await;
    assert!(told(&mut link, id(1)).await.iter().any(|what| what.ends_with("cron.d/before")));
    link.say(&FromProxy::Reported { session: id(1) }).await;

    granted(&mut link, 2).await;
    begun(&host, id(2)).await;
    std::fs::write(host.directory.join("etc/cron.d/again"), "").unwrap();
    agent.kill();
    assert!(host.agent(&["sweep"]).status.success());
    drop(link);
    let _agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    let found = told(&mut link, id(2)).await;
    assert!(found.iter().any(|what| what.ends_with("cron.d/again")), "{found:?}");
    assert!(!found.iter().any(|what| what.ends_with("cron.d/before")), "{found:?}");
    assert!(found.iter().any(|what| what.contains("no agent ran")), "{found:?}");
}

/// Waits until the agent knows on disk what the host was like when the session began.
async fn begun(host: &Host, session: SessionId) {
    let entry = host.directory.join(format!("run/residue/{session}.session"));
    host.until("the session is on disk", |_| {
        std::fs::read_to_string(&entry).is_ok_and(|entry| entry.contains("\"used\":true"))
    })
    .await;
}

/// What the report of a session names, and what it could not see.
async fn told(link: &mut Link, session: SessionId) -> Vec<String> {
    loop {
        match link.hear().await {
            FromAgent::Residue { session: of, residue } if of == session => {
                let named = residue.findings.into_iter().map(|finding| finding.what);
                return named.chain(residue.unseen).collect();
            }
            _ => {}
        }
    }
}
