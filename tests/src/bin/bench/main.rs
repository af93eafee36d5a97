//! `make bench`: Tidegate with its recording on, against straight ssh and `ssh -J`
//! through a plain sshd, in one run, in turns, to the same device. Client, servers and
//! gate share this machine's processors, so the ratios are what counts.
//!
//! `BENCH_QUICK=1` takes smaller sizes; `BENCH_ONLY=words` takes the measures whose
//! name contains one of the words. With `BENCH_POSTGRES=1` the gate's store is a database of
//! PostgreSQL, on this machine and as durable as a file.

mod agents;
mod batch;
mod channels;
mod cpu;
mod crowded;
mod ends;
mod measures;
mod outbox;
mod policy;
mod report;
mod slow;
mod video;
mod ways;
mod witness;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use tidegate_tests::guardian;
use tidegate_tests::programs::program;
use tidegate_tests::{run, say};

use report::Row;
use ways::Course;

/// The ciphers of the bulk measures.
const CIPHERS: [&str; 2] = ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"];

/// How much of each is measured.
pub struct Sizes {
    /// Of each bulk measure and way.
    pub runs: usize,
    pub bulk_mib: usize,
    pub terminal_runs: usize,
    pub terminal_mib: usize,
    pub set_ups: usize,
    /// Keys in a turn.
    pub keys: usize,
    pub key_turns: usize,
    /// Idle sessions at once.
    pub idle: usize,
    /// Through each slow reader.
    pub slow_mib: usize,
    /// In the home of an account that goes.
    pub files: usize,
    /// Processes that hop.
    pub hoppers: usize,
    /// How long an idle agent is watched.
    pub idle_seconds: u64,
    /// Messages that wait to be sent.
    pub messages: usize,
}

const FULL: Sizes = Sizes {
    runs: 5,
    bulk_mib: 512,
    terminal_runs: 45,
    terminal_mib: 16,
    set_ups: 40,
    keys: 10,
    key_turns: 3000,
    idle: 200,
    slow_mib: 1024,
    files: 700_000,
    hoppers: 1000,
    idle_seconds: 60,
    messages: 10_000,
};
const QUICK: Sizes = Sizes {
    runs: 2,
    bulk_mib: 128,
    terminal_runs: 2,
    terminal_mib: 8,
    set_ups: 8,
    keys: 50,
    key_turns: 2,
    idle: 20,
    slow_mib: 128,
    files: 20_000,
    hoppers: 100,
    idle_seconds: 20,
    messages: 500,
};

/// How a course is opened, in this directory.
type Open = fn(&Path) -> Result<Course>;

/// A measure on it.
type Measure = fn(&Course, &Sizes) -> Result<Vec<Row>>;

/// And its name.
type Named = (&'static str, Measure);

fn main() -> ExitCode {
    match guardian::clean_all_on_signals(|| guardian::ENDED_BY_SIGNAL).and_then(|()| bench()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(format_args!("the bench is not whole: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<()> {
    let quick = std::env::var_os("BENCH_QUICK").is_some();
    let sizes = if quick { QUICK } else { FULL };
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only.split_whitespace().any(|word| name.contains(word));
    let target = target()?;
    describe(&sizes)?;
    let mut rows = Rows::default();
    type Alone = fn(bool) -> Result<Vec<Row>>;
    let alone: [(&str, Alone); 5] = [
        ("policy", policy::measure),
        ("batch", batch::measure),
        ("witness", witness::measure),
        ("many agents", agents::many),
        ("video", video::measure),
    ];
    for (name, measure) in alone.into_iter().filter(|(name, _)| wanted(name)) {
        rows.take(name, measured(name, || measure(quick)));
    }
    let measures: [Named; 13] = [
        // First, too: an agent that has served nobody yet.
        ("idle agent", agents::idle),
        // First, because what bulk leaves to the allocator would hide it.
        ("memory", measures::memory),
        ("slow readers", slow::slow_readers),
        ("bulk aes256", |course, sizes| measures::bulk(course, sizes, CIPHERS[0])),
        ("bulk chacha20", |course, sizes| measures::bulk(course, sizes, CIPHERS[1])),
        ("terminal", measures::terminal),
        ("set-up and grant", measures::set_up),
        ("keystroke", measures::keystroke),
        ("channels", channels::many),
        ("panic", policy::panic),
        ("revocation", measures::revocation),
        ("revocation beside a removal", crowded::beside_a_removal),
        ("hopping processes", crowded::hopping),
    ];
    // On a course of their own: from outside it takes more to enter, and at last its outbox is full.
    let outside: [Named; 5] = [
        ("ends by a revoked request", ends::revoked),
        ("ends by a cancelled remote access", ends::cancelled),
        ("ends by a changed place", ends::moved),
        ("ends by another GeoIP database", ends::relocated),
        ("outbox", outbox::measure),
    ];
    let courses: [(&str, Open, &[Named]); 2] =
        [("course", Course::open, &measures), ("course for outside", ends::open, &outside)];
    for (name, open, measures) in courses {
        let chosen: Vec<_> = measures.iter().copied().filter(|(name, _)| wanted(name)).collect();
        if !chosen.is_empty() {
            let run = on_course(open, &target.join("bench/fleet"), &chosen, &sizes, &mut rows);
            rows.take(name, run.map(|()| Vec::new()));
        }
    }
    report::print(&rows.measured);
    let file = target.join("bench/bench.json");
    report::write(&rows.measured, &file)?;
    say::line(format_args!("\nwritten to {}", file.display()));
    anyhow::ensure!(rows.failed.is_empty(), "not measured: {}", rows.failed.join(", "));
    Ok(())
}

/// Takes these measures on one course.
fn on_course(open: Open, base: &Path, chosen: &[Named], sizes: &Sizes, rows: &mut Rows) -> Result<()> {
    let course = open(base)?;
    for (name, measure) in chosen {
        rows.take(name, measured(name, || measure(&course, sizes)));
    }
    // Not killed: an instrumented one writes down what it has counted.
    course.world.stop_proxy()?.ok()?;
    Ok(())
}

/// What was measured, and the names of what could not be.
#[derive(Default)]
struct Rows {
    measured: Vec<Row>,
    failed: Vec<String>,
}

impl Rows {
    /// What fails takes nothing along of what else is measured.
    fn take(&mut self, name: &str, rows: Result<Vec<Row>>) {
        match rows {
            Ok(rows) => self.measured.extend(rows),
            Err(error) => {
                say::error(format_args!("{error:#}"));
                self.failed.push(name.to_owned());
            }
        }
    }
}

/// One measure, and what a virtual machine's host kept from it: what waits for a processor
/// that the host has lent to another machine is slower through no program's fault.
fn measured(name: &str, measure: impl FnOnce() -> Result<Vec<Row>>) -> Result<Vec<Row>> {
    say::error(format_args!("measuring: {name}"));
    let before = cpu::Ticks::now()?;
    let rows = measure().with_context(|| name.to_owned())?;
    let stolen = cpu::Ticks::now()?.stolen_since(before);
    if stolen > 0.001 {
        say::error(format_args!(
            "           {:.1} % of the processors' time was stolen by the host",
            stolen * 100.0
        ));
    }
    Ok(rows)
}

/// cargo's target directory, where this program lies in a profile's directory.
fn target() -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let dir = me.parent().and_then(Path::parent).context("this program lies in no target directory")?;
    Ok(dir.to_owned())
}

fn describe(sizes: &Sizes) -> Result<()> {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let ssh = run::ok(&["ssh", "-V"])?.all();
    say::line(format_args!(
        "machine   {cores} × {}, Linux {}",
        model.unwrap_or("unknown processor"),
        kernel.trim()
    ));
    say::line(format_args!("clients   {}", ssh.trim()));
    say::line(format_args!("gate      {}", program("tidegate-proxy")?.display()));
    say::line(format_args!(
        "sizes     bulk {} MiB, {} runs a way; terminal {} MiB, {} runs; {} set-ups; {} keys; {} idle sessions; {} MiB to slow readers",
        sizes.bulk_mib,
        sizes.runs,
        sizes.terminal_mib,
        sizes.terminal_runs,
        sizes.set_ups,
        sizes.keys * sizes.key_turns,
        sizes.idle,
        sizes.slow_mib
    ));
    say::line(format_args!("ciphers   {}", CIPHERS.join(", ")));
    Ok(())
}
