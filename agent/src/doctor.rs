//! `tidegate-agent doctor`: is this host as the agent needs it, and where not, how to
//! mend it. It asks the host and changes nothing.
//!
//! [`host`] asks, [`judge`] decides on what was said, as functions of texts; [`compare`]
//! sets what the proxy said last beside it.

mod access;
mod compare;
mod host;
mod judge;

use std::fmt;

use serde::Serialize;

pub use host::{Asked, examine};

/// How a point stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Ok,
    /// It works, but not all of it, or not for long.
    Warning,
    /// Sessions fail, or a privilege may outlive its session.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Its name, the same in every run.
    pub point: &'static str,
    pub verdict: Verdict,
    /// One sentence.
    pub found: String,
    /// The command, or the line of a file, that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Point {
    fn ok(point: &'static str, found: impl Into<String>) -> Self {
        Self { point, verdict: Verdict::Ok, found: found.into(), mend: None }
    }

    fn warning(point: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { point, verdict: Verdict::Warning, found: found.into(), mend: Some(mend.into()) }
    }

    fn wrong(point: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { point, verdict: Verdict::Wrong, found: found.into(), mend: Some(mend.into()) }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Wrong => "wrong",
        };
        write!(f, "{verdict:<8} {:<12} {}", self.point, self.found)?;
        match &self.mend {
            Some(mend) => write!(f, "; mend: {mend}"),
            None => Ok(()),
        }
    }
}

/// 0 when all is well, 1 with a warning, 2 when something is wrong.
#[must_use]
pub fn status(points: &[Point]) -> u8 {
    match points.iter().map(|point| point.verdict).max() {
        None | Some(Verdict::Ok) => 0,
        Some(Verdict::Warning) => 1,
        Some(Verdict::Wrong) => 2,
    }
}
