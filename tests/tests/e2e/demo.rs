//! `make demo` itself, on a device and on the machine itself; a device plays the machine.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tidegate_tests::accounts::Accounts;
use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::programs::program;
use tidegate_tests::run::Run;
use tidegate_tests::wait;

use crate::needs_devices;
use crate::support::{Scratch, base, repository};

/// One after the other: two of them would take all of a machine that has two processors.
static ONE: Mutex<()> = Mutex::new(());

fn one() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const WITHIN: Duration = Duration::from_secs(420);

/// Puts as much of a clone as the demo needs into this directory.
fn clone_into(config: &Path) {
    fs::create_dir_all(config).unwrap();
    for name in ["demo.toml", "demo-outside.toml"] {
        fs::copy(repository(&format!("config/{name}")), config.join(name)).unwrap();
    }
}

fn clone() -> Scratch {
    let clone = Scratch::new("demo");
    clone_into(&clone.path("config"));
    clone
}

fn demo(clone: &Scratch, stay: &str) -> Run {
    let demo = Run::new(program("demo").unwrap()).dir(clone.path(""));
    demo.env("DEMO_STAY", stay).env("DEMO_HERE", "").within(WITHIN)
}

#[test]
fn the_demo_tells_its_story_and_leaves_nothing() {
    needs_devices!();
    let _one = one();
    let clone = clone();
    let told = demo(&clone, "").run().unwrap();
    assert!(told.success(), "{}", told.all());
    assert!(told.out().contains("All 20 steps held"), "{}", told.all());
    assert!(!clone.path(".demo").exists());
    // And the video that it names is one.
    let out = told.out();
    let video = out.lines().find_map(|line| line.split_once("The session as a video: "));
    let (_, video) = video.unwrap_or_else(|| panic!("{}", told.all()));
    let entries = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"];
    let probed = Run::new("ffprobe").args(entries).arg(video.trim()).ok().unwrap().out();
    assert!(probed.lines().any(|line| line.trim_end_matches(',') == "h264"), "{probed}");
}

#[test]
fn a_demo_that_stays_can_be_interrupted_and_so_can_its_proxy() {
    needs_devices!();
    let _one = one();
    let clone = clone();
    let staying = demo(&clone, "1").start().unwrap();
    let told = || staying.stdout_so_far().contains("All 20 steps held");
    wait::until_true("the story is told", WITHIN, told)
        .unwrap_or_else(|error| panic!("{error}: {}{}", staying.stdout_so_far(), staying.stderr_so_far()));
    let env = fs::read_to_string(clone.path(".demo/env")).unwrap();
    let proxy = env.lines().find_map(|line| line.strip_prefix("PROXY_PID="));
    let proxy: i32 = proxy.unwrap().trim_matches('\'').parse().unwrap();
    let ends = |pid| signal::kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    ends(proxy);
    // Nobody has waited for it yet.
    let ended = || fs::read_to_string(format!("/proc/{proxy}/status")).unwrap().contains("State:\tZ");
    wait::until_true("the proxy has ended", WITHIN, ended).unwrap();
    ends(staying.pid());
    let told = staying.done().unwrap();
    assert!(told.success(), "{}", told.all());
    assert!(!clone.path(".demo").exists());
}

#[test]
fn a_demo_whose_reader_is_gone_ends_with_a_signal_all_the_same_and_leaves_nothing() {
    needs_devices!();
    let _one = one();
    let clone = clone();
    let mut staying = Command::new(program("demo").unwrap())
        .current_dir(clone.path(""))
        .env("DEMO_STAY", "1")
        .env("DEMO_HERE", "")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // As `tee` does that gets Ctrl-C first.
    let reader = BufReader::new(staying.stdout.take().unwrap());
    let told = reader.lines().map_while(Result::ok).any(|line| line.contains("stay up until Ctrl-C"));
    assert!(told);
    signal::kill(Pid::from_raw(i32::try_from(staying.id()).unwrap()), Signal::SIGINT).unwrap();
    let ended = wait::until("the demo ends", WITHIN, || staying.try_wait().unwrap());
    assert!(ended.unwrap().success());
    assert!(!clone.path(".demo").exists());
}

#[test]
fn the_demo_tells_its_story_on_the_machine_itself_and_gives_everything_back() {
    needs_devices!();
    let _one = one();
    let machine = Device::boot(&base(), "machine").unwrap();
    clone_into(&machine.path("/srv/clone/config"));
    for name in ["demo", "tidegate-proxy", "tidegate-agent", "tidegate-video"] {
        machine.install(&program(name).unwrap(), &format!("/srv/{name}")).unwrap();
    }
    let picture = || Accounts::of(&machine, "tidegate-demo").unwrap();
    let before = picture();
    let told = machine.command(&["sh", "-c", "cd /srv/clone && DEMO_HERE=1 ../demo"]).unwrap();
    let told = told.within(WITHIN).run().unwrap();
    assert!(told.success(), "{}", told.all());
    assert!(told.out().contains("byte for byte as found"), "{}", told.all());
    assert_eq!(before.difference(&picture()), "");
    assert!(!machine.path("/srv/clone/.demo").exists());
    for left in ["tidegate", "clone/.demo"] {
        let found = machine.run(&["pgrep", "-a", "-f", left]).unwrap();
        assert!(!found.success(), "{}", found.out());
    }
}
