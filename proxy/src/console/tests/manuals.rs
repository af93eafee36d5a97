//! The commands that the documents show are understood as they are written there.

use clap::Parser as _;

use crate::console::grammar::Cli;
use crate::console::{split, words};

/// A shell's line without its comment and without what is read from and written to files.
fn typed(line: &str) -> Vec<String> {
    let line = line.split(" # ").next().unwrap_or_default();
    let mut typed: Vec<String> = split::split(line).unwrap().into_iter().map(|word| word.text).collect();
    let end = typed.iter().position(|word| ["<", ">", "|", "&&"].contains(&word.as_str()));
    typed.truncate(end.unwrap_or(typed.len()));
    typed
}

/// What the gate gets of a line, where it is one of its console: from ssh, which joins its words with
/// blanks, or from the local command.
fn console(line: &str) -> Option<Vec<String>> {
    let typed = typed(line);
    match typed.first()?.as_str() {
        "ssh" if !typed.iter().any(|word| word == "-J") => {
            let at = typed.iter().position(|word| word.ends_with("@gate") && !word.contains('['))?;
            let joined = typed.get(at + 1..).filter(|words| !words.is_empty())?.join(" ");
            Some(words(&joined).unwrap())
        }
        "tidegate-proxy" if typed.get(1)? == "admin" => Some(typed.get(2..)?.to_vec()),
        _ => None,
    }
}

#[test]
fn every_command_of_the_console_in_the_documents_is_understood() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let (mut wrong, mut found) = (Vec::new(), 0);
    for document in ["README.md", "docs/OPERATIONS.md"] {
        let text = std::fs::read_to_string(format!("{root}/{document}")).unwrap().replace("\\\n", " ");
        let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
        for line in lines.filter(|line| line.starts_with("ssh ") || line.starts_with("tidegate-proxy ")) {
            let Some(words) = console(line) else { continue };
            found += 1;
            if let Err(why) = Cli::try_parse_from(&words) {
                wrong.push(format!(
                    "{document}: {line}\n{}",
                    why.to_string().lines().next().unwrap_or_default()
                ));
            }
        }
    }
    assert!(found > 60, "only {found} are looked at");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Its twin: a line that says something else is told.
    assert!(Cli::try_parse_from(console("ssh admin@gate notify rety 12 # again").unwrap()).is_err());
}
