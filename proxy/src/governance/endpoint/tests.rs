use std::net::SocketAddr;

use hyper::Method;
use hyper::header::AUTHORIZATION;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::governance::Codes;
use crate::store::testing::Temporary;

/// What a server does with each question.
#[derive(Debug, Clone)]
enum Does {
    /// Answers this, all of it.
    Says(String),
    /// Answers nothing, and stays.
    Hangs,
}

fn says(status: &str, body: &str) -> Does {
    let length = body.len();
    Does::Says(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"))
}

/// A server, and the heads of the questions that it was asked.
async fn server(does: Does) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, (tell, told)) = (listener.local_addr().unwrap(), mpsc::unbounded_channel());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (does, tell) = (does.clone(), tell.clone());
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let _ = tell.send(String::from_utf8(head).unwrap());
                match does {
                    Does::Says(answer) => stream.write_all(answer.as_bytes()).await,
                    // Until the other side leaves.
                    Does::Hangs => stream.read_u8().await.map(drop),
                }
            });
        }
    });
    (address, told)
}

fn settings(address: SocketAddr) -> Settings {
    let template = Template {
        method: Method::GET,
        url: format!("http://{address}/codes/{{code}}"),
        headers: Vec::new(),
        body: String::new(),
    };
    Settings {
        template,
        secret_file: None,
        ca_file: None,
        timeout: Duration::from_secs(20),
        silence: Silence::Refuse,
        remember: Duration::from_secs(60),
    }
}

fn codes(settings: Settings) -> Codes {
    Codes { form: None, endpoint: Some(Endpoint::new(settings).unwrap()) }
}

async fn refused(codes: &Codes, code: &str) -> Option<String> {
    codes.check(&code.parse().unwrap()).await.refused().map(str::to_owned)
}

/// What asks an endpoint that is not there, and takes codes all the same.
pub(crate) fn silent() -> Codes {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    codes(Settings { silence: Silence::Accept, ..settings(nobody) })
}

const UNCHECKED: &str = "governance code `CHG 1/2` cannot be checked now; try again later";

#[tokio::test(start_paused = true)]
async fn a_yes_is_remembered_for_no_longer_whichever_way_the_clock_is_set() {
    let address = "127.0.0.1:9".parse().unwrap();
    let endpoint = Endpoint::new(settings(address)).unwrap();
    let (code, now) = ("CHG 1/2".parse().unwrap(), Timestamp::now());
    let hours = jiff::SignedDuration::from_hours;
    endpoint.remember(&code);
    assert!(endpoint.remembers(&code, now) && endpoint.remembers(&code, now - hours(1)));
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(!endpoint.remembers(&code, now - hours(1)), "a clock that is set back gives it no more time");
    endpoint.remember(&code);
    assert!(!endpoint.remembers(&code, now + hours(24)), "the machine slept for a day");
}

#[tokio::test]
async fn an_endpoint_that_says_yes_is_asked_once_for_a_while_and_one_that_says_no_each_time() {
    let (address, mut asked) = server(says("200 OK", "yes\n")).await;
    let good = codes(settings(address));
    for _ in 0..3 {
        assert_eq!(refused(&good, "CHG 1/2").await, None);
    }
    let head = asked.recv().await.unwrap();
    assert!(head.starts_with("GET /codes/CHG%201%2F2 HTTP/1.1\r\n"), "{head}");
    assert!(asked.try_recv().is_err(), "a yes is remembered");
    let forgets = codes(Settings { remember: Duration::ZERO, ..settings(address) });
    for _ in 0..2 {
        assert_eq!(refused(&forgets, "CHG 1/2").await, None);
        asked.recv().await.unwrap();
    }

    for (status, body) in [("200 OK", "no"), ("200 OK", "{\"valid\": false}"), ("404 Not Found", "what?")] {
        let (address, mut asked) = server(says(status, body)).await;
        let codes = codes(settings(address));
        for _ in 0..2 {
            let sentence = "governance code `INC-7` is not known to who gives out such codes";
            assert_eq!(refused(&codes, "INC-7").await.as_deref(), Some(sentence), "{status} {body}");
            asked.recv().await.unwrap();
        }
    }
    let (address, _asked) = server(says("200 OK", "{\"valid\": true}")).await;
    let taken = codes(settings(address)).check(&"INC-7".parse().unwrap()).await;
    assert_eq!((&taken, taken.told("request 7")), (&Checked::Good, None));
}

#[tokio::test]
async fn what_is_neither_yes_nor_no_is_silence_and_silence_is_what_the_settings_say() {
    let long = "y".repeat(10 * crate::http::MOST_ANSWER);
    for does in [
        says("200 OK", "maybe"),
        says("200 OK", "{\"valid\": \"true\"}"),
        says("200 OK", "{\"valid\": true, \"but\": 1}"),
        says("200 OK", ""),
        says("200 OK", &long),
        says("204 No Content", ""),
        says("500 Internal Server Error", "yes"),
        says("401 Unauthorized", "yes"),
        Does::Says("yes".to_owned()),
        Does::Says(String::new()),
    ] {
        let (address, _asked) = server(does.clone()).await;
        assert_eq!(
            refused(&codes(settings(address)), "CHG 1/2").await.as_deref(),
            Some(UNCHECKED),
            "{does:?}"
        );
        let lenient = Settings { silence: Silence::Accept, ..settings(address) };
        let taken = codes(lenient).check(&"CHG 1/2".parse().unwrap()).await;
        assert!(taken.refused().is_none(), "{does:?}: {taken:?}");
        assert!(taken.told("request 7").is_some(), "the audit log knows that it was not checked: {does:?}");
    }
    // Nobody listens there at all.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = settings(listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(refused(&codes(gone), "CHG 1/2").await.as_deref(), Some(UNCHECKED));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, mut asked) = server(says("200 OK", "yes")).await;
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let (address, _asked) = server(Does::Says(moved)).await;
    assert_eq!(refused(&codes(settings(address)), "CHG 1/2").await.as_deref(), Some(UNCHECKED));
    assert!(asked.try_recv().is_err());
    // Its twin is asked itself.
    assert_eq!(refused(&codes(settings(elsewhere)), "CHG 1/2").await, None);
}

#[tokio::test]
async fn an_endpoint_that_hangs_holds_nobody_up_for_longer_than_its_time() {
    let (address, mut asked) = server(Does::Hangs).await;
    let hangs = codes(Settings { timeout: Duration::from_secs(1), ..settings(address) });
    let start = std::time::Instant::now();
    // More than are asked at once: who waits for a turn waits within the same time.
    let all = (0..3 * AT_ONCE).map(|_| refused(&hangs, "CHG 1/2"));
    let answers = futures::future::join_all(all).await;
    assert!(answers.iter().all(|answer| answer.as_deref() == Some(UNCHECKED)));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let mut count = 0;
    while asked.try_recv().is_ok() {
        count += 1;
    }
    assert!(count <= AT_ONCE, "{count} were asked at once");
}

#[tokio::test]
async fn a_secret_goes_with_the_question_and_a_code_out_of_form_asks_nobody() {
    let (address, mut asked) = server(says("200 OK", "yes")).await;
    let temporary = Temporary::new().await;
    let file = temporary.directory().join("secret");
    std::fs::write(&file, "k3y\n").unwrap();
    let mut settings = settings(address);
    settings.template.headers = vec![(AUTHORIZATION, "Bearer {secret}".to_owned())];
    settings.secret_file = Some(file);
    let codes = Codes { form: Some("INC-[0-9]+".parse().unwrap()), ..codes(settings) };
    assert_eq!(refused(&codes, "INC-7").await, None);
    let head = asked.recv().await.unwrap().to_ascii_lowercase();
    assert!(head.contains("authorization: bearer k3y\r\n"), "{head}");
    assert!(refused(&codes, "CHG-7").await.unwrap().contains("is not of the form INC-[0-9]+"));
    assert!(asked.try_recv().is_err());
}
