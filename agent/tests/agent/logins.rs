//! Whose commands are whose: what another login claims, what a session does through a
//! login on the host itself, and what takes itself out of its login.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use tidegate_common::wire::{FromAgent, FromProxy};

use super::host::Host;
use super::proxy::{Link, id};
use super::story::granted;
use super::witness::{LONG, Served, login, run, the_rest, watching};

/// Waits for a command in a session's list, and answers what is told till then.
async fn until_told(link: &mut Link, number: u64, word: &str) {
    loop {
        if let FromAgent::Witnessed(said) = link.news().await {
            link.say(&FromProxy::Noted { number: said.number }).await;
            let has = |words: &[_]| {
                words.iter().any(|it: &tidegate_common::audit::CommandText| it.as_str() == word)
            };
            if said.session == id(number) && said.execs.iter().any(|exec| has(&exec.argv)) {
                return;
            }
        }
    }
}

#[tokio::test]
async fn another_login_that_names_a_session_brings_nothing_into_its_list() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    let mut served = Served::dial(&mut link, 1, "/bin/echo own").await;
    served.await_command();
    link.say(&FromProxy::Attached { session: id(1) }).await;
    // Of the session's own account, and with its name; one says it for long.
    run(Some(id(1)), "/bin/echo forged-once");
    let mut liar = login(Some(id(1)), "/bin/echo forged-too; read line </dev/fd/3");
    until_told(&mut link, 1, "own").await;
    let heard = the_rest(&mut link, 1).await;
    let commands = heard.commands();
    assert!(!commands.iter().any(|command| command.contains("forged")), "{commands:#?}");
    assert_eq!(heard.lost, 0, "{:?}", heard.remarks);
    liar.kill().unwrap();
    liar.wait().unwrap();
    agent.stop();
    assert_eq!(audit.state(), before);
}

#[tokio::test]
async fn behind_an_address_translation_the_one_login_that_names_the_session_is_its_own() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    let elsewhere = "192.0.2.7:4711".parse().unwrap();
    link.say(&FromProxy::Dialled { session: id(1), from: elsewhere }).await;
    let mut own = login(Some(id(1)), "/bin/echo translated; exec sleep 1000");
    link.say(&FromProxy::Attached { session: id(1) }).await;
    until_told(&mut link, 1, "translated").await;
    let heard = the_rest(&mut link, 1).await;
    assert_eq!(heard.lost, 0, "{:?}", heard.remarks);
    own.wait().unwrap();
    agent.stop();
    assert_eq!(audit.state(), before);
}

/// A login as an sshd of the host makes it, which is no process of the session: whoever
/// connects is served once.
fn serve_once(host: &Host, script: &str) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (script, directory) = (script.to_owned(), host.directory.clone());
    let serving = std::thread::spawn(move || {
        let (accepted, _) = listener.accept().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo 4001 >/proc/self/loginuid; sh -c \"$0\"; exec sleep 1000"]).arg(script);
        command.current_dir(directory).stdin(OwnedFd::from(accepted)).stdout(Stdio::null());
        command.spawn().unwrap().wait().unwrap();
    });
    (port, serving)
}

#[tokio::test]
async fn a_login_on_the_host_itself_is_the_sessions_over_several_and_ends_with_it() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    let (inner, ends) = serve_once(&host, "/bin/echo the-third");
    let call = |port| {
        format!("exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; /bin/echo calling; exec sleep 1000'")
    };
    let (outer, ends_too) = serve_once(&host, &format!("/bin/echo the-second; {} &", call(inner)));
    let served = Served::dial(&mut link, 1, &call(outer)).await;
    until_told(&mut link, 1, "the-third").await;
    let heard = the_rest(&mut link, 1).await;
    assert_eq!(heard.lost, 0, "{:?}", heard.remarks);
    // Both are ended as the session's own.
    served.end();
    ends.join().unwrap();
    ends_too.join().unwrap();
    agent.stop();
    assert_eq!(audit.state(), before);
}

#[tokio::test]
async fn who_takes_itself_out_of_its_login_is_told_at_once_and_ends_with_the_session() {
    let Some((audit, proxy, host)) = watching().await else { return };
    let before = audit.state();
    let mut agent = host.start(&["run"]);
    let (mut link, _) = proxy.welcome(LONG).await;
    granted(&mut link, 1).await;
    let script = "setsid sh -c 'echo 4294967295 >/proc/self/loginuid; exec env -i sleep 90512' & \
                  while ! pgrep -f '^sleep 90512$'; do :; done; /bin/echo after";
    let mut served = Served::dial(&mut link, 1, script).await;
    served.await_command();
    let heard = the_rest(&mut link, 1).await;
    let told = |why: &String| why.contains("took itself out of its login");
    assert!(heard.lost > 0 && heard.remarks.iter().any(told), "{:?}", heard.remarks);
    assert!(heard.commands().iter().any(|command| command == "/bin/echo after"));
    let runs = || Command::new("pgrep").args(["-f", "^sleep 90512$"]).output().unwrap().status.success();
    host.until("its end", |_| !runs()).await;
    agent.stop();
    assert_eq!(audit.state(), before);
}
