//! Waiting for a state, never for a time: each wait asks again until the answer
//! is there or its deadline has passed, and then says what it waited for.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long it waits between two questions, at first and at most: whoever has waited for long need
/// not know at once, and leaves a busy machine to what is waited for.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

/// Asks `question` until it answers, at most `within`.
pub fn until<T>(what: &str, within: Duration, mut question: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = question() {
            return Ok(answer);
        }
        if start.elapsed() > within {
            bail!("waited {:.1} s in vain: {what}", within.as_secs_f64());
        }
        let [first, most] = PAUSES;
        thread::sleep((start.elapsed() / 50).clamp(first, most));
    }
}

/// Asks until `question` holds, at most `within`.
pub fn until_true(what: &str, within: Duration, mut question: impl FnMut() -> bool) -> Result<()> {
    until(what, within, || question().then_some(()))
}
