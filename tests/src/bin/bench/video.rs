//! Videos: of ten minutes and of ten hours at a terminal, of a terminal of 200 x 50, of an idle
//! hour. Beside agg and ffmpeg on the same recording, where both are installed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tidegate_tests::programs::program;
use tidegate_tests::run::Run;

use crate::report::Row;

/// A recording that never was: its output with its times.
struct Cast {
    text: String,
    at: f64,
}

impl Cast {
    fn new(columns: u16, rows: u16) -> Self {
        let header = serde_json::json!({ "version": 2, "width": columns, "height": rows });
        Self { text: format!("{header}\n"), at: 0.0 }
    }

    fn show(&mut self, after: f64, output: &str) {
        self.at += after;
        let _ = writeln!(self.text, "{}", serde_json::json!([self.at, "o", output]));
    }

    /// A third typing, a third long listings, a third a monitor that fills the screen.
    fn at_work(columns: u16, rows: u16, seconds: f64) -> Self {
        let mut cast = Self::new(columns, rows);
        let mut turn = 0_u32;
        while cast.at < seconds / 3.0 {
            turn += 1;
            cast.show(0.4, "\x1b[1;32mops@db01\x1b[0m:\x1b[1;34m~\x1b[0m$ ");
            for letter in format!("systemctl status postgresql@{turn}-main").chars() {
                cast.show(0.12, &letter.to_string());
            }
            cast.show(0.3, "\r\n\x1b[1;32m●\x1b[0m active (running)\r\n");
        }
        while cast.at < seconds * 2.0 / 3.0 {
            let mut listing = String::new();
            for line in 0..200 {
                turn = turn.wrapping_mul(1_103_515_245).wrapping_add(12345);
                let _ = write!(
                    listing,
                    "-rw-r--r-- 1 root root {:>9} \x1b[3{}mfile-{line:04}.log\x1b[0m\r\n",
                    turn % 99_999_999,
                    turn % 7 + 1
                );
            }
            for piece in listing.as_bytes().chunks(4096) {
                cast.show(0.02, &String::from_utf8_lossy(piece));
            }
            cast.show(4.0, "$ ");
        }
        while cast.at < seconds {
            let mut screen = String::from("\x1b[H\x1b[7m  PID USER      %CPU  COMMAND\x1b[K\x1b[0m");
            for row in 2..=rows {
                turn = turn.wrapping_mul(1_103_515_245).wrapping_add(12345);
                let width = usize::from(columns).saturating_sub(30);
                let _ = write!(
                    screen,
                    "\x1b[{row};1H{:>5} root     \x1b[33m{:>5.1}\x1b[0m  {:.width$}\x1b[K",
                    turn % 32768,
                    f64::from(turn % 1000) / 10.0,
                    "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main -c config_file=/etc/postgresql/15/main/postgresql.conf"
                );
            }
            cast.show(1.0, &screen);
        }
        cast
    }

    fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, &self.text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What a video cost.
struct Cost {
    seconds: f64,
    bytes: u64,
    /// Of all its processes at once, at most.
    memory_mib: f64,
}

/// Processes of a tree, by what /proc says of their parents.
fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((process, parent))
        })
        .collect();
    let mut all = vec![root];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        all.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process));
        next += 1;
    }
    all
}

fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

fn convert(cast: &Path, video: &Path) -> Result<Cost> {
    let start = Instant::now();
    let mut process = Command::new(program("tidegate-video")?)
        .args(["--progress", "none"])
        .args([cast, video])
        .stdin(Stdio::null())
        .spawn()?;
    let mut memory_mib: f64 = 0.0;
    let status = loop {
        if let Some(status) = process.try_wait()? {
            break status;
        }
        memory_mib = memory_mib.max(tree(process.id()).into_iter().map(resident_mib).sum());
        // The clock of the measure is what it waits for.
        std::thread::sleep(Duration::from_millis(20));
    };
    ensure!(status.success(), "tidegate-video failed on {}", cast.display());
    Ok(Cost { seconds: start.elapsed().as_secs_f64(), bytes: fs::metadata(video)?.len(), memory_mib })
}

/// By agg and ffmpeg, where both are there.
fn by_others(cast: &Path, scratch: &Path) -> Result<Option<(f64, u64)>> {
    let there = |name: &str| Command::new(name).arg("--version").output().is_ok();
    if !there("agg") || !there("ffmpeg") {
        return Ok(None);
    }
    let (gif, video) = (scratch.join("agg.gif"), scratch.join("agg.mp4"));
    let start = Instant::now();
    let long = Duration::from_secs(600);
    Run::new("agg").args(["--idle-time-limit", "3600"]).arg(cast).arg(&gif).within(long).ok()?;
    Run::new("ffmpeg")
        .args(["-y", "-v", "error", "-i"])
        .arg(&gif)
        // The encoder takes even sizes only.
        .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"])
        .arg(&video)
        .within(long)
        .ok()?;
    Ok(Some((start.elapsed().as_secs_f64(), fs::metadata(&video)?.len())))
}

/// Ten minutes and ten hours; a tenth of the one and a sixtieth of the other if it has to be quick.
pub fn measure(quick: bool) -> Result<Vec<Row>> {
    let scratch = std::env::temp_dir().join(format!("tidegate-bench-video-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let measured = measure_in(&scratch, quick);
    fs::remove_dir_all(&scratch)?;
    measured
}

fn measure_in(scratch: &Path, quick: bool) -> Result<Vec<Row>> {
    let (seconds, long) = if quick { (60.0, 600.0) } else { (600.0, 36_000.0) };
    let file = |name: &str| -> PathBuf { scratch.join(name) };
    let (cast, wide, idle) = (file("work.cast"), file("wide.cast"), file("idle.cast"));
    let day = file("day.cast");
    Cast::at_work(80, 24, seconds).write(&cast)?;
    Cast::at_work(80, 24, long).write(&day)?;
    Cast::at_work(200, 50, seconds).write(&wide)?;
    let mut hour = Cast::new(80, 24);
    hour.show(0.0, "$ ");
    hour.show(3600.0, "exit\r\n");
    hour.write(&idle)?;
    let work = convert(&cast, &file("work.mp4"))?;
    let wide = convert(&wide, &file("wide.mp4"))?;
    let idle = convert(&idle, &file("idle.mp4"))?;
    let day = convert(&day, &file("day.mp4"))?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let row = |name: &str, unit, value| Row::new(name, unit, value, None, None, 1);
    let mut rows = vec![
        row("video of a session at work", "x real time", seconds / work.seconds),
        row("its file", "MiB", mib(work.bytes)),
        row("its memory", "MiB", work.memory_mib),
        row("video of one of 200x50, against 80x24", "x as long", wide.seconds / work.seconds),
        row("its memory, 200x50", "MiB", wide.memory_mib),
        row("video of an idle hour", "s", idle.seconds),
        row(&format!("memory of a video of {:.0} minutes", long / 60.0), "MiB", day.memory_mib),
    ];
    if let Some((took, bytes)) = by_others(&cast, scratch)? {
        rows.push(row("agg and ffmpeg, against it", "x as long", took / work.seconds));
        rows.push(row("their file, against it", "x as large", bytes as f64 / work.bytes as f64));
    }
    Ok(rows)
}
