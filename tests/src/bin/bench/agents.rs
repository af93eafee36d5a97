//! What agents cost while nothing happens: one on its host, and a thousand of them, each
//! a link with mTLS and a certificate of its own, on one proxy.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;
use tidegate_common::wire::Hello;
use tidegate_tests::agent;
use tidegate_tests::host::Host;
use tidegate_tests::wait;
use tidegate_tests::world::{Options, World};

use crate::Sizes;
use crate::cpu::Gauge;
use crate::measures::float;
use crate::report::Row;
use crate::ways::Course;

/// Between two looks at the agent's threads.
const LOOK: Duration = Duration::from_millis(100);

/// An agent that sleeps for so long has nothing left to do; its heartbeats are further apart.
const QUIET: Duration = Duration::from_secs(3);

/// How long the agent may take to have nothing left to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// The device's agent, with no session for a while.
pub fn idle(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let pid = pid(course)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no VmRSS")?.parse()?;
    let period = Duration::from_secs(sizes.idle_seconds);
    quiet(pid)?;
    let (first, start) = (switches(pid), Instant::now());
    let (mut last, mut awake, mut was_awake) = (first, 0u32, false);
    while start.elapsed() < period {
        std::thread::sleep(LOOK);
        let now = switches(pid);
        let is_awake = now != last;
        awake += u32::from(is_awake && !was_awake);
        (last, was_awake) = (now, is_awake);
    }
    let minute = |count: f64| count * 60.0 / start.elapsed().as_secs_f64();
    // The proxy's lease (a third of 30 s), and systemd's watchdog (a third of 18 s).
    let beats = 60.0 / 10.0 + 60.0 / 6.0;
    let row = |name: &str, unit, value| Row::new(name, unit, value, None, None, 1);
    Ok(vec![
        row("agent idle, resident memory", "KiB", kib),
        row("agent idle, times awake (16 are heartbeats)", "a minute", minute(f64::from(awake))),
        row(
            "agent idle, times awake beyond heartbeats",
            "a minute",
            (minute(f64::from(awake)) - beats).max(0.0),
        ),
        row("agent idle, switches of its threads", "a minute", minute(float(last - first))),
    ])
}

/// Waits until the agent has done whatever the last session left to do: between two
/// heartbeats nothing wakes it.
fn quiet(pid: i32) -> Result<()> {
    let mut last = (switches(pid), Instant::now());
    wait::until_true("the agent is quiet", PATIENCE + QUIET, || {
        let now = switches(pid);
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() >= QUIET
    })
}

/// The agent's process, as this machine numbers it.
fn pid(course: &Course) -> Result<i32> {
    let words = ["systemctl", "show", "-p", "MainPID", "--value", "tidegate-agent"];
    let inner = course.device.ok(&words)?.out();
    let space = fs::read_link(format!("/proc/{}/ns/pid", course.device.leader()?))?;
    let of_device = |pid: &i32| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|of| of == space);
    let is_it = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("NSpid:")).unwrap_or_default();
        line.split_whitespace().last() == Some(inner.trim())
    };
    let all = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(of_device).find(is_it).context("the device's agent is not to be found")
}

/// How often its threads gave up a processor, because they had nothing to do.
fn switches(pid: i32) -> usize {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let of = |text: String| {
        text.lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<usize>().ok())
    };
    let read = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    read.filter_map(of).sum()
}

/// Many agents on a proxy of their own.
pub fn many(quick: bool) -> Result<Vec<Row>> {
    let (count, seconds) = if quick { (100, 10) } else { (1000, 40) };
    let world = World::start(Options::default())?;
    let names: Vec<String> = (0..count).map(|number| format!("host{number:04}")).collect();
    let devices =
        names.iter().map(|name| format!("[[device]]\nname = \"{name}\"\naddress = \"192.0.2.1\"\n\n"));
    world.apply(&devices.collect::<String>())?;
    let gauge = Gauge::process(world.proxy_pid()?);
    let ca = agent::ca(&world)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut identities = Vec::new();
    for name in &names {
        let token = world.token(name)?;
        identities.push(runtime.block_on(agent::enrol(world.agents()?, &ca, &token))?);
    }
    let before = settled(gauge);
    let links = runtime.block_on(async {
        let mut links = Vec::new();
        for identity in identities {
            links.push(agent::link(world.agents()?, &ca, &identity, Hello::new("0.1.0")).await?);
        }
        anyhow::Ok(links)
    })?;
    // One thread keeps all of them alive; the proxy is what is measured.
    let kept = runtime.block_on(async {
        let tasks: Vec<_> = links.into_iter().map(|link| tokio::spawn(link.live())).collect();
        let during = tokio::task::spawn_blocking(move || settled(gauge)).await?;
        let (cpu, start) = (gauge.cpu_seconds(), Instant::now());
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let share = (gauge.cpu_seconds() - cpu) / start.elapsed().as_secs_f64() * 100.0;
        ensure!(tasks.iter().all(|task| !task.is_finished()), "a link broke");
        anyhow::Ok((during, share))
    });
    let (during, share) = kept?;
    let row =
        |what: &str, unit, value| Row::new(format!("{count} agents: {what}"), unit, value, None, None, 1);
    Ok(vec![
        row("the proxy's memory for them", "MiB", (during - before) / 1024.0),
        row("the proxy's whole memory", "MiB", during / 1024.0),
        row("processor while idle", "% of one", share),
    ])
}

/// The memory once it does not change any more.
fn settled(gauge: Gauge) -> f64 {
    let mut last = (0.0, 0);
    let rest = wait::until("", Duration::from_secs(10), || {
        let now = gauge.memory_kib();
        last = if (now - last.0).abs() < 64.0 { (now, last.1 + 1) } else { (now, 0) };
        (last.1 > 300).then_some(now)
    });
    rest.unwrap_or(last.0)
}

/// How long agents took for their grants by their own clock, and from the order to the
/// grant as the proxy's log has it, in milliseconds.
pub fn grants(course: &Course) -> Result<(Vec<f64>, Vec<f64>)> {
    let log = course.world.json(&["audit", "tail", "-n", "100000"])?;
    let mut ordered: BTreeMap<String, Timestamp> = BTreeMap::new();
    let (mut own, mut seen) = (Vec::new(), Vec::new());
    for record in log.as_array().context("the log is no list")? {
        let text = |path: &str| record.pointer(path).and_then(Value::as_str);
        let Some(session) = text("/event/session").map(str::to_owned) else { continue };
        let at: Timestamp = text("/at").context("a record without its time")?.parse()?;
        match text("/event/type") {
            Some("grant-ordered") => drop(ordered.insert(session, at)),
            Some("grant-applied") => {
                let micros = record.pointer("/event/micros").and_then(Value::as_f64);
                own.push(micros.context("a grant without its time")? / 1e3);
                let began = ordered.get(&session).context("a grant without its order")?;
                seen.push(at.duration_since(*began).as_secs_f64() * 1e3);
            }
            _ => {}
        }
    }
    ensure!(!own.is_empty(), "no grant is in the log");
    Ok((own, seen))
}
