//! A batch of remote accesses for a user group of a thousand, as an administrator waits for it.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Result, ensure};
use tidegate_tests::world::{Options, World};

use crate::report::{Row, median};

/// Requests of one batch, one after the other.
const BATCHES: usize = 5;

/// From the request to the gate's answer that all of them are saved.
pub fn measure(quick: bool) -> Result<Vec<Row>> {
    let users = if quick { 100 } else { 1_000 };
    let more = "\n[remote_access]\ninside = [\"127.0.0.1\"]\napprovers = [\"boss\"]\n".to_owned();
    let world = World::start(Options { more, ..Options::default() })?;
    let mut text = "[[user]]\nname = \"boss\"\nemail = \"boss@example.org\"\n".to_owned();
    for user in 0..users {
        writeln!(text, "[[user]]\nname = \"user{user}\"\nemail = \"user{user}@example.org\"")?;
    }
    let names: Vec<_> = (0..users).map(|user| format!("\"user{user}\"")).collect();
    writeln!(text, "[[user_group]]\nname = \"field\"\nusers = [{}]", names.join(", "))?;
    world.apply(&text)?;
    let mut times = Vec::new();
    let saved = format!("{users} remote accesses are saved");
    for _ in 0..BATCHES {
        let words = ["remote-access", "batch", "field", "--justification", "ticket 7", "--duration", "2h"];
        let start = Instant::now();
        let done = world.admin(&words)?.ok()?;
        times.push(start.elapsed().as_secs_f64());
        ensure!(done.out().contains(&saved), "{}", done.all());
    }
    world.stop_proxy()?.ok()?;
    let name = format!("batch of {users} remote accesses");
    Ok(vec![Row::new(name, "s", median(&mut times), None, None, BATCHES)])
}
