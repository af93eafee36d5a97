//! One round: sessions begin, the fault strikes, the sessions are over, the device is
//! what it was. All of it follows from the seed, but for what the scheduler adds.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::arena::{Arena, CREDENTIALS};
use super::dice::Dice;
use super::fault::{Fault, LEASE, MARGIN, Rescuer, Victim};
use super::picture::Logins;
use super::tally::{End, Report};
use crate::run::Running;
use crate::wait;

/// How long clients may need to notice that their session is over.
const FAREWELL: Duration = Duration::from_secs(15);

/// How long the sweep may take after the last session until a step counts as missed.
const UNSTRUCK: Duration = Duration::from_secs(2);

/// What a round does.
#[derive(Debug)]
pub struct Script {
    pub round: u64,
    pub fault: Fault,
    /// Who comes, and how long they mean to stay.
    sessions: Vec<(&'static str, Duration)>,
    /// When the fault strikes, where no step says so.
    after: Duration,
    /// Whether the clients are killed with it, or stay until their session ends.
    clients_die: bool,
    dice: Dice,
}

impl Script {
    /// Of this round under this seed, on a device with this rescuer.
    #[must_use]
    pub fn of(seed: u64, round: u64, rescuer: Rescuer) -> Self {
        let mut dice = Dice::of(seed, round);
        let mut sessions = Vec::new();
        for _ in 0..=dice.below(3) {
            let stay = dice.millis(100, 900);
            sessions.extend(dice.one_of(&CREDENTIALS).map(|credential| (*credential, stay)));
        }
        let fault = Fault::of(round, rescuer, sessions.len(), &mut dice);
        let (after, clients_die) = (dice.millis(0, 1200), dice.coin());
        Self { round, fault, sessions, after, clients_die, dice }
    }

    /// What it does, for people.
    #[must_use]
    pub fn story(&self) -> String {
        let mut text = self.fault.to_string();
        if self.fault.orders().is_empty() {
            let _ = write!(text, " after {} ms", self.after.as_millis());
        }
        text.push_str(if self.clients_die { ", clients killed with it;" } else { ", clients stay;" });
        for (credential, stay) in &self.sessions {
            let _ = write!(text, " {credential} {} ms", stay.as_millis());
        }
        text
    }

    /// Plays it.
    #[must_use]
    pub fn play(self, arena: &Arena) -> Report {
        let (round, story, kind, bound) = (self.round, self.story(), self.fault.kind(), self.fault.bound());
        let end = self.acts(arena).unwrap_or_else(|error| End::Exception(format!("{error:#}")));
        Report { round, story, kind, bound, end }
    }

    fn acts(mut self, arena: &Arena) -> Result<End> {
        let left = arena.difference(Logins::All);
        if !left.is_empty() {
            bail!("after the round before, and once it was over:\n{left}");
        }
        arena.order(&self.fault.orders())?;
        let began = Instant::now();
        let sessions = self.sessions.iter().map(|(credential, stay)| arena.session(credential, *stay));
        let mut clients = Clients(sessions.collect::<Result<_>>()?);
        let struck = self.strike(arena, &mut clients, began)?;
        let said = clients.said();
        let end = self.returns(arena, &mut clients, Instant::now());
        self.mend(arena).context("the fault could not be mended")?;
        drop(clients);
        arena.order("")?;
        arena.mend().context("agent and proxy do not come back")?;
        if matches!(self.fault, Fault::Cut(_) | Fault::Power { .. }) {
            // The proxy may go by a link that it has not missed yet.
            arena.lets_in().context("nobody is let in")?;
        }
        // What waited for the agent must not come to be now.
        let again = wait::until_true("", LEASE + MARGIN, || arena.difference(Logins::All).is_empty());
        let end = end?;
        if again.is_err() {
            bail!("when all ran again:\n{}", arena.difference(Logins::All));
        }
        Ok(if struck { End::Returned(end) } else { End::Missed(said) })
    }

    /// Waits for the fault's instant and strikes; false when its step never came.
    fn strike(&mut self, arena: &Arena, clients: &mut Clients, began: Instant) -> Result<bool> {
        if !self.fault.orders().is_empty() {
            let mut over = None;
            return Ok(loop {
                if arena.is_struck() {
                    break true;
                }
                if over.is_none() && clients.are_over() {
                    over = Some(Instant::now());
                }
                if over.is_some_and(|at: Instant| at.elapsed() > UNSTRUCK) {
                    break false;
                }
                thread::sleep(Duration::from_millis(2));
            });
        }
        thread::sleep(self.after.saturating_sub(began.elapsed()));
        match self.fault {
            Fault::Step { .. } | Fault::Sweep { .. } | Fault::Change { .. } => {}
            Fault::Kill(Victim::Agent) => arena.signal_agent("KILL")?,
            Fault::Kill(Victim::Proxy) => arena.world.kill_proxy()?,
            Fault::Kill(Victim::AgentAndProxy) => {
                arena.world.kill_proxy()?;
                arena.signal_agent("KILL")?;
            }
            Fault::Kill(Victim::Sshd) => return arena.kill_sshd(),
            Fault::Kill(Victim::Client) => clients.kill(),
            Fault::Hang(_) => arena.signal_agent("STOP")?,
            Fault::Cut(way) => arena.cut(way)?,
            Fault::Power { torn } => arena.lose_power(torn.then_some(&mut self.dice))?,
            Fault::Full { killed } => {
                arena.fill_state()?;
                if killed {
                    arena.signal_agent("KILL")?;
                }
            }
            Fault::ReadOnly => {
                arena.freeze_state()?;
                arena.signal_agent("KILL")?;
            }
            Fault::Clock { by, killed } => {
                arena.step_clock(by)?;
                if killed {
                    arena.signal_agent("KILL")?;
                }
            }
        }
        Ok(true)
    }

    /// Waits until the device is what it was; tells how long it took from the fault, or
    /// from the end of the last session that it let live.
    fn returns(&self, arena: &Arena, clients: &mut Clients, struck: Instant) -> Result<Duration> {
        if self.clients_die {
            clients.kill();
        }
        let mut due = (!self.fault.lets_sessions_live()).then_some(struck);
        let mut whole = String::new();
        let logins = if matches!(self.fault, Fault::Cut(_)) { Logins::NotIdle } else { Logins::All };
        loop {
            let now = Instant::now();
            if due.is_none() && (clients.are_over() || struck.elapsed() > FAREWELL) {
                due = Some(now);
                clients.kill();
            }
            let difference = arena.difference(logins);
            if let Some(due) = due {
                if difference.is_empty() {
                    whole = arena.whole_difference(logins)?;
                    if whole.is_empty() {
                        return Ok(now.saturating_duration_since(due));
                    }
                }
                if now.saturating_duration_since(due) > self.fault.bound() {
                    let difference = if difference.is_empty() { whole } else { difference };
                    bail!(
                        "after {} ms:\n{difference}\nthe agent's journal:\n{}\nthe sweep's:\n{}\nthe proxy's log:\n{}",
                        due.elapsed().as_millis(),
                        arena.device.journal("tidegate-agent"),
                        arena.device.journal("tidegate-sweep"),
                        tail(&arena.world.log())
                    );
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn mend(&self, arena: &Arena) -> Result<()> {
        match self.fault {
            Fault::Cut(way) => arena.mend_network(way),
            Fault::Full { .. } => arena.empty_state(),
            Fault::ReadOnly => arena.thaw_state(),
            Fault::Clock { .. } => arena.right_clock(),
            _ => Ok(()),
        }
    }
}

/// The last lines.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n")
}

/// The clients of a round; killed when dropped.
struct Clients(Vec<Running>);

impl Clients {
    fn are_over(&mut self) -> bool {
        self.0.iter_mut().all(|client| !client.is_running())
    }

    /// What they were told so far, on one line.
    fn said(&self) -> String {
        let said = self.0.iter().map(|client| client.stderr_so_far().trim().replace(['\r', '\n'], " "));
        said.filter(|said| !said.is_empty()).collect::<Vec<_>>().join("; ")
    }

    fn kill(&mut self) {
        for client in self.0.drain(..) {
            // One that has ended meanwhile is as good as killed.
            let _ = client.kill();
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.kill();
    }
}
