//! Who shows a terminal: the processes that hold its other end (pts(4)). A login that was made
//! without a connection was made by whoever looks at it: machinectl(1) has systemd make one and
//! shows it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Descriptors of one process that are looked at.
const MOST_DESCRIPTORS: usize = 4096;

/// How many may show one terminal.
const MOST_HOLDERS: usize = 16;

/// Processes that show the terminal which is the input or output of this one, on the same
/// view of the file system: elsewhere its number is another terminal's.
pub fn holders(proc: &Path, pid: u32) -> BTreeSet<u32> {
    let of = |pid: u32, file: &str| fs::read_link(proc.join(pid.to_string()).join(file)).ok();
    let links = ["fd/0", "fd/1", "fd/2"].into_iter().filter_map(|file| of(pid, file));
    let mut numbers = links.filter_map(|link| link.to_str()?.strip_prefix("/dev/pts/")?.parse().ok());
    let (Some(number), Some(view)) = (numbers.next(), of(pid, "ns/mnt")) else { return BTreeSet::new() };
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let shows = |pid: &u32| of(*pid, "ns/mnt").is_some_and(|its| its == view) && shows(proc, *pid, number);
    pids.filter(|other| *other != pid).filter(shows).take(MOST_HOLDERS).collect()
}

fn shows(proc: &Path, pid: u32, number: u32) -> bool {
    let directory = proc.join(pid.to_string());
    let open = fs::read_dir(directory.join("fd")).into_iter().flatten().flatten().take(MOST_DESCRIPTORS);
    let mut masters = open
        .filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.file_name().is_some_and(|to| to == "ptmx")));
    masters.any(|fd| {
        let told = fs::read_to_string(directory.join("fdinfo").join(fd.file_name())).unwrap_or_default();
        let index = told.lines().find_map(|line| line.strip_prefix("tty-index:"));
        index.is_some_and(|index| index.trim().parse() == Ok(number))
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn who_shows_a_terminal_is_found_by_whoever_runs_on_it_and_nobody_else() {
        let quiet = || std::process::Stdio::null();
        let mut shows = Command::new("script");
        let mut shows =
            shows.args(["-q", "-c", "exec sleep 1000", "/dev/null"]).stdin(quiet()).spawn().unwrap();
        let mut alone =
            Command::new("sleep").arg("1000").stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().unwrap();
        let proc = Path::new("/proc");
        let on_it = loop {
            let children = format!("/proc/{0}/task/{0}/children", shows.id());
            let children = fs::read_to_string(children).unwrap();
            let child = children.split_whitespace().next().and_then(|child| child.parse().ok());
            let sleeps =
                |child: &u32| fs::read(format!("/proc/{child}/comm")).is_ok_and(|comm| comm == b"sleep\n");
            if let Some(child) = child.filter(sleeps) {
                break child;
            }
            assert!(shows.try_wait().unwrap().is_none(), "script(1) shows nothing");
            std::thread::yield_now();
        };
        assert_eq!(holders(proc, on_it), BTreeSet::from([shows.id()]));
        assert_eq!(holders(proc, alone.id()), BTreeSet::new());
        for child in [&mut shows, &mut alone] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
