//! What many rounds came to: a table for people and a file for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// What one round came to.
#[derive(Debug, Clone)]
pub struct Report {
    pub round: u64,
    /// What happened, for people.
    pub story: String,
    pub kind: String,
    pub bound: Duration,
    pub end: End,
}

/// How a round ended.
#[derive(Debug, Clone)]
pub enum End {
    /// The device was what it had been, after this long.
    Returned(Duration),
    /// It was, but the sessions were over before the step that was to be struck.
    Missed(String),
    /// It was not, or something did not come back.
    Exception(String),
}

/// All rounds of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Rounds in which the fault struck.
    pub rounds: u64,
    pub exceptions: u64,
    pub slowest_ms: u64,
    pub bound_ms: u64,
    /// Rounds whose sessions were over before the fault could strike.
    pub missed: u64,
}

/// All rounds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// What has to be given again to play the same rounds.
    pub seeds: Vec<u64>,
    pub seconds: u64,
    pub kinds: BTreeMap<String, Row>,
}

impl Tally {
    /// Counts one round.
    pub fn count(&mut self, report: &Report) {
        let row = self.kinds.entry(report.kind.clone()).or_default();
        row.bound_ms = millis(report.bound);
        match &report.end {
            End::Returned(after) => {
                row.rounds += 1;
                row.slowest_ms = row.slowest_ms.max(millis(*after));
            }
            End::Missed(_) => row.missed += 1,
            End::Exception(_) => {
                row.rounds += 1;
                row.exceptions += 1;
            }
        }
    }

    /// Adds the rounds of another run.
    pub fn add(&mut self, other: Self) {
        self.seeds.extend(other.seeds);
        self.seconds += other.seconds;
        for (kind, theirs) in other.kinds {
            let ours = self.kinds.entry(kind).or_default();
            ours.rounds += theirs.rounds;
            ours.exceptions += theirs.exceptions;
            ours.missed += theirs.missed;
            ours.slowest_ms = ours.slowest_ms.max(theirs.slowest_ms);
            ours.bound_ms = ours.bound_ms.max(theirs.bound_ms);
        }
    }

    /// Of all kinds.
    #[must_use]
    pub fn exceptions(&self) -> u64 {
        self.kinds.values().map(|row| row.exceptions).sum()
    }

    /// The table, in Markdown.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| what died | rounds | exceptions | slowest return, ms | bound, ms |\n| --- | ---: | ---: | ---: | ---: |\n",
        );
        for (kind, row) in &self.kinds {
            let Row { rounds, exceptions, slowest_ms, bound_ms, .. } = row;
            let _ = writeln!(text, "| {kind} | {rounds} | {exceptions} | {slowest_ms} | {bound_ms} |");
        }
        let rounds: u64 = self.kinds.values().map(|row| row.rounds).sum();
        let missed: u64 = self.kinds.values().map(|row| row.missed).sum();
        let _ = writeln!(text, "| all | {rounds} | {} | | |", self.exceptions());
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        let _ = write!(
            text,
            "\nSeeds {}, {} s. In {missed} more rounds the sessions were over before the step that was to be struck; \
             the device was what it had been there too.\n",
            seeds.join(", "),
            self.seconds
        );
        text
    }

    /// Writes `torture.json` and `torture.md` into the directory.
    pub fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        fs::write(directory.join("torture.json"), format!("{}\n", serde_json::to_string_pretty(self)?))?;
        fs::write(directory.join("torture.md"), self.table())?;
        Ok(())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
