//! A short run of the fault matrix; `make torture` is the long one.

use tidegate_tests::torture::{End, play};

use crate::needs_devices;
use crate::support::base;

/// The seed of every run, unless `SEED=` names another.
const SEED: u64 = 1;

/// How many rounds are played, unless `ROUNDS=` says otherwise.
const ROUNDS: u64 = 30;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn whatever_dies_at_whichever_step_the_device_is_what_it_was_within_the_lease() {
    needs_devices!();
    let seed = number("SEED").unwrap_or(SEED);
    let rounds: Vec<u64> = (0..number("ROUNDS").unwrap_or(ROUNDS)).collect();
    eprintln!("SEED={seed} ROUNDS={}", rounds.len());
    let tally = play(&base(), seed, &rounds, |report| {
        eprintln!("{:>3}  {}", report.round, report.story);
        match &report.end {
            End::Returned(after) => eprintln!("     {} ms", after.as_millis()),
            End::Missed(said) => eprintln!("     its step never came; the clients were told: {said}"),
            End::Exception(what) => eprintln!("     EXCEPTION {what}"),
        }
    });
    let tally = tally.unwrap();
    eprintln!("{}", tally.table());
    let struck: u64 = tally.kinds.values().map(|row| row.rounds).sum();
    assert_eq!(tally.exceptions(), 0);
    assert!(struck * 4 >= 3 * rounds.len() as u64, "only {struck} of {} rounds struck", rounds.len());
}
