//! Where the programs under test are: beside this one, as cargo built them.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The path of a program of the workspace, built in the same profile as this one.
pub fn program(name: &str) -> Result<PathBuf> {
    let me = std::env::current_exe().context("cannot tell where this program is")?;
    for dir in me.ancestors().skip(1).take(2) {
        let found = dir.join(name);
        if found.is_file() {
            return Ok(found);
        }
    }
    bail!("{name} is not built beside {}: run `cargo build --workspace --bins`", me.display())
}
