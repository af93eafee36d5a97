//! How /proc is looked at. Somebody who is listed and gone when they are read could have
//! been anybody, and whoever they made is not listed yet: such a look is followed by another.
//! Of a chain of processes that make one another, one is listed at any moment.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use super::super::cgroup::Groups;
use super::Table;
use crate::paths::Paths;
use crate::process::{self, Process, Read};

/// How long to look again and again at one go. A look at who is there takes a tenth of a
/// millisecond where a few hundred processes run.
const SETTLE: Duration = Duration::from_millis(20);

impl Table {
    /// Reads /proc once. A process that ends meanwhile is left out.
    #[must_use]
    pub fn read(paths: &Paths) -> Self {
        let mut table = Self {
            proc: paths.proc.clone(),
            root: paths.root.clone(),
            groups: Groups::find(paths),
            ..Self::default()
        };
        table.look(&mut |_| ());
        table
    }

    /// Looks until all who were listed could be read, twice in a row, for a moment at most. Each
    /// who has come meanwhile is handed to `seize` before the next is read.
    pub fn settle(&mut self, mut seize: impl FnMut(&Process)) {
        let since = Instant::now();
        while !self.is_steady() && since.elapsed() < SETTLE {
            self.look(&mut seize);
        }
    }

    fn look(&mut self, seize: &mut impl FnMut(&Process)) {
        let listed = match self.list() {
            Ok(listed) => listed,
            Err(error) => {
                self.unread.insert(format!("/proc: {error}"));
                self.whole = 0;
                return;
            }
        };
        self.all.retain(|pid, _| listed.contains(pid));
        self.over.retain(|pid| listed.contains(pid));
        let mut missed = false;
        for pid in &listed {
            if self.all.contains_key(pid) || self.over.contains(pid) {
                continue;
            }
            match process::read(&self.proc.join(pid.to_string()), *pid, &mut self.unread) {
                Read::Process(process) => {
                    seize(&process);
                    self.all.insert(*pid, process);
                }
                // When it was listed, it may have lived.
                Read::Over => missed |= self.over.insert(*pid),
                Read::Gone => missed = true,
            }
        }
        self.whole = if missed { 0 } else { self.whole.saturating_add(1) };
    }

    fn list(&self) -> io::Result<BTreeSet<u32>> {
        let mut listed = BTreeSet::new();
        for entry in std::fs::read_dir(&self.proc)? {
            listed.extend(entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        Ok(listed)
    }
}
