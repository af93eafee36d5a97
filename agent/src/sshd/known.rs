//! What sshd said of log-ins before: every session asks, and sshd is a program of its own to be
//! started for each answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tidegate_common::name::AccountName;

use super::{Lines, LogIn, Settings};

/// How long an answer is good while the configuration and the account's groups stay what they were: a
/// `Match exec` may go by something else.
const GOOD: Duration = Duration::from_secs(60);

/// Log-ins remembered at most.
const MOST: usize = 256;

/// The answers.
#[derive(Debug, Default)]
pub struct Known(Mutex<HashMap<(AccountName, IpAddr), Answer>>);

#[derive(Debug)]
struct Answer {
    at: Instant,
    lines: Lines,
    groups: Vec<String>,
    settings: Settings,
}

impl Known {
    /// What is in force for a log-in, on a host that is configured by these lines.
    ///
    /// # Errors
    /// When sshd does not say so.
    pub fn settings(&self, log_in: &LogIn, lines: &Lines, groups: &[String]) -> Result<Settings, String> {
        let whose = (log_in.account.clone(), log_in.from.ip());
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |answer: &&Answer| {
            answer.at.elapsed() < GOOD && answer.lines == *lines && answer.groups == groups
        };
        if let Some(said) = lock().get(&whose).filter(is_good) {
            return Ok(said.settings.clone());
        }
        let settings = log_in.settings()?;
        let mut all = lock();
        if all.len() >= MOST {
            all.clear();
        }
        let (lines, groups) = (lines.clone(), groups.to_vec());
        all.insert(whose, Answer { at: Instant::now(), lines, groups, settings: settings.clone() });
        Ok(settings)
    }
}
