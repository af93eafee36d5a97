//! A reader that stops stalls its peer: nothing is lost, and the proxy does not grow.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{Scene, Stand};

/// What one stalled stream may cost, in KiB.
const GROWTH: u64 = 16 * 1024;

const BYTES: usize = 100_000_000;

#[test]
fn a_reader_that_stops_stalls_its_peer_and_gets_every_byte_later() {
    needs_devices!();
    // A gate of its own: what others do through it would count too.
    let stand = Stand::new("stalled", 30);
    let (world, scene) = (&stand.world, Scene::set(&stand.world, &stand.device, "stalls", "{}"));
    let command = format!("head -c {BYTES} /dev/zero");
    let login = format!("{}[{}]", scene.operator, scene.target());
    let words = world.client().words("ssh", &scene.operator, &["-o", "BatchMode=yes", "-l", &login]);
    let words = words.unwrap();
    let resident = || resident_kib(world.proxy_pid().unwrap());
    // What the first session brings in is nobody's.
    world.client().ssh(&scene.operator, &scene.target(), &["true"]).unwrap().ok().unwrap();
    let before = resident();
    let mut ssh = Command::new(&words[0])
        .args(&words[1..])
        .args(["gate", &command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = ssh.stdout.take().unwrap();
    let mut first = vec![0; 4096];
    reader.read_exact(&mut first).unwrap();
    // Nobody reads now. Once the device's sender is blocked, no more bytes arrive.
    let mut last = (0, 0);
    wait::until_true("the stream stands still", PATIENCE, || {
        let read = read_bytes(world.proxy_pid().unwrap());
        last = if read == last.0 { (read, last.1 + 1) } else { (read, 0) };
        last.1 > 40
    })
    .unwrap();
    let grown = resident().saturating_sub(before);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(ssh.wait().unwrap().success());
    assert_eq!(first.len() + rest.len(), BYTES);
    assert!(grown <= GROWTH, "the proxy grew by {grown} KiB");
}

fn resident_kib(pid: i32) -> u64 {
    field(&format!("/proc/{pid}/status"), "VmRSS:")
}

fn read_bytes(pid: i32) -> u64 {
    field(&format!("/proc/{pid}/io"), "rchar:")
}

fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
