//! What dies, and when: one fault for each round, each kind in its turn.

use std::fmt;
use std::time::Duration;

use super::dice::Dice;

/// The lease of the rounds: short, so that they are quick.
pub const LEASE: Duration = Duration::from_millis(1500);

/// What a machine under load takes to look, to start a program again and to end processes.
pub const MARGIN: Duration = Duration::from_secs(8);

/// The agent's watchdog: the same share of the lease as the unit that ships has of the
/// lease that ships (18 s of 30).
pub const WATCHDOG: Duration = Duration::from_millis(900);

/// How often the timer of the sweep comes where no watchdog is (30 s as it ships).
pub const TIMER: Duration = Duration::from_secs(1);

/// How long past its lease the sweep lets an agent be (`GRACE` of agent/src/shell/sweep.rs).
const SWEEP_GRACE: Duration = Duration::from_secs(5);

/// Records of a session that the agent writes itself.
const RECORDS: [&str; 5] = ["granting", "granted", "traced", "released", "ended"];

/// Records that the sweep writes after an agent that was killed with a grant.
const SWEEPS: [&str; 4] = ["snapshot", "gone", "released", "ended"];

/// Where in a step the kill falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of it is on disk.
    Before,
    /// Half a record is.
    Torn,
    /// It is on disk, and nothing that follows it has been done.
    After,
}

const MOMENTS: [Moment; 3] = [Moment::Before, Moment::Torn, Moment::After];

/// What a host has against an agent that hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rescuer {
    Watchdog,
    Timer,
}

/// What is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToProxy,
    ToDevice,
    Both,
}

/// Who is killed at a random instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Agent,
    Proxy,
    AgentAndProxy,
    Sshd,
    Client,
}

/// What happens in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The agent is killed as it writes this record: the first, or one that follows.
    Step { record: &'static str, moment: Moment, skip: u64 },
    /// The agent is killed with its grant, and then the sweep after it as it writes this.
    Sweep { record: &'static str, moment: Moment },
    /// The agent is killed at the nth rename, link or removal of a file, its own or its tool's.
    Change { number: u64, moment: Moment },
    /// At a random instant.
    Kill(Victim),
    /// The agent is stopped (SIGSTOP), at a random instant.
    Hang(Rescuer),
    /// The network is cut, at a random instant.
    Cut(Way),
    /// The power is cut, at a random instant; the last record may be torn then.
    Power { torn: bool },
    /// The disk of the agent's state is full, from a random instant on; the agent may be
    /// killed with it.
    Full { killed: bool },
    /// It can be read only, from a random instant on, and the agent is killed.
    ReadOnly,
    /// The agent's wall clock is stepped by so many seconds at a random instant; the agent
    /// may be killed with it.
    Clock { by: i64, killed: bool },
}

/// A minute, a day, ten years: what certificates, expiry dates and logs go by.
const STEPS: [i64; 3] = [60, 86_400, 10 * 365 * 86_400];

/// One place on the wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Step,
    Sweep,
    Change,
    Hang,
    Clock,
    Just(Fault),
}

/// The kinds in their turn. An odd number of them, so that both of two devices get to play
/// each; both ways to be rescued from a hang come within the first 30 rounds.
const WHEEL: [Slot; 27] = [
    Slot::Step,
    Slot::Just(Fault::Kill(Victim::Agent)),
    Slot::Hang,
    Slot::Sweep,
    Slot::Change,
    Slot::Step,
    Slot::Just(Fault::Kill(Victim::Proxy)),
    Slot::Just(Fault::Cut(Way::ToProxy)),
    Slot::Step,
    Slot::Just(Fault::Power { torn: false }),
    Slot::Change,
    Slot::Just(Fault::Kill(Victim::Sshd)),
    Slot::Sweep,
    Slot::Just(Fault::Full { killed: false }),
    Slot::Step,
    Slot::Just(Fault::Cut(Way::ToDevice)),
    Slot::Clock,
    Slot::Just(Fault::Kill(Victim::Client)),
    Slot::Change,
    Slot::Just(Fault::Full { killed: true }),
    Slot::Just(Fault::ReadOnly),
    Slot::Just(Fault::Kill(Victim::AgentAndProxy)),
    Slot::Sweep,
    Slot::Just(Fault::Cut(Way::Both)),
    Slot::Clock,
    Slot::Step,
    Slot::Just(Fault::Power { torn: true }),
];

/// Each record with each moment, in turn.
fn pair(records: &[&'static str], turn: usize) -> (&'static str, Moment) {
    let record = records.get(turn % records.len().max(1)).copied().unwrap_or_default();
    let moment = MOMENTS.get(turn / records.len().max(1) % MOMENTS.len()).copied();
    (record, moment.unwrap_or(Moment::Before))
}

impl Fault {
    /// The fault of this round, on a device with this rescuer, where so many sessions come.
    #[must_use]
    pub fn of(round: u64, rescuer: Rescuer, sessions: usize, dice: &mut Dice) -> Self {
        let round = usize::try_from(round).unwrap_or_default();
        let place = round % WHEEL.len();
        let Some(slot) = WHEEL.get(place) else { return Self::ReadOnly };
        // How often its kind has come before: each time it takes the next of its steps.
        let in_all = WHEEL.iter().filter(|other| *other == slot).count();
        let before = WHEEL.iter().take(place).filter(|other| *other == slot).count();
        let turn = round / WHEEL.len() * in_all + before;
        match slot {
            Slot::Step => {
                let (record, moment) = pair(&RECORDS, turn);
                let skip = dice.below(u64::try_from(sessions).unwrap_or(1).min(2));
                Self::Step { record, moment, skip }
            }
            Slot::Sweep => {
                let (record, moment) = pair(&SWEEPS, turn);
                Self::Sweep { record, moment }
            }
            Slot::Change => {
                let moment = if dice.coin() { Moment::Before } else { Moment::After };
                Self::Change { number: 1 + dice.below(80), moment }
            }
            Slot::Hang => Self::Hang(rescuer),
            Slot::Clock => {
                let step = dice.one_of(&STEPS).copied().unwrap_or_default();
                Self::Clock { by: if turn.is_multiple_of(2) { step } else { -step }, killed: dice.coin() }
            }
            Slot::Just(fault) => *fault,
        }
    }

    /// How the table calls it.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Step { record, .. } => format!("agent killed at its record `{record}`"),
            Self::Sweep { record, .. } => format!("agent killed, then the sweep at its record `{record}`"),
            Self::Change { .. } => "agent killed between two changes of files".to_owned(),
            Self::Kill(Victim::Agent) => "agent killed".to_owned(),
            Self::Kill(Victim::Proxy) => "proxy killed".to_owned(),
            Self::Kill(Victim::AgentAndProxy) => "agent and proxy killed".to_owned(),
            Self::Kill(Victim::Sshd) => "sshd of the sessions killed".to_owned(),
            Self::Kill(Victim::Client) => "client killed".to_owned(),
            Self::Hang(Rescuer::Watchdog) => "agent stopped, watchdog".to_owned(),
            Self::Hang(Rescuer::Timer) => "agent stopped, no watchdog, sweep's timer".to_owned(),
            Self::Cut(Way::ToProxy) => "network cut, device to proxy".to_owned(),
            Self::Cut(Way::ToDevice) => "network cut, proxy to device".to_owned(),
            Self::Cut(Way::Both) => "network cut, both ways".to_owned(),
            Self::Power { torn: false } => "power lost".to_owned(),
            Self::Power { torn: true } => "power lost, last record torn".to_owned(),
            Self::Full { killed: false } => "state's disk full".to_owned(),
            Self::Full { killed: true } => "state's disk full, agent killed".to_owned(),
            Self::ReadOnly => "state's disk read-only, agent killed".to_owned(),
            Self::Clock { by, killed } => {
                let way = if *by < 0 { "back" } else { "ahead" };
                format!("agent's wall clock stepped {way}{}", if *killed { ", agent killed" } else { "" })
            }
        }
    }

    /// Within which the device has to be what it was, once the fault has struck and the
    /// sessions are over.
    #[must_use]
    pub fn bound(&self) -> Duration {
        match self {
            // sshd answers after the sweep only.
            Self::Power { .. } => Duration::ZERO,
            // The agent still hears the proxy, until that has missed it for a lease (it
            // looks each third of one); then the agent's own lease runs out.
            Self::Cut(Way::ToProxy) => LEASE * 7 / 3 + MARGIN,
            Self::Hang(Rescuer::Timer) => LEASE + SWEEP_GRACE + TIMER + MARGIN,
            _ => LEASE + MARGIN,
        }
    }

    /// What the saboteur is told; empty where the fault comes at a random instant.
    #[must_use]
    pub fn orders(&self) -> String {
        match self {
            Self::Step { record, moment, skip } => {
                let passes = format!("pass {record}\n").repeat(usize::try_from(*skip).unwrap_or_default());
                format!("{passes}{moment} {record}\n")
            }
            Self::Sweep { record, moment } => format!("after granted\n{moment} {record}\n"),
            Self::Change { number, moment } => {
                let passes = usize::try_from(number.saturating_sub(1)).unwrap_or_default();
                format!("{}{moment} change\n", "pass change\n".repeat(passes))
            }
            _ => String::new(),
        }
    }

    /// Whether the sessions may go on after it, so that they have to end before their
    /// privileges must.
    #[must_use]
    pub fn lets_sessions_live(&self) -> bool {
        match self {
            Self::Step { .. } | Self::Sweep { .. } | Self::Change { .. } => true,
            Self::Full { .. } | Self::ReadOnly | Self::Clock { .. } => true,
            Self::Kill(victim) => matches!(victim, Victim::Agent | Victim::Sshd | Victim::Client),
            Self::Hang(_) | Self::Cut(_) | Self::Power { .. } => false,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::Torn => "torn",
            Self::After => "after",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind())?;
        match self {
            Self::Step { moment, skip, .. } => write!(f, ", {moment}, after {skip} others"),
            Self::Sweep { moment, .. } => write!(f, ", {moment}"),
            Self::Change { number, moment } => write!(f, ", {moment} change {number}"),
            Self::Clock { by, .. } => write!(f, ", by {by} s"),
            _ => Ok(()),
        }
    }
}
