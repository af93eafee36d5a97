//! `make demo`: Tidegate's main job, step by step, on a throwaway device, with the
//! real commands and their real output. A step that does not hold ends it with an
//! error that names the step. Nothing of it is left at the end.

mod env;
mod host;
mod stage;
mod story;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result};
use tidegate_tests::{guardian, say};

use stage::Stage;

/// Whether the story has been told to its end.
static TOLD: AtomicBool = AtomicBool::new(false);
/// Whether a signal has come.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let mut stage = Stage::new(story::STEPS);
    match clean_up_on_signals().and_then(|()| demo(&mut stage)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            wait_if_interrupted();
            stage.fails(&error);
            ExitCode::FAILURE
        }
    }
}

fn demo(stage: &mut Stage) -> Result<()> {
    let repository = repository()?;
    std::env::set_current_dir(&repository)?;
    let dir = env::directory(&repository)?;
    let story = story::tell(stage, dir)?;
    TOLD.store(true, Ordering::SeqCst);
    if std::env::var("DEMO_STAY").is_ok_and(|stay| !stay.is_empty() && stay != "0")
        || std::io::stdin().is_terminal()
    {
        story.by_hand(stage);
        loop {
            thread::park();
        }
    }
    let end = story.end(stage);
    wait_if_interrupted();
    end?;
    stage.say("\nEverything the demo made is gone again.");
    Ok(())
}

/// The root of the clone, where config/ is.
fn repository() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    [here, built]
        .into_iter()
        .find(|dir| dir.join("config/demo.toml").is_file())
        .context("run the demo from the root of the clone: there is no config/demo.toml here")?
        .canonicalize()
        .context("the clone is not readable")
}

/// Takes everything back when a signal asks for that.
fn clean_up_on_signals() -> Result<()> {
    guardian::clean_all_on_signals(|| {
        INTERRUPTED.store(true, Ordering::SeqCst);
        say::line(format_args!("\nTaking everything back …"));
        if TOLD.load(Ordering::SeqCst) { 0 } else { guardian::ENDED_BY_SIGNAL }
    })
}

/// The thread that got the signal ends the program.
fn wait_if_interrupted() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        thread::park();
    }
}
