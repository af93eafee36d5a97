//! Readers that take less than the other side could send: what piles up in the gate,
//! and whether anything waits for longer than its reader.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_tests::wait;

use crate::Sizes;
use crate::measures::float;
use crate::report::Row;
use crate::ways::{Course, Way};

/// What a reader takes at once, and how often: 20 MB/s.
const PIECE: usize = 2 << 20;
const PACE: Duration = Duration::from_millis(105);

/// A download and an upload at the same time, each with a slow reader.
pub fn slow_readers(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let pieces = (sizes.slow_mib << 20) / PIECE;
    let gauge = course.gauge(Way::Tidegate)?.context("the gate is not measured")?;
    let send = format!("head -c {} /dev/zero", pieces * PIECE);
    let take = format!(
        "i=0; while [ $i -lt {pieces} ]; do head -c {PIECE} >/dev/null; sleep {}; i=$((i+1)); done; echo end",
        PACE.as_secs_f64()
    );
    let (send, take) =
        (course.ssh(Way::Tidegate, "", &[], &send)?, course.ssh(Way::Tidegate, "", &[], &take)?);
    let before = gauge.memory_kib();
    let mut most = before;
    let (down, up) = std::thread::scope(|scope| -> Result<_> {
        let down = scope.spawn(|| download(&send, pieces));
        let up = scope.spawn(|| upload(&take, pieces));
        while !(down.is_finished() && up.is_finished()) {
            most = most.max(gauge.memory_kib());
            std::thread::sleep(Duration::from_millis(50));
        }
        let (Ok(down), Ok(up)) = (down.join(), up.join()) else { bail!("a reader panicked") };
        Ok((down?, up?))
    })?;
    let mut after = f64::MAX;
    let given_back = wait::until_true("", Duration::from_secs(10), || {
        after = gauge.memory_kib();
        after < before + 1024.0
    });
    // What is not given back is what the row says.
    drop(given_back);
    let row = |name: &str, unit, value| Row::new(format!("slow readers: {name}"), unit, value, None, None, 1);
    Ok(vec![
        row("growth for each stream, at most", "KiB", (most - before) / 2.0),
        row("of that, kept 10 s after both ended", "KiB", (after - before).max(0.0) / 2.0),
        row("download's time, of its reader's", "", down),
        row("upload's time, of its reader's", "", up),
    ])
}

/// Reads at the pace; answers how long it took in terms of the time the pace takes.
fn download(words: &[String], pieces: usize) -> Result<f64> {
    let (program, args) = words.split_first().context("no words")?;
    let mut ssh = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut out = ssh.stdout.take().context("no output")?;
    let mut piece = vec![0; PIECE];
    out.read_exact(piece.get_mut(..1).context("no piece")?)?;
    let start = Instant::now();
    let mut got = 1;
    for number in 1..=pieces {
        let rest = (number * PIECE).saturating_sub(got);
        out.read_exact(piece.get_mut(..rest).context("a piece too long")?)?;
        got += rest;
        // The pace of a reader is what is measured against, so here a sleep is the load.
        std::thread::sleep(PACE);
    }
    if out.read(&mut piece)? != 0 {
        bail!("more came than was sent");
    }
    ssh.wait()?;
    Ok(start.elapsed().as_secs_f64() / (PACE.as_secs_f64() * float(pieces)))
}

/// Sends as fast as it is taken; the device's reader has the pace.
fn upload(words: &[String], pieces: usize) -> Result<f64> {
    let (program, args) = words.split_first().context("no words")?;
    let ssh = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut ssh = ssh?;
    let mut input = ssh.stdin.take().context("no input")?;
    let mut out = ssh.stdout.take().context("no output")?;
    let piece = vec![0; PIECE];
    let start = Instant::now();
    for _ in 0..pieces {
        input.write_all(&piece)?;
    }
    drop(input);
    let mut end = String::new();
    out.read_to_string(&mut end)?;
    if end != "end\n" {
        bail!("the device's reader said {end:?}");
    }
    ssh.wait()?;
    Ok(start.elapsed().as_secs_f64() / (PACE.as_secs_f64() * float(pieces)))
}
