//! What came of a comparison, of one session or of all under a change.

use serde::{Deserialize, Serialize};

use super::compare::{MOST_UNEXPECTED, Unexpected};
use crate::audit::CommandSource;

/// What became of the expected commands, and what ran beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Of each expected command, in the change's order.
    pub expected: Vec<Outcome>,
    /// What ran and was not expected, each once, in the order in which it was seen.
    pub unexpected: Vec<Unexpected>,
    /// How many more are not listed.
    #[serde(default)]
    pub more: u64,
    /// How many commands came faster than they could be compared.
    #[serde(default)]
    pub not_compared: u64,
}

/// What became of one expected command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// As it was expected.
    pub command: String,
    /// Whether nothing is missing without it.
    pub optional: bool,
    /// Who says that it ran, the best source there is; none where it did not.
    pub source: Option<CommandSource>,
}

/// How much of what ran was as expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Expected commands that ran.
    pub matched: u64,
    /// Commands that ran and were not expected.
    pub unexpected: u64,
    /// Commands that had to run and did not.
    pub missing: u64,
}

impl Score {
    /// matched / (matched + unexpected + missing), in whole percent rounded down: 100 is all.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let all = self.matched.saturating_add(self.unexpected).saturating_add(self.missing);
        // Nothing was expected, and nothing ran.
        self.matched.saturating_mul(100).checked_div(all).unwrap_or(100)
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Report {
    /// How much was as expected.
    #[must_use]
    pub fn score(&self) -> Score {
        Score {
            matched: count(self.expected.iter().filter(|outcome| outcome.source.is_some()).count()),
            unexpected: count(self.unexpected.len()).saturating_add(self.more),
            missing: count(self.missing().count()),
        }
    }

    /// What had to run and did not.
    pub fn missing(&self) -> impl Iterator<Item = &Outcome> {
        self.expected.iter().filter(|outcome| outcome.source.is_none() && !outcome.optional)
    }

    /// The same with what another session under the change did.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        if self.expected.is_empty() {
            self.expected = other.expected.clone();
        } else {
            for (outcome, also) in self.expected.iter_mut().zip(&other.expected) {
                outcome.source = better(outcome.source, also.source);
            }
        }
        for unexpected in &other.unexpected {
            if self.unexpected.iter().any(|known| known.command == unexpected.command) {
                continue;
            }
            match self.unexpected.len() < MOST_UNEXPECTED {
                true => self.unexpected.push(unexpected.clone()),
                false => self.more = self.more.saturating_add(1),
            }
        }
        self.more = self.more.saturating_add(other.more);
        self.not_compared = self.not_compared.saturating_add(other.not_compared);
        self
    }
}

/// The better of two sources: a kernel saw it run, a client asked for it, somebody typed it.
pub(super) fn better(one: Option<CommandSource>, other: Option<CommandSource>) -> Option<CommandSource> {
    let rank = |source: &CommandSource| match source {
        CommandSource::Witness => 0,
        CommandSource::Exec => 1,
        CommandSource::Typed => 2,
    };
    one.into_iter().chain(other).min_by_key(rank)
}
