//! Processor time and memory of what stands in the middle, and the machine's own time.

use std::fs;

use anyhow::{Context, Result};

/// Measures one process, or one with all that descend from it.
#[derive(Debug, Clone, Copy)]
pub struct Gauge {
    pid: i32,
    tree: bool,
}

impl Gauge {
    /// One process with all its threads.
    pub fn process(pid: i32) -> Self {
        Self { pid, tree: false }
    }

    /// A process and its descendants, also those that have ended and were waited for.
    pub fn tree(pid: i32) -> Self {
        Self { pid, tree: true }
    }

    /// Seconds of processor time used so far.
    pub fn cpu_seconds(self) -> f64 {
        let own: f64 = self.processes().into_iter().map(on_cpu).sum();
        if self.tree { own + waited_for(self.pid) } else { own }
    }

    /// Memory of its own in KiB: anonymous pages, those that are shared counted in parts
    /// (`Pss_Anon` of proc(5)). Pages of code come from files, and the kernel takes them
    /// away and brings them back as it likes.
    pub fn memory_kib(self) -> f64 {
        self.processes().into_iter().map(proportional).sum()
    }

    fn processes(self) -> Vec<i32> {
        let mut all = vec![self.pid];
        let mut next = 0;
        while let Some(pid) = all.get(next).copied().filter(|_| self.tree) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
            next += 1;
        }
        all
    }
}

/// Nanosecond counts of the scheduler, summed over threads.
fn on_cpu(pid: i32) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let nanoseconds: f64 = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .sum();
    nanoseconds / 1e9
}

/// `cutime` and `cstime` of proc(5), in ticks of 10 ms.
fn waited_for(pid: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(13).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn proportional(pid: i32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find(|line| line.starts_with("Pss_Anon:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default()
}

/// The machine's processors so far, in ticks (`cpu` of proc_stat(5)).
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    all: f64,
    steal: f64,
}

impl Ticks {
    /// As the kernel counts them now.
    pub fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu "));
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are part of the first two.
        let ticks: Vec<f64> = line
            .context("/proc/stat does not begin with the line `cpu`")?
            .split_whitespace()
            .take(8)
            .filter_map(|ticks| ticks.parse().ok())
            .collect();
        Ok(Self { all: ticks.iter().sum(), steal: ticks.get(7).copied().unwrap_or_default() })
    }

    /// The share of the time between that the host of a virtual machine gave to others.
    pub fn stolen_since(self, before: Self) -> f64 {
        (self.steal - before.steal) / (self.all - before.all).max(1.0)
    }
}
