//! What the reader sees: numbered steps, commands in one colour, their output
//! indented, and what holds.

use std::io::{IsTerminal, Write};

use terminal_size::{Width, terminal_size};

/// The columns of what is no terminal.
const COLUMNS: u16 = 126;
/// What stands before the later pieces of a line that is broken, in columns.
const BEFORE: usize = 10;
/// A piece has as many columns, however narrow the terminal is.
const LEAST: usize = 40;

/// Prints the demo.
#[derive(Debug)]
pub struct Stage {
    colour: bool,
    /// How many columns a line of output takes before it is broken.
    wide: usize,
    number: usize,
    steps: usize,
    doing: String,
}

impl Stage {
    /// A stage for so many steps; in colour on a terminal, or if `CLICOLOR_FORCE` is set.
    pub fn new(steps: usize) -> Self {
        let forced = std::env::var_os("CLICOLOR_FORCE").is_some();
        let refused = std::env::var_os("NO_COLOR").is_some();
        let colour = forced || (std::io::stdout().is_terminal() && !refused);
        let columns = terminal_size().map_or(COLUMNS, |(Width(columns), _)| columns);
        let wide = usize::from(columns).saturating_sub(BEFORE).max(LEAST);
        Self { colour, wide, number: 0, steps, doing: "getting ready".to_owned() }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    #[expect(clippy::unused_self, reason = "every line goes through the stage")]
    fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A reader who left does not stop the clean-up.
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// The heading of everything.
    pub fn title(&self, title: &str, below: &str) {
        self.line(&format!("\n{}\n{}", self.paint("1;36", title), self.paint("2", below)));
    }

    /// The next step.
    pub fn step(&mut self, what: &str) {
        self.number += 1;
        what.clone_into(&mut self.doing);
        let number = format!("{:>2}/{}", self.number, self.steps);
        self.line(&format!("\n{} {}", self.paint("36", &number), self.paint("1", what)));
    }

    /// The step that goes on now, for the message when it does not hold.
    pub fn doing(&self) -> String {
        if self.number == 0 { self.doing.clone() } else { format!("step {} ({})", self.number, self.doing) }
    }

    /// A sentence about what comes.
    pub fn note(&self, text: &str) {
        self.line(&format!("      {}", self.paint("2", text)));
    }

    /// A command that somebody runs.
    pub fn command(&self, who: &str, line: &str) {
        let who = self.paint("35", &format!("{who} $"));
        self.line(&format!("      {who} {}", self.paint("1;33", &relative(line))));
    }

    /// What a command said.
    pub fn output(&self, text: &str) {
        let bar = self.paint("2", "│");
        for line in plain(text).lines() {
            let letters: Vec<char> = line.trim_end().chars().collect();
            let mut pieces = letters.chunks(self.wide);
            let first: String = pieces.next().unwrap_or_default().iter().collect();
            self.line(format!("      {bar} {first}").trim_end());
            for piece in pieces {
                self.line(&format!("      {bar}   {}", piece.iter().collect::<String>()));
            }
        }
    }

    /// What was shown to hold.
    pub fn holds(&self, text: &str) {
        self.line(&format!("      {} {text}", self.paint("1;32", "✓")));
    }

    /// What did not.
    pub fn fails(&self, error: &anyhow::Error) {
        let doing = self.doing();
        self.line(&format!("\n{} {doing} does not hold:", self.paint("1;31", "✗")));
        self.output(&format!("{error:#}"));
    }

    /// A line as it is.
    pub fn say(&self, text: &str) {
        self.line(text);
    }
}

/// The line with paths as seen from the clone.
fn relative(line: &str) -> String {
    match std::env::current_dir() {
        Ok(dir) => line.replace(&format!("{}/", dir.display()), ""),
        Err(_) => line.to_owned(),
    }
}

/// The text without what only a terminal understands (ECMA-48 control sequences,
/// and xterm's operating system commands, which set titles).
pub fn plain(text: &str) -> String {
    let mut kept = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' => match letters.next() {
                Some('[') => while letters.next().is_some_and(|l| !('@'..='~').contains(&l)) {},
                Some(']') => while letters.next().is_some_and(|l| l != '\x07' && l != '\x1b') {},
                _ => {}
            },
            '\n' | '\t' => kept.push(letter),
            _ if letter.is_control() => {}
            _ => kept.push(letter),
        }
    }
    kept
}
