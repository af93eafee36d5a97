//! Servers that take what the gate sends people: one for mail (RFC 5321), one for HTTP. Each keeps
//! what it was sent, and answers as it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What was sent, and what is answered next.
struct Received<T> {
    all: Vec<T>,
    answers: Vec<String>,
}

type Shared<T> = Arc<Mutex<Received<T>>>;

fn keep<T>(kept: &Shared<T>, one: T) {
    kept.lock().unwrap_or_else(PoisonError::into_inner).all.push(one);
}

/// The next answer, where one is left.
fn answer<T>(kept: &Shared<T>) -> Option<String> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.answers.is_empty() { None } else { Some(kept.answers.remove(0)) }
}

fn listen<T: Send + 'static>(
    answers: &[&str],
    serve: impl Fn(TcpStream, &Shared<T>) -> std::io::Result<()> + Clone + Send + 'static,
) -> std::io::Result<(SocketAddr, Shared<T>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let kept = Arc::new(Mutex::new(Received { all: Vec::new(), answers }));
    let shared = Arc::clone(&kept);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (serve, kept) = (serve.clone(), Arc::clone(&shared));
            thread::spawn(move || serve(stream, &kept));
        }
    });
    Ok((address, kept))
}

/// One mail as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// `MAIL FROM`
    pub from: String,
    /// `RCPT TO`
    pub to: Vec<String>,
    /// Headers and body, with quoted-printable taken back.
    pub text: String,
}

impl Mail {
    /// A header's value, on one line.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        let head = self.text.split("\n\n").next().unwrap_or_default().replace("\n ", " ");
        let found = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_default().to_owned()
    }

    /// What a reader of plain text sees.
    #[must_use]
    pub fn plain(&self) -> String {
        let boundary = self.text.split_once("boundary=\"").and_then(|(_, rest)| rest.split_once('"'));
        let part = self.text.split_once("Content-Type: text/plain");
        let body = part.and_then(|(_, rest)| rest.split_once("\n\n")).map(|(_, body)| body);
        let end = boundary.map_or("\n--".to_owned(), |(boundary, _)| format!("\n--{boundary}"));
        let body = body.and_then(|body| body.split(end.as_str()).next()).unwrap_or_default();
        // Quoted-printable writes the space so that ends a line.
        body.replace("=20\n", " \n")
    }
}

/// A mail server. To each `RCPT TO` it gives the next of its answers, and takes the rest; the
/// answer `hang` is none at all. One that asks for a log-in takes no mail before it (RFC 4954).
pub struct MailServer {
    address: SocketAddr,
    kept: Shared<Mail>,
}

impl MailServer {
    /// Listens on a free port.
    pub fn start(answers: &[&str]) -> std::io::Result<Self> {
        let (address, kept) = listen(answers, |stream, kept| mail(stream, kept, None))?;
        Ok(Self { address, kept })
    }

    /// Takes mails from whoever has logged in with this (`AUTH PLAIN` and its base64).
    pub fn start_for(login: &str) -> std::io::Result<Self> {
        let login = login.to_owned();
        let (address, kept) = listen(&[], move |stream, kept| mail(stream, kept, Some(&login)))?;
        Ok(Self { address, kept })
    }

    /// Where.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it took so far.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }
}

fn mail(stream: TcpStream, kept: &Shared<Mail>, login: Option<&str>) -> std::io::Result<()> {
    let mut say = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    say.write_all(b"220 sink ESMTP\r\n")?;
    let (mut from, mut to) = (String::new(), Vec::new());
    let mut asks = login;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
        let address = inside.map(|(address, _)| address.to_owned()).unwrap_or_default();
        let said = match word.as_str() {
            "EHLO" if asks.is_some() => "250-sink\r\n250 AUTH PLAIN".to_owned(),
            "AUTH" if login == Some(line) => {
                asks = None;
                "235 welcome".to_owned()
            }
            "AUTH" => "535 5.7.8 wrong user or password".to_owned(),
            "MAIL" if asks.is_some() => "530 5.7.0 log in first".to_owned(),
            "MAIL" => {
                (from, to) = (address, Vec::new());
                "250 ok".to_owned()
            }
            "RCPT" => match answer(kept) {
                Some(hang) if hang == "hang" => loop {
                    // Until the other side leaves.
                    let mut more = [0; 64];
                    if lines.read(&mut more)? == 0 {
                        return Ok(());
                    }
                },
                Some(other) => other,
                None => {
                    to.push(address);
                    "250 ok".to_owned()
                }
            },
            "DATA" => {
                say.write_all(b"354 go on\r\n")?;
                let mut text = String::new();
                loop {
                    let mut line = String::new();
                    if lines.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    if line == ".\r\n" {
                        break;
                    }
                    text.push_str(line.strip_prefix('.').unwrap_or(&line));
                }
                let text = text.replace("=\r\n", "").replace("=3D", "=").replace("\r\n", "\n");
                keep(kept, Mail { from: from.clone(), to: to.clone(), text });
                "250 taken".to_owned()
            }
            "QUIT" => {
                say.write_all(b"221 bye\r\n")?;
                return Ok(());
            }
            _ => "250 ok".to_owned(),
        };
        say.write_all(format!("{said}\r\n").as_bytes())?;
    }
}

/// One request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Method and path.
    pub what: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Posted {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }
}

/// A server for HTTP. Each request gets the next of its answers (`500 busy`), then `204`.
pub struct HttpServer {
    address: SocketAddr,
    kept: Shared<Posted>,
}

impl HttpServer {
    /// Listens on a free port.
    pub fn start(answers: &[&str]) -> std::io::Result<Self> {
        let (address, kept) = listen(answers, http)?;
        Ok(Self { address, kept })
    }

    /// Where.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was sent so far.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }
}

fn http(stream: TcpStream, kept: &Shared<Posted>) -> std::io::Result<()> {
    let mut say = stream.try_clone()?;
    let mut lines = BufReader::new(stream);
    let mut first = String::new();
    lines.read_line(&mut first)?;
    let what = first.rsplit_once(' ').map(|(what, _)| what.to_owned()).unwrap_or_default();
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        if name == "content-length" {
            length = value.parse().unwrap_or_default();
        }
        headers.push((name, value));
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body)?;
    keep(kept, Posted { what, headers, body: String::from_utf8_lossy(&body).into_owned() });
    let status = answer(kept).unwrap_or_else(|| "204 taken".to_owned());
    let length = if status.starts_with("204") { "" } else { "content-length: 0\r\n" };
    say.write_all(format!("HTTP/1.1 {status}\r\n{length}connection: close\r\n\r\n").as_bytes())
}
