//! The ends of sessions when there is much to take away: another session's files by the
//! hundred thousand, or processes by the thousand that never stay to be looked at.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_tests::client::run_of;
use tidegate_tests::host::Host;
use tidegate_tests::run::Running;
use tidegate_tests::wait;

use crate::Sizes;
use crate::report::{Row, quantile};
use crate::ways::Course;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a process lives before it makes the next, in microseconds.
const HOP: u32 = 200_000;

const HOPPER: &str = r#"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    for (int more = atoi(argv[2]); more > 1; more--) if (!fork()) break;
    for (long left = 60000000 / atoi(argv[1]); left > 0; left--) {
        if (fork()) _exit(0);
        usleep(atoi(argv[1]));
    }
}
"#;

/// How long a privilege outlives its session while the home of an account that was created
/// for another is removed.
pub fn beside_a_removal(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let make =
        format!("mkdir m && cd m && seq {} | xargs touch && echo there && exec sleep 600", sizes.files);
    let guest = started(&course.ssh_guest(&make)?, "there")?;
    drop(guest.kill()?);
    let homes = course.device.path("/home");
    let removing = || {
        let entries = fs::read_dir(homes.join(".tidegate-removed")).into_iter().flatten();
        let guests = fs::read_dir(&homes).into_iter().flatten().flatten();
        entries.count() > 0
            || guests.into_iter().any(|home| home.file_name().to_string_lossy().starts_with("tg-"))
    };
    let mut times = Vec::new();
    while removing() {
        run_of(&course.ssh_granted("", "true")?).ok()?;
        let start = Instant::now();
        while course.is_granted() {
            if start.elapsed() > PATIENCE {
                bail!("the privilege is still there {PATIENCE:?} after its session");
            }
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let runs = times.len();
    if runs < 3 {
        bail!("the removal was over after {runs} sessions");
    }
    let name = |share: &str| format!("the same beside a removal of {} files, {share}", sizes.files);
    Ok(vec![
        Row::new(name("p50"), "ms", quantile(&mut times, 0.5), None, None, runs),
        Row::new(name("p99"), "ms", quantile(&mut times, 0.99), None, None, runs),
    ])
}

/// From a client's end to that of the last of its hopping processes, root's under sudo.
pub fn hopping(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let source = course.device.path("/usr/local/share/hopper.c");
    fs::write(&source, HOPPER)?;
    course.device.ok(&["cc", "-O1", "-o", "/usr/local/bin/bench-hopper", "/usr/local/share/hopper.c"])?;
    let count = || -> Result<usize> {
        Ok(course.device.run(&["pgrep", "-c", "-x", "-r", "R,S,D", "bench-hopper"])?.out().trim().parse()?)
    };
    let mut times = Vec::new();
    for _ in 0..5 {
        let command = format!("sudo -n bench-hopper {HOP} {} & echo there; cat", sizes.hoppers);
        let session = started(&course.ssh_granted("", &command)?, "there")?;
        let all = || count().is_ok_and(|count| count + count / 20 >= sizes.hoppers);
        wait::until_true("they hop", PATIENCE, all)?;
        let start = Instant::now();
        drop(session.kill()?);
        while count()? > 0 {
            if start.elapsed() > PATIENCE {
                bail!("processes hop {PATIENCE:?} after their session");
            }
        }
        times.push(start.elapsed().as_secs_f64());
    }
    let name = format!("session's end to that of {} hopping processes, p50", sizes.hoppers);
    let runs = times.len();
    Ok(vec![Row::new(name, "s", quantile(&mut times, 0.5), None, None, runs)])
}

/// Starts a session and waits for this word of it.
fn started(words: &[String], word: &str) -> Result<Running> {
    let mut session = run_of(words).within(PATIENCE * 2).start()?;
    let mut over = false;
    let said = wait::until_true("the session says that it is there", PATIENCE, || {
        let said = session.stdout_so_far().contains(word);
        over = !said && !session.is_running();
        said || over
    });
    said.with_context(|| session.stderr_so_far())?;
    if over {
        bail!("the session is over: {}", session.stderr_so_far());
    }
    Ok(session)
}
