//! Sessions begin while messages by the thousand wait for a mail server that hangs.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use tidegate_tests::client::run_of;
use tidegate_tests::sinks::MailServer;
use tidegate_tests::world::World;

use crate::Sizes;
use crate::measures::timed;
use crate::report::{Row, median, quantile};
use crate::ways::{Course, Way};

/// Who asks for what many approve.
const CROWDED: &str = "crowded";

/// What is asked for, so often; each approver is told of each.
const REQUESTS: usize = 10;

/// Mails that the server leaves without an answer: more than are tried while this runs.
const HANGS: usize = 1_000;

/// The gate's settings for a mail server that takes connections and says no more once it hears for whom
/// a mail is.
pub fn hanging_mail() -> Result<String> {
    // It listens for as long as this program runs.
    let server = MailServer::start(&["hang"; HANGS])?;
    Ok(format!(
        "[notify.mail]\nserver = \"{}\"\ntls = \"none\"\nfrom = \"Tidegate <tidegate@example.org>\"\n",
        server.address()
    ))
}

/// Set-ups and ends of sessions, first without the messages, then beside them.
pub fn measure(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let world = &course.world;
    let approvers = sizes.messages / REQUESTS;
    world.apply(&crowd(world, approvers)?)?;
    let mut without = SetUps::take(course, sizes)?;
    for number in 0..REQUESTS {
        let target = format!("box{number}@bench01");
        let ask = ["request", "create", &target, "--justification", "drill"];
        world.client().console(CROWDED, &ask)?.ok()?;
    }
    all_wait(world, approvers)?;
    let mut beside = SetUps::take(course, sizes)?;
    all_wait(world, approvers)?;
    let messages = approvers * REQUESTS;
    let mut rows = beside.rows(&format!("session set-up and end beside {messages} messages in the outbox"));
    rows.extend(without.rows("the same without them"));
    let against = median(&mut beside.gate) / median(&mut without.gate);
    rows.push(Row::new("beside them, against without", "x as long", against, None, None, beside.gate.len()));
    Ok(rows)
}

/// One who asks, and so many who approve and read mail. Nobody logs in to what they ask for.
fn crowd(world: &World, approvers: usize) -> Result<String> {
    let key = world.client().public_key(CROWDED)?;
    let mut text = format!("[[user]]\nname = \"{CROWDED}\"\nkeys = [\"{key}\"]\n");
    for number in 0..approvers {
        writeln!(text, "[[user]]\nname = \"approver{number}\"\nemail = \"approver{number}@example.org\"")?;
    }
    for number in 0..REQUESTS {
        writeln!(text, "[[credential]]\nname = \"box{number}@bench01\"")?;
    }
    let names: Vec<_> = (0..approvers).map(|number| format!("\"approver{number}\"")).collect();
    writeln!(
        text,
        "[[access_group]]\nname = \"crowd\"\nusers = [\"{CROWDED}\"]\napprovers = [{}]\n\
         criteria = {{ devices = [\"bench01\"], accounts = [\"box*\"] }}\n\
         session = {{ justification = true, approval = {{ needed = 1 }} }}",
        names.join(", ")
    )?;
    Ok(text)
}

/// Every approver is told alike, so all messages wait if the last one's do.
fn all_wait(world: &World, approvers: usize) -> Result<()> {
    let last = format!("approver{}", approvers.saturating_sub(1));
    let waiting = world.json(&["notify", "list", "--state", "waiting", "--user", &last])?;
    let count = waiting.as_array().map_or(0, Vec::len);
    ensure!(count == REQUESTS, "{count} messages to {last} wait, not {REQUESTS}");
    Ok(())
}

/// In milliseconds, in turns.
#[derive(Default)]
struct SetUps {
    gate: Vec<f64>,
    direct: Vec<f64>,
}

impl SetUps {
    fn take(course: &Course, sizes: &Sizes) -> Result<Self> {
        let mut taken = Self::default();
        for turn in 0..sizes.set_ups {
            for (way, times) in [(Way::Direct, &mut taken.direct), (Way::Tidegate, &mut taken.gate)] {
                let words = course.ssh(way, "KexAlgorithms curve25519-sha256", &[], "true")?;
                let seconds = timed(|| run_of(&words).ok().map(drop))?;
                // The first of each warms caches.
                if turn > 0 {
                    times.push(seconds * 1e3);
                }
            }
        }
        Ok(taken)
    }

    fn rows(&mut self, name: &str) -> Vec<Row> {
        let runs = self.gate.len();
        // It compares turn by turn, so before anything sorts them.
        let middle = Row::in_turns(format!("{name}, p50"), "ms", &self.gate, &self.direct, &[]);
        let (gate, direct) = (quantile(&mut self.gate, 0.99), quantile(&mut self.direct, 0.99));
        vec![middle, Row::new(format!("{name}, p99"), "ms", gate, Some(direct), None, runs)]
    }
}
