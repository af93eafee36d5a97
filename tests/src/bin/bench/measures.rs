//! The measures. In each, the ways take turns, so that what else the machine does
//! hits all of them alike.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_tests::client::run_of;
use tidegate_tests::host::Host;
use tidegate_tests::pty::on_terminal;
use tidegate_tests::wait;

use crate::Sizes;
use crate::report::{Row, median, quantile};
use crate::ways::{ALL, Course, Way};

/// The same measure, one value a way and turn.
#[derive(Debug, Default)]
struct Turns {
    direct: Vec<f64>,
    jump: Vec<f64>,
    tidegate: Vec<f64>,
}

impl Turns {
    fn of(&mut self, way: Way) -> &mut Vec<f64> {
        match way {
            Way::Direct => &mut self.direct,
            Way::Jump => &mut self.jump,
            Way::Tidegate => &mut self.tidegate,
        }
    }

    fn row(&mut self, name: &str, unit: &'static str, share: f64) -> Row {
        let runs = self.tidegate.len();
        let mut one = |way: Way| {
            let values = self.of(way);
            (!values.is_empty()).then(|| quantile(values, share))
        };
        let (direct, jump) = (one(Way::Direct), one(Way::Jump));
        Row::new(name, unit, one(Way::Tidegate).unwrap_or_default(), direct, jump, runs)
    }

    fn in_turns(&self, name: &str, unit: &'static str) -> Row {
        Row::in_turns(name, unit, &self.tidegate, &self.direct, &self.jump)
    }
}

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bulk {
    Down,
    Up,
    Terminal,
}

/// Bulk in each direction with this cipher, and what it costs in the middle.
pub fn bulk(course: &Course, sizes: &Sizes, cipher: &str) -> Result<Vec<Row>> {
    let short = cipher.split(['@', '-']).next().unwrap_or(cipher);
    let mut rows = Vec::new();
    for (bulk, name) in [(Bulk::Down, "download"), (Bulk::Up, "upload")] {
        let (mut speed, mut cpu) = (Turns::default(), Turns::default());
        for _ in 0..sizes.runs {
            for way in ALL {
                let (rate, seconds) = one_bulk(course, way, bulk, cipher, sizes.bulk_mib)?;
                speed.of(way).push(rate);
                cpu.of(way).extend(seconds);
            }
        }
        rows.push(speed.in_turns(&format!("{name}, {short}"), "MB/s"));
        rows.push(cpu.in_turns(&format!("CPU in the middle, {name}, {short}"), "s/GiB"));
    }
    Ok(rows)
}

/// Text through a terminal, and how much of it the recording takes: once what people
/// look at (a listing of files), once random letters, which nothing can compress well.
pub fn terminal(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, source) in [
        ("listing", "ls -lR /usr 2>/dev/null | head -c 8M >/tmp/part; while cat /tmp/part; do :; done"),
        ("random letters", "base64 -w 100 /dev/urandom"),
    ] {
        let text = format!("({source}) | head -c {} >/tmp/text", sizes.terminal_mib << 20);
        course.device.ok(&["sh", "-c", &text])?;
        let mut speed = Turns::default();
        let before = wait_for_recordings(course)?;
        for _ in 0..sizes.terminal_runs {
            for way in ALL {
                speed.of(way).push(one_bulk(course, way, Bulk::Terminal, CIPHER, sizes.terminal_mib)?.0);
            }
        }
        let bytes = wait_for_recordings(course)?.saturating_sub(before);
        let kib = float(bytes) / float(sizes.terminal_mib * sizes.terminal_runs) / 1024.0;
        rows.push(speed.in_turns(&format!("terminal bulk, {name}, aes256"), "MB/s"));
        rows.push(Row::new(
            format!("recording of a MiB of {name}"),
            "KiB",
            kib,
            None,
            None,
            sizes.terminal_runs,
        ));
    }
    Ok(rows)
}

/// The cipher where only one is measured.
const CIPHER: &str = "aes256-gcm@openssh.com";

fn one_bulk(course: &Course, way: Way, bulk: Bulk, cipher: &str, mib: usize) -> Result<(f64, Option<f64>)> {
    let setting = format!("Ciphers {cipher}");
    let bytes = mib << 20;
    let words = match bulk {
        Bulk::Down => {
            course.ssh(way, &setting, &[], &format!("dd if=/dev/zero bs=1M count={mib} status=none"))
        }
        Bulk::Up => course.ssh(way, &setting, &[], "cat >/dev/null; echo end"),
        Bulk::Terminal => course.ssh(way, &setting, &["-tt"], "cat /tmp/text"),
    }?;
    let gauge = course.gauge(way)?;
    let before = gauge.map(crate::cpu::Gauge::cpu_seconds);
    let (program, args) = words.split_first().context("no words")?;
    let source = match bulk {
        Bulk::Up => Stdio::piped(),
        _ => Stdio::null(),
    };
    let mut ssh = Command::new(program)
        .args(args)
        .stdin(source)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut out = ssh.stdout.take().context("no output")?;
    let seconds = if bulk == Bulk::Up {
        let mut input = ssh.stdin.take().context("no input")?;
        let chunk = vec![0; 256 * 1024];
        // The first chunk goes through before the clock starts.
        input.write_all(&chunk)?;
        let start = Instant::now();
        for _ in 0..bytes / chunk.len() {
            input.write_all(&chunk)?;
        }
        drop(input);
        let mut end = String::new();
        out.read_to_string(&mut end)?;
        start.elapsed().as_secs_f64()
    } else {
        let mut chunk = vec![0; 256 * 1024];
        let mut got = out.read(&mut chunk)?;
        let start = Instant::now();
        loop {
            match out.read(&mut chunk)? {
                0 => break,
                count => got += count,
            }
        }
        if got < bytes {
            bail!("{got} of {bytes} bytes came on the way `{}`", way.host());
        }
        start.elapsed().as_secs_f64()
    };
    ssh.wait()?;
    let gib = float(bytes) / float(1usize << 30);
    let cpu = gauge.zip(before).map(|(gauge, before)| (gauge.cpu_seconds() - before) / gib);
    Ok((float(bytes) / 1e6 / seconds, cpu))
}

fn recorded(course: &Course) -> Result<usize> {
    let mut bytes = 0;
    for file in course.world.recording_files()? {
        bytes += usize::try_from(std::fs::metadata(file)?.len())?;
    }
    Ok(bytes)
}

/// The recordings' size once they are sealed: it does not change any more.
fn wait_for_recordings(course: &Course) -> Result<usize> {
    let mut last = (0, 0);
    wait::until("the recordings are sealed", Duration::from_secs(20), || {
        let now = recorded(course).ok()?;
        last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        (last.1 > 100).then_some(now)
    })
}

/// A whole session that runs `true`, without and with privileges granted.
pub fn set_up(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let kex = "KexAlgorithms curve25519-sha256";
    let (mut plain, mut granted) = (Turns::default(), Turns::default());
    for turn in 0..sizes.set_ups {
        for way in ALL {
            let words = course.ssh(way, kex, &[], "true")?;
            let seconds = timed(|| run_of(&words).ok().map(drop))?;
            // The first of each warms caches.
            if turn > 0 {
                plain.of(way).push(seconds * 1e3);
                if way != Way::Tidegate {
                    granted.of(way).push(seconds * 1e3);
                }
            }
        }
        let words = course.ssh_granted(kex, "true")?;
        let seconds = timed(|| run_of(&words).ok().map(drop))?;
        if turn > 0 {
            granted.tidegate.push(seconds * 1e3);
        }
    }
    let more = median(&mut granted.tidegate) - median(&mut plain.tidegate);
    let (mut own, mut seen) = crate::agents::grants(course)?;
    let grant = |name: &str, times: &mut Vec<f64>, share| {
        Row::new(name, "ms", quantile(times, share), None, None, times.len())
    };
    Ok(vec![
        grant("grant applied and verified, agent's time, p50", &mut own, 0.5),
        grant("grant applied and verified, agent's time, p99", &mut own, 0.99),
        grant("from order to grant as the proxy's log has it, p50", &mut seen, 0.5),
        grant("from order to grant as the proxy's log has it, p99", &mut seen, 0.99),
        plain.row("session set-up and end, curve25519", "ms", 0.5),
        granted.row("the same with a grant (sudo, group)", "ms", 0.5),
        Row::new("what the grant adds", "ms", more, None, None, granted.tidegate.len()),
    ])
}

/// How long after the client's end the privilege was still there.
pub fn revocation(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let mut times = Vec::new();
    for _ in 0..sizes.set_ups {
        run_of(&course.ssh_granted("", "true")?).ok()?;
        let start = Instant::now();
        while course.is_granted() {
            if start.elapsed() > Duration::from_secs(30) {
                bail!("the privilege is still there 30 s after its session");
            }
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let runs = times.len();
    Ok(vec![
        Row::new("session's end to privilege gone, p50", "ms", quantile(&mut times, 0.5), None, None, runs),
        Row::new("session's end to privilege gone, p99", "ms", quantile(&mut times, 0.99), None, None, runs),
    ])
}

/// How many seconds it takes.
pub fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

/// A key typed until it is echoed by the device's terminal, with one cipher on every hop:
/// by itself the gate takes another towards the device than ssh(1) does.
pub fn keystroke(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let setting = format!("Ciphers {CIPHER}");
    let mut typists = Vec::new();
    for way in ALL {
        typists.push((way, Typist::sit_down(course, way, &setting)?));
    }
    let (mut times, mut cpu) = (Turns::default(), Turns::default());
    for _ in 0..sizes.key_turns {
        for (way, typist) in &mut typists {
            let gauge = course.gauge(*way)?;
            let before = gauge.map(crate::cpu::Gauge::cpu_seconds);
            for _ in 0..sizes.keys {
                let seconds = typist.key()?;
                times.of(*way).push(seconds * 1e3);
            }
            if let Some((gauge, before)) = gauge.zip(before) {
                cpu.of(*way).push((gauge.cpu_seconds() - before) * 1e6 / float(sizes.keys));
            }
        }
    }
    Ok(vec![
        times.row("key to echo, aes256, p50", "ms", 0.5),
        times.row("key to echo, aes256, p99", "ms", 0.99),
        cpu.row("CPU in the middle for a key", "µs", 0.5),
    ])
}

/// Somebody who types into `cat` on a terminal of the device.
pub struct Typist {
    ssh: Child,
    terminal: File,
}

impl Typist {
    pub fn sit_down(course: &Course, way: Way, setting: &str) -> Result<Self> {
        Self::sit_down_with(course, way, setting, &[])
    }

    /// As [`Self::sit_down`], with options of ssh.
    pub fn sit_down_with(course: &Course, way: Way, setting: &str, options: &[&str]) -> Result<Self> {
        let options = [&["-tt"], options].concat();
        let (ssh, mut terminal, _) =
            on_terminal(&course.ssh(way, setting, &options, "echo ready; exec cat")?)?;
        let mut seen = Vec::new();
        let mut chunk = [0; 4096];
        while !seen.windows(7).any(|window| window == b"ready\r\n") {
            let count = terminal.read(&mut chunk).context("the session ended before it was ready")?;
            seen.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
        Ok(Self { ssh, terminal })
    }

    /// Whether their ssh has ended.
    pub fn has_left(&mut self) -> bool {
        matches!(self.ssh.try_wait(), Ok(Some(_)))
    }

    fn key(&mut self) -> Result<f64> {
        let mut echo = [0; 64];
        let start = Instant::now();
        self.terminal.write_all(b"k")?;
        let count = self.terminal.read(&mut echo)?;
        let seconds = start.elapsed().as_secs_f64();
        if echo.get(..count) != Some(b"k") {
            bail!("typed k, and {:?} came back", echo.get(..count));
        }
        // Nobody types the next key at once; a busy middle would look faster than it is.
        std::thread::sleep(Duration::from_millis(2));
        Ok(seconds)
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        let _ = self.ssh.kill();
        let _ = self.ssh.wait();
    }
}

/// Memory in the middle for each of many idle sessions, and what stays of it.
pub fn memory(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let (mut each, mut kept) = (Turns::default(), Turns::default());
    for way in [Way::Jump, Way::Tidegate] {
        let Some(gauge) = course.gauge(way)? else { continue };
        // The program's own pages, which the first session brings in, are nobody's.
        drop(Typist::sit_down(course, way, "")?);
        let before = gauge.memory_kib();
        let mut sessions = Vec::new();
        for _ in 0..sizes.idle {
            sessions.push(Typist::sit_down(course, way, "")?);
        }
        let during = gauge.memory_kib();
        drop(sessions);
        let mut after = f64::MAX;
        let given_back = wait::until_true("", Duration::from_secs(10), || {
            after = gauge.memory_kib();
            after < before * 1.1
        });
        // What is not given back is what the row says.
        drop(given_back);
        each.of(way).push((during - before) / float(sizes.idle));
        kept.of(way).push((after - before) / float(sizes.idle));
    }
    Ok(vec![
        each.row(&format!("memory of an idle session, of {}", sizes.idle), "KiB", 0.5),
        kept.row("of that, kept 10 s after they closed", "KiB", 0.5),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "figures of a bench")]
pub fn float(number: usize) -> f64 {
    number as f64
}
