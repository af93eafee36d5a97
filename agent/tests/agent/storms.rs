//! Many commands in a short time: none is lost, and each is told as its session's.

use tidegate_common::wire::{Exec, FromAgent, FromProxy};

use super::proxy::{Link, id};
use super::story::granted;
use super::witness::{LONG, Served, the_rest, watching};

/// A login that runs so many commands, each with its number, and says when it is done.
async fn storm(link: &mut Link, commands: u32) -> Served {
    let script =
        format!("i=0; while [ $i -lt {commands} ]; do /bin/true $i; i=$((i+1)); done; /bin/echo done");
    Served::dial(link, 1, &script).await
}

/// The numbers of the commands that are told until the last; no loss is told.
async fn numbers_until_done(link: &mut Link) -> Vec<u32> {
    let mut seen = Vec::new();
    while !seen.iter().any(|exec: &Exec| exec.argv.iter().any(|word| word.as_str() == "done")) {
        if let FromAgent::Witnessed(said) = link.news().await {
            link.say(&FromProxy::Noted { number: said.number }).await;
            assert_eq!(said.lost, 0, "{:?}", said.remarks);
            seen.extend(said.execs.into_iter().filter(|exec| exec.argv.len() == 2));
        }
    }
    seen.iter().filter_map(|exec| exec.argv[1].as_str().parse().ok()).collect()
}

#[tokio::test]
async fn commands_that_are_gone_at_once_go_to_the_session_of_their_connection() {
    const LOGINS: usize = 40;
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    granted(&mut link, 2).await;
    // A storm meanwhile, whose records are in no hurry.
    let mut storm = Served::dial(&mut link, 1, "while kill -0 $PPID; do /bin/true; done").await;
    let mut logins = Vec::new();
    for number in 0..LOGINS {
        let script = format!("exec env -i /bin/echo short {number}");
        let mut served = Served::dial(&mut link, 2, &script).await;
        served.await_command();
        logins.push(served);
    }
    storm.login.kill().unwrap();
    storm.login.wait().unwrap();
    // What of it was on its way belongs to the other session.
    let heard = the_rest(&mut link, 2).await;
    logins.into_iter().for_each(Served::end);
    let commands = heard.commands();
    for number in 0..LOGINS {
        let expected = format!("/bin/echo short {number}");
        assert!(commands.contains(&expected), "{expected:?} in {commands:#?}");
    }
    assert_eq!((heard.lost, heard.remarks), (0, Vec::new()));
    drop(link);
    agent.stop();
    assert_eq!(audit.state(), before);
}

#[tokio::test]
async fn none_of_a_storm_of_commands_is_lost() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    let mut storm = storm(&mut link, 1500).await;
    assert_eq!(numbers_until_done(&mut link).await, (0..1500).collect::<Vec<u32>>());
    storm.await_command();
    drop(link);
    agent.stop();
    assert_eq!(audit.state(), before);
}

#[tokio::test]
async fn none_of_a_storm_of_commands_is_lost_while_the_program_is_replaced() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    let mut agent = host.start_own(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    let mut storm = storm(&mut link, 2500).await;
    while !matches!(link.news().await, FromAgent::Witnessed(_)) {}
    let held = audit.state();
    host.replace_program();
    let mut reloading = host.start_quiet(&["reload"]);
    host.until("the end of the reload", |_| reloading.has_ended()).await;
    assert!(reloading.output().status.success());
    assert_eq!(audit.state(), held, "the rules stay where they are");
    drop(link);
    let (mut link, hello) = proxy.welcome(LONG).await;
    assert_eq!(hello.live, [id(1)]);
    link.say(&FromProxy::Lease { gate: None, live: vec![id(1)] }).await;
    // What was told on the first link was not answered, so it is told again.
    let numbers = numbers_until_done(&mut link).await;
    let wrong = (0..).zip(&numbers).find(|(expected, number)| expected != *number);
    assert_eq!((wrong, numbers.len()), (None, 2500));
    storm.await_command();
    let heard = the_rest(&mut link, 1).await;
    assert_eq!(heard.lost, 0, "{:?}", heard.remarks);
    agent.stop();
    assert_eq!(audit.state(), before);
}
