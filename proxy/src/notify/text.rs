//! What a notice says: one template for each kind, from which the plain text, the HTML and the
//! short text of an SMS are made.
//!
//! A text is a subject, a sentence, facts and commands to type. Everything that somebody else
//! wrote is a bounded note without control characters before it comes here, and is escaped where
//! it goes into HTML; a subject is one line whatever it holds.

mod html;
mod template;

pub use template::{Reader, about};

use std::fmt::Write as _;

use tidegate_common::unseen::printable;

use crate::ssh_name::SshName;

/// Bytes of a subject, at most.
const SUBJECT: usize = 200;

/// Characters of a short text, at most: three SMS of UCS-2 text.
const SHORT: usize = 201;

/// What a notice says, before it is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// One line.
    subject: String,
    /// What happened, in a sentence or two.
    what: String,
    /// Labels and what they are.
    facts: Vec<(&'static str, Vec<String>)>,
    /// What a short text must say, too.
    essence: Option<String>,
    /// What to do: a sentence, and a command to type.
    commands: Vec<(&'static str, String)>,
    /// Who says so.
    from: String,
}

/// What the gate says of itself in each text.
#[derive(Debug, Clone)]
pub struct About {
    /// The gate's name.
    pub gate: String,
    /// How people reach it with ssh.
    pub ssh: SshName,
}

impl Text {
    /// One line, bounded, without anything that could end a header.
    #[must_use]
    pub fn subject(&self) -> String {
        let mut line: String = self.subject.chars().map(printable).collect();
        if line.len() > SUBJECT {
            while line.len() > SUBJECT - '…'.len_utf8() {
                line.pop();
            }
            line.push('…');
        }
        line
    }

    /// For a reader of plain text.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut text = format!("{}\n", self.what);
        let width = self.facts.iter().map(|(label, _)| label.len() + 1).max().unwrap_or_default();
        if !self.facts.is_empty() {
            text.push('\n');
        }
        for (label, values) in &self.facts {
            for (place, value) in values.iter().enumerate() {
                let label = if place == 0 { format!("{label}:") } else { String::new() };
                let _ = writeln!(text, "{label:width$} {value}");
            }
        }
        for (what, command) in &self.commands {
            let _ = write!(text, "\n{what}\n    {command}\n");
        }
        let _ = write!(text, "\n-- \n{}\n", self.from);
        text
    }

    /// The same as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// In a few words, for an SMS or a chat.
    #[must_use]
    pub fn short(&self) -> String {
        let command = self.commands.first().map(|(_, command)| format!(": {command}")).unwrap_or_default();
        let essence = self.essence.as_ref().map(|essence| format!(": {essence}")).unwrap_or_default();
        let subject = format!("{}{essence}", self.subject());
        // The command is whole or left out: half of one does something else.
        let whole = format!("{subject}{command}");
        let chosen = if whole.chars().count() <= SHORT { whole } else { subject };
        if chosen.chars().count() <= SHORT {
            return chosen;
        }
        chosen.chars().take(SHORT - 1).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests;
