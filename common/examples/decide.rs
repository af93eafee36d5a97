//! How long a decision takes with 10,000 users, 10,000 credentials and 1,000
//! groups: `cargo run --release -p tidegate-common --example decide`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not part of a program")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use tidegate_common::model::{Action, Claims, Resources, Snapshot};
use tidegate_common::policy::{Coming, Facts, decide};

fn text() -> String {
    let mut text = String::new();
    let users = (0..10_000).map(|user| format!("[[user]]\nname = \"user{user}\"\n"));
    text.extend(users.chain((0..1_000).map(|device| {
        format!("[[device]]\nname = \"db{device}\"\nproduct = \"Debian\"\ntags = [\"site{}\"]\n", device % 20)
    })));
    for credential in 0..10_000 {
        let (account, device) = (credential % 10, credential / 10);
        writeln!(text, "[[credential]]\nname = \"ops{account}@db{device}\"\ntags = [\"t{account}\"]")
            .unwrap();
    }
    for group in 0..1_000 {
        let members: Vec<_> =
            (0..100).map(|member| format!("\"user{}\"", (group * 10 + member) % 10_000)).collect();
        // user9999 is in every group.
        let members = format!("{}, \"user9999\"", members.join(", ").replace(", \"user9999\"", ""));
        let members = members.replace("\"user9999\", \"user9999\"", "\"user9999\"");
        writeln!(
            text,
            "[[access_group]]\nname = \"g{group}\"\nusers = [{members}]\nsession = {{ justification = true }}\n\
             criteria = {{ devices = [\"db{group}\", \"*x{group}*\"], device_tags = [\"site*\"] }}\n\
             limitation = {{ zone = \"Europe/Berlin\", slots = [\"00:00-24:00\"], until = 2099-12-31 }}"
        )
        .unwrap();
    }
    text
}

fn main() {
    let text = text();
    let start = Instant::now();
    let resources = Resources::read(&text).unwrap();
    println!(
        "read     {:>10.1} ms for {} MiB of TOML",
        start.elapsed().as_secs_f64() * 1e3,
        text.len() >> 20
    );
    let start = Instant::now();
    let snapshot = Snapshot::new(&resources).unwrap();
    println!("snapshot {:>10.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let claims = Claims { justification: Some("ticket 7".parse().unwrap()), ..Claims::default() };
    for (who, user) in [("user in 10 groups", 5_005), ("user in all groups", 9_999)] {
        let name = format!("user{user}").parse().unwrap();
        let rounds = 20_000;
        let start = Instant::now();
        for round in 0..rounds {
            let target = format!("ops{}@db{}", round % 10, 495 + round % 10).parse().unwrap();
            let facts = Facts {
                now: "2026-06-01T12:00:00Z".parse().unwrap(),
                user: &name,
                login: None,
                target: &target,
                action: Action::Session,
                origin: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                coming: Coming::ASKED,
                claims: &claims,
                requests: &[],
            };
            let _ = black_box(decide(&snapshot, &facts));
        }
        println!("decide   {:>10.2} us, {who}", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    }
}
