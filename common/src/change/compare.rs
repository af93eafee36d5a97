//! What runs in a session, held against what a change expects, while it runs.
//!
//! Three sources tell of commands: exec requests, lines that were typed (a heuristic of the
//! screen, see `proxy/src/follow/typed.rs`) and the host's kernel. Each simple command of a line
//! must be one of an expected line; an expected line has run when all of its simple commands were
//! seen. The kernel sees no shell's own command (`cd`, `export`), no alias and no variable, only
//! what came of them; lines show those and nothing of what a script does.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::command::{Piece, pieces, shown, takes};
use super::processes::{Processes, forms};
use super::report::{Outcome, Report, better};
use super::{Change, CommandPattern};
use crate::audit::{CommandSource, CommandText};
use crate::wire::Exec;

/// Unexpected commands of one session that are listed, each once; the rest is counted.
pub(super) const MOST_UNEXPECTED: usize = 500;

/// Forms of unexpected commands that are remembered, so that each is told once.
const MOST_KNOWN: usize = 20_000;

/// Exec requests that are remembered, to know their shells by.
const MOST_ASKED: usize = 1000;

/// A command that ran and was not expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unexpected {
    /// Who says so.
    pub source: CommandSource,
    /// The line, or the program with its arguments.
    pub command: CommandText,
    /// It is expected, but not before what should have come first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_order: bool,
}

/// Compares one session.
#[derive(Debug)]
pub struct Comparer {
    lines: Vec<Line>,
    ordered: bool,
    processes: Processes,
    asked: Vec<String>,
    /// Forms of what was told already.
    known: HashSet<String>,
    unexpected: Vec<Unexpected>,
    more: u64,
    not_compared: u64,
}

#[derive(Debug)]
struct Line {
    command: CommandPattern,
    optional: bool,
    pieces: Vec<Slot>,
}

/// One simple command of an expected line.
#[derive(Debug)]
struct Slot {
    /// As a line has it.
    written: String,
    /// As a kernel may see it.
    run: Vec<String>,
    seen: Option<CommandSource>,
}

impl Slot {
    fn new(piece: &Piece) -> Self {
        Self { written: piece.normal(), run: piece.as_run(), seen: None }
    }

    fn takes(&self, form: &str, source: CommandSource) -> bool {
        takes(&self.written, form)
            || (source == CommandSource::Witness && self.run.iter().any(|run| takes(run, form)))
    }
}

impl Line {
    fn source(&self) -> Option<CommandSource> {
        // The weakest: all of it has to have run.
        let seen = self.pieces.iter().map(|slot| slot.seen).collect::<Option<Vec<_>>>()?;
        seen.into_iter()
            .reduce(|one, other| if better(Some(one), Some(other)) == Some(one) { other } else { one })
    }
}

/// Whether it only leaves a shell.
fn is_leaving(form: &str) -> bool {
    ["exit", "exit\0*", "logout"].into_iter().any(|leaving| takes(leaving, form))
}

/// How a command fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Expected,
    OutOfOrder,
    Not,
}

impl Comparer {
    /// Nothing has run yet.
    #[must_use]
    pub fn new(change: &Change) -> Self {
        let lines = change.expected.iter().map(|expected| Line {
            command: expected.command.clone(),
            optional: expected.optional,
            pieces: pieces(expected.command.as_str()).iter().map(Slot::new).collect(),
        });
        Self {
            lines: lines.collect(),
            ordered: change.ordered,
            processes: Processes::default(),
            asked: Vec::new(),
            known: HashSet::new(),
            unexpected: Vec::new(),
            more: 0,
            not_compared: 0,
        }
    }

    /// An exec request, or a line that was typed. Gives it back where it is unexpected for the
    /// first time.
    pub fn line(&mut self, source: CommandSource, text: &str) -> Option<Unexpected> {
        match source {
            CommandSource::Exec if self.asked.len() < MOST_ASKED => self.asked.push(text.to_owned()),
            _ => {}
        }
        let pieces = pieces(text);
        let written: Vec<_> = pieces.iter().map(Piece::normal).collect();
        if source == CommandSource::Typed {
            self.processes.typed(&written);
        }
        if self.takes_whole(&written, source) {
            return None;
        }
        let fits: Vec<_> = written.iter().map(|form| self.fit(std::slice::from_ref(form), source)).collect();
        let wrong: Vec<_> = pieces.iter().zip(fits).filter(|(_, fit)| *fit != Fit::Expected).collect();
        if wrong.is_empty() {
            return None;
        }
        let out_of_order = wrong.iter().all(|(_, fit)| *fit == Fit::OutOfOrder);
        if wrong.iter().all(|(piece, _)| self.known.contains(&piece.normal())) {
            return None;
        }
        let forms = wrong.iter().flat_map(|(piece, _)| std::iter::once(piece.normal()).chain(piece.as_run()));
        let forms = forms.collect();
        self.tell(Unexpected { source, command: CommandText::new(text), out_of_order }, forms)
    }

    /// What the host's kernel saw. Gives it back where a person ran it and it is unexpected for the
    /// first time.
    pub fn exec(&mut self, exec: &Exec) -> Option<Unexpected> {
        if !self.processes.is_persons(exec, &self.asked) {
            return None;
        }
        let forms = forms(exec);
        let fit = if forms.is_empty() { return None } else { self.fit(&forms, CommandSource::Witness) };
        if fit == Fit::Expected || forms.iter().any(|form| self.known.contains(form)) {
            return None;
        }
        let shown = forms.first().map_or(String::new(), |form| shown(form));
        let unexpected = Unexpected {
            source: CommandSource::Witness,
            command: CommandText::new(shown),
            out_of_order: fit == Fit::OutOfOrder,
        };
        self.tell(unexpected, forms)
    }

    /// So many commands came faster than they could be compared.
    pub fn missed(&mut self, commands: u64) {
        self.not_compared = self.not_compared.saturating_add(commands);
    }

    /// Where it stands.
    #[must_use]
    pub fn report(&self) -> Report {
        let expected = self.lines.iter().map(|line| Outcome {
            command: line.command.to_string(),
            optional: line.optional,
            source: line.source(),
        });
        Report {
            expected: expected.collect(),
            unexpected: self.unexpected.clone(),
            more: self.more,
            not_compared: self.not_compared,
        }
    }

    /// Whether a line is an expected one as a whole.
    fn takes_whole(&mut self, written: &[String], source: CommandSource) -> bool {
        let whole = |line: &Line| {
            line.pieces.len() == written.len()
                && line.pieces.iter().zip(written).all(|(slot, form)| slot.takes(form, source))
        };
        let fitting = self.in_turn().filter(|place| self.lines.get(*place).is_some_and(whole));
        let Some(place) = self.first_unseen(&fitting.collect::<Vec<_>>()) else { return false };
        for slot in self.lines.get_mut(place).into_iter().flat_map(|line| &mut line.pieces) {
            slot.seen = better(slot.seen, Some(source));
        }
        true
    }

    /// How a simple command fits, in any of its forms; one that is expected has been seen then.
    fn fit(&mut self, forms: &[String], source: CommandSource) -> Fit {
        if source != CommandSource::Witness && forms.iter().any(|form| is_leaving(form)) {
            return Fit::Expected;
        }
        let fits =
            |line: &Line| line.pieces.iter().any(|slot| forms.iter().any(|form| slot.takes(form, source)));
        let fitting: Vec<_> =
            self.in_turn().filter(|place| self.lines.get(*place).is_some_and(fits)).collect();
        let Some(place) = self.first_unseen(&fitting) else {
            return if self.lines.iter().any(fits) { Fit::OutOfOrder } else { Fit::Not };
        };
        let slots = self.lines.get_mut(place).into_iter().flat_map(|line| &mut line.pieces);
        for slot in slots.filter(|slot| forms.iter().any(|form| slot.takes(form, source))) {
            slot.seen = better(slot.seen, Some(source));
        }
        Fit::Expected
    }

    /// The places of the lines that may run now: in order, none after one that had to run and
    /// did not.
    fn in_turn(&self) -> impl Iterator<Item = usize> {
        let open = self.lines.iter().position(|line| !line.optional && line.source().is_none());
        let last = open.filter(|_| self.ordered).unwrap_or(usize::MAX);
        (0..self.lines.len()).take_while(move |place| *place <= last)
    }

    /// Of lines that fit, the first that has not run.
    fn first_unseen(&self, fitting: &[usize]) -> Option<usize> {
        let unseen = |place: &&usize| self.lines.get(**place).is_some_and(|line| line.source().is_none());
        fitting.iter().find(unseen).or(fitting.first()).copied()
    }

    fn tell(&mut self, unexpected: Unexpected, forms: Vec<String>) -> Option<Unexpected> {
        if self.known.len() >= MOST_KNOWN || self.unexpected.len() >= MOST_UNEXPECTED {
            self.more = self.more.saturating_add(1);
            return None;
        }
        self.known.extend(forms);
        self.unexpected.push(unexpected.clone());
        Some(unexpected)
    }
}
