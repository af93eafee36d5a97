//! Writes what the real encoders make into the directory of the fuzz targets' corpus:
//! `cargo run -p tidegate-common --example fuzz_seeds fuzz/corpus`.

#![allow(clippy::unwrap_used, reason = "a tool for the repository, not part of a program")]

use std::fs;
use std::path::Path;

use tidegate_common::audit::{Chain as Log, Event, Note};
use tidegate_common::id::SessionId;
use tidegate_common::recording::{Cast, Chain, Control, FORMAT, Header, Kind, Packer, Stream};
use tidegate_common::wire::{FromAgent, FromProxy, Hello, Sight, VERSION, Welcome, encode};

fn main() {
    let corpus = std::env::args().nth(1).unwrap_or_else(|| "fuzz/corpus".to_owned());
    let put = |target: &str, name: &str, bytes: &[u8]| {
        let dir = Path::new(&corpus).join(target);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(name), bytes).unwrap();
    };

    let hello = Hello {
        host_keys: vec!["ssh-ed25519 AAAA".to_owned()],
        live: vec![SessionId::new(1, 2)],
        witness: Sight::Sees,
        bound: true,
        explains: true,
        ..Hello::new("0.1.0")
    };
    let (session, now) = (SessionId::new(1, 2), jiff::Timestamp::UNIX_EPOCH);
    let kept = FromAgent::NotExtended { session, until: now, why: Note::new("it ends") };
    let frames =
        [encode(&FromAgent::Hello(hello)), encode(&FromAgent::Alive), encode(&kept)].map(Result::unwrap);
    put("wire", "agent", &frames.concat());
    let welcome = Welcome { protocol: VERSION, lease_millis: 30_000, user_ca: Vec::new(), now };
    let lease = FromProxy::Lease { gate: None, live: vec![SessionId::new(1, 2)] };
    let later = FromProxy::Extend { session, gate: "gate1".parse().unwrap(), until: now };
    let frames = [encode(&FromProxy::Welcome(welcome)), encode(&lease), encode(&later)].map(Result::unwrap);
    put("wire", "proxy", &frames.concat());

    let header = Header {
        format: FORMAT,
        session: SessionId::new(1, 2),
        user: "operator".parse().unwrap(),
        target: "ops@db01".parse().unwrap(),
        origin: "192.0.2.7".parse().unwrap(),
        started: jiff::Timestamp::UNIX_EPOCH,
        group: None,
        request: None,
        emergency: false,
        input: true,
        exec_output_limit: 8 << 20,
    };
    let mut cast = Cast::new(&header);
    cast.control(
        0,
        &Control::Opened { channel: 1, kind: Kind::Terminal, command: None, term: None, size: None },
    );
    cast.data(10, 1, Stream::Input, b"uptime\r");
    cast.data(900, 1, Stream::Output, b"$ uptime\r\n\xff\x1b[1mload\x1b[0m average: 0.01\r\n");
    cast.control(1000, &Control::Ended { exit: Some(0), cause: "user".to_owned() });
    let (mut packer, mut chain, mut file) = (Packer::new(1).unwrap(), Chain::default(), Vec::new());
    let mut lines = Vec::new();
    cast.take(|text| {
        lines.extend_from_slice(text);
        chain.frame(&mut packer, text, &mut file)
    })
    .unwrap();
    put("script", "lines", &lines);
    put("recording", "cut", &file);
    file.extend(chain.end(|_| Ok::<_, ()>([7; 64])).unwrap());
    put("recording", "whole", &file);

    let event = Event::ProxyStarted { version: Note::new("0.1.0") };
    let linked = Log::start().append(event.into(), jiff::Timestamp::UNIX_EPOCH).unwrap();
    put("audit", "started", linked.body.as_bytes());
    let event = Event::SessionKillOrdered { session: SessionId::new(1, 2) };
    let entry = event.by_user(&"operator".parse().unwrap(), "192.0.2.7".parse().unwrap());
    let linked = Log::start().append(entry, jiff::Timestamp::UNIX_EPOCH).unwrap();
    put("audit", "killed", linked.body.as_bytes());
}
