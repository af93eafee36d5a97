//! `make torture ROUNDS=500`: the fault matrix, with a table by what died.
//!
//! `SEED=` plays the rounds of an earlier run again, `ROUND=` one of them alone. `ADD=1`
//! adds to what target/torture/torture.json says already.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tidegate_tests::torture::{End, Report, Tally, play};
use tidegate_tests::{guardian, say};

const ROUNDS: u64 = 500;

fn main() -> ExitCode {
    match guardian::clean_all_on_signals(|| guardian::ENDED_BY_SIGNAL).and_then(|()| torture()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(exceptions) => {
            say::error(format_args!("{exceptions} exceptions"));
            ExitCode::FAILURE
        }
        Err(error) => {
            say::error(format_args!("the torture could not be carried out: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn torture() -> Result<u64> {
    let me = std::env::current_exe()?;
    let target = me.parent().and_then(Path::parent).context("this program lies in no target directory")?;
    let seed = number("SEED")?.unwrap_or_else(|| u64::from(std::process::id()));
    let rounds: Vec<u64> = match number("ROUND")? {
        Some(round) => vec![round],
        None => (0..number("ROUNDS")?.unwrap_or(ROUNDS)).collect(),
    };
    say::line(format_args!("{} rounds, SEED={seed}", rounds.len()));
    let mut tally = play(&target.join("torture/fleet"), seed, &rounds, say)?;
    let exceptions = tally.exceptions();
    let directory = target.join("torture");
    if std::env::var_os("ADD").is_some()
        && let Ok(text) = fs::read_to_string(directory.join("torture.json"))
    {
        let mut before: Tally = serde_json::from_str(&text)?;
        before.add(tally);
        tally = before;
    }
    tally.write(&directory)?;
    say::line(format_args!("\n{}\nwritten to {}", tally.table(), directory.join("torture.json").display()));
    Ok(exceptions)
}

fn say(report: &Report) {
    let Report { round, story, end, .. } = report;
    match end {
        End::Returned(after) => say::line(format_args!("{round:>4}  {:>5} ms  {story}", after.as_millis())),
        End::Missed(said) if said.is_empty() => say::line(format_args!("{round:>4}    missed  {story}")),
        End::Missed(said) => {
            say::line(format_args!("{round:>4}    missed  {story}; the clients were told: {said}"))
        }
        End::Exception(what) => say::line(format_args!("{round:>4} EXCEPTION  {story}\n{what}\n")),
    }
}

/// A number from the environment.
fn number(name: &str) -> Result<Option<u64>> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => {
            Ok(Some(text.parse().with_context(|| format!("{name}={text} is no number"))?))
        }
        _ => Ok(None),
    }
}
