//! The fault matrix: on booted devices, sessions with every kind of privilege are struck
//! by whatever can die, and afterwards each device must be what it was, byte for byte,
//! within the lease.
//!
//! A round is known by a seed and its number, so that one that failed can be played again.

mod arena;
mod dice;
mod fault;
mod picture;
mod round;
mod tally;

use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use arena::Arena;
use fault::Rescuer;
use round::Script;

pub use tally::{End, Report, Tally};

/// The devices that rounds are shared among: each has something else against an agent that
/// hangs.
const DEVICES: [(&str, Rescuer); 2] = [("rack", Rescuer::Watchdog), ("screw", Rescuer::Timer)];

/// Plays these rounds below the directory `base`; `hear` is told of each as it ends.
pub fn play(base: &Path, seed: u64, rounds: &[u64], mut hear: impl FnMut(&Report)) -> Result<Tally> {
    let began = Instant::now();
    let mut tally = Tally { seeds: vec![seed], ..Tally::default() };
    std::thread::scope(|scope| {
        let (tell, reports) = channel();
        let players: Vec<_> = (0u64..)
            .zip(DEVICES)
            .map(|(place, (name, rescuer))| {
                let own = rounds.iter().copied().filter(move |round| round % 2 == place);
                let tell = tell.clone();
                scope.spawn(move || play_on(base, name, rescuer, seed, own, &tell))
            })
            .collect();
        drop(tell);
        for report in reports {
            tally.count(&report);
            hear(&report);
        }
        for player in players {
            match player.join() {
                Ok(played) => played?,
                Err(_) => bail!("a thread that played rounds panicked"),
            }
        }
        Ok(())
    })?;
    tally.seconds = began.elapsed().as_secs();
    Ok(tally)
}

fn play_on(
    base: &Path,
    name: &str,
    rescuer: Rescuer,
    seed: u64,
    rounds: impl Iterator<Item = u64>,
    tell: &Sender<Report>,
) -> Result<()> {
    let set_up = || Arena::set_up(base, name, rescuer).with_context(|| format!("the device {name}"));
    let mut arena = None;
    for round in rounds {
        let here = match arena.take() {
            Some(here) => here,
            None => set_up()?,
        };
        let report = Script::of(seed, round, rescuer).play(&here);
        // After an exception nothing is sure of this device any more.
        let spoilt = matches!(report.end, End::Exception(_));
        arena = (!spoilt).then_some(here);
        if tell.send(report).is_err() {
            break;
        }
    }
    Ok(())
}
