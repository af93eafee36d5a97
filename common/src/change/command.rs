//! A command line as words and the simple commands it is made of, so that a typed line, an exec
//! request and what a kernel saw can be held against the same expected line.
//!
//! It is a heuristic: no shell is asked. Quotes and backslashes are taken off as POSIX says
//! (XCU, 2.2), and a line is cut at what separates commands, also within `$(…)` and backticks, so
//! that a `*` never stands for another command. Aliases, functions and variables are not followed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::programs::{is_wrapper, plain};
use crate::model::glob;
use crate::unseen::is_unseen;

/// Bytes of an expected line, at most.
const MOST_BYTES: usize = 1000;

/// Simple commands of one line that are looked at; what comes after is one more.
const MOST_PIECES: usize = 64;

/// Stands between the words of a normal form; no argument can hold it.
const BETWEEN: char = '\0';

/// Stands before an unquoted `<` or `>`; texts hold no control characters.
const REDIRECTS: char = '\u{1}';

/// An expected command: a line, or a pattern in which `*` stands for anything within one simple
/// command.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandPattern(String);

/// Why a text is no expected command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandPatternError {
    /// Nothing, too much, or unprintable.
    #[error("an expected command is 1 to {MOST_BYTES} bytes of characters that show, on one line")]
    Shape,
    /// It would match whatever runs.
    #[error("`{0}` matches every command; name the program at least")]
    Anything(String),
}

impl CommandPattern {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn read(text: &str, refused: fn(char) -> bool) -> Result<Self, CommandPatternError> {
        let text = text.trim();
        if text.len() > MOST_BYTES || text.chars().any(refused) || pieces(text).is_empty() {
            return Err(CommandPatternError::Shape);
        }
        if pieces(text).iter().any(|piece| piece.program().starts_with('*')) {
            return Err(CommandPatternError::Anything(crate::unseen::quoted(text, 40)));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for CommandPattern {
    type Err = CommandPatternError;
    fn from_str(text: &str) -> Result<Self, CommandPatternError> {
        Self::read(text, is_unseen)
    }
}

impl TryFrom<String> for CommandPattern {
    type Error = CommandPatternError;
    /// As it was stored, perhaps when the list was shorter.
    fn try_from(text: String) -> Result<Self, CommandPatternError> {
        Self::read(&text, char::is_control)
    }
}

impl From<CommandPattern> for String {
    fn from(pattern: CommandPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for CommandPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One simple command: its words, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece(Vec<String>);

impl Piece {
    pub(super) fn of_words(words: impl IntoIterator<Item = String>) -> Option<Self> {
        let words: Vec<_> = words.into_iter().collect();
        (!words.is_empty()).then_some(Self(words))
    }

    pub(super) fn program(&self) -> &str {
        self.0.first().map_or("", |word| plain(word))
    }

    #[cfg(test)]
    pub(super) fn words(&self) -> &[String] {
        &self.0
    }

    /// The form in which two are compared.
    pub(super) fn normal(&self) -> String {
        normal(&self.0)
    }

    /// The forms in which a kernel may see an expected simple command run, the whole first:
    /// without redirections and assignments, with `*` for what the shell would replace, and what
    /// `sudo` and its like start.
    pub(super) fn as_run(&self) -> Vec<String> {
        let words: Vec<_> = without_redirections(&self.0).into_iter().map(|word| loosened(&word)).collect();
        let mut rest = words.as_slice();
        let mut forms = Vec::new();
        loop {
            while let Some((first, after)) = rest.split_first()
                && is_assignment(first)
            {
                rest = after;
            }
            let Some((first, after)) = rest.split_first() else { return forms };
            forms.push(normal(rest));
            if !is_wrapper(plain(first)) {
                return forms;
            }
            rest = wrapped(plain(first), after);
        }
    }
}

fn normal(words: &[String]) -> String {
    let mut form = String::new();
    for (place, word) in words.iter().enumerate() {
        match place {
            0 => form.push_str(plain(word)),
            _ => {
                form.push(BETWEEN);
                form.push_str(word);
            }
        }
    }
    form
}

/// A normal form for people.
pub(super) fn shown(form: &str) -> String {
    form.replace(BETWEEN, " ")
}

/// Whether the normal form of an expected simple command, with its stars, takes another.
pub(super) fn takes(expected: &str, ran: &str) -> bool {
    glob(expected, ran)
}

/// What a wrapper starts: what comes after its options, and after their values where it has such.
fn wrapped<'a>(wrapper: &str, mut words: &'a [String]) -> &'a [String] {
    let valued = match wrapper {
        "sudo" => "ughpCrtTUDR",
        "doas" => "uC",
        "env" => "uSC",
        "nice" | "ionice" => "ncpu",
        "timeout" => "ks",
        "stdbuf" => "ioe",
        _ => "",
    };
    let mut positional = match wrapper {
        "timeout" | "chrt" | "taskset" => 1,
        _ => 0,
    };
    while let Some((first, rest)) = words.split_first() {
        match first.strip_prefix('-') {
            Some("-") => return rest,
            Some(option) => {
                let takes_next = option.len() == 1 && valued.contains(option);
                words = if takes_next { rest.get(1..).unwrap_or_default() } else { rest };
            }
            None if positional > 0 => {
                positional -= 1;
                words = rest;
            }
            None => break,
        }
    }
    words
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    })
}

/// What a shell would put in place of a word's part is anything.
fn loosened(word: &str) -> String {
    let special = |letter: char| matches!(letter, '$' | '?' | '[' | '{');
    if word.starts_with('~') {
        return word
            .split_once('/')
            .map_or_else(|| "*".to_owned(), |(_, rest)| format!("*/{}", loosened(rest)));
    }
    match word.split_once(special) {
        Some((before, _)) => format!("{before}*"),
        None => word.to_owned(),
    }
}

fn without_redirections(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut skip = false;
    for word in words {
        if std::mem::take(&mut skip) {
            continue;
        }
        match word.split_once(REDIRECTS) {
            Some((_, target)) => skip = target.trim_start_matches(['<', '>', '&', '|']).is_empty(),
            None => kept.push(word.clone()),
        }
    }
    kept
}

/// The simple commands of a line, in its order; none of an empty one.
pub(super) fn pieces(line: &str) -> Vec<Piece> {
    let mut cutter = Cutter::default();
    let mut letters = line.chars().peekable();
    let mut quote = None;
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some('\''), '\'') => quote = None,
            (Some('\''), letter) => cutter.letter(letter),
            (_, '\\') => {
                let next = letters.next().unwrap_or('\\');
                // Within double quotes only these lose their backslash (XCU, 2.2.3).
                if quote.is_some() && !matches!(next, '$' | '`' | '"' | '\\') {
                    cutter.letter('\\');
                }
                cutter.letter(next);
            }
            (_, '`') => cutter.cut(),
            (_, '$') if letters.peek() == Some(&'(') => {
                letters.next();
                cutter.cut();
            }
            (Some('"'), '"') => quote = None,
            (Some(_), letter) => cutter.letter(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                cutter.begin();
            }
            (None, '<' | '>') if letters.peek() == Some(&'(') => {
                letters.next();
                cutter.cut();
            }
            // `2>&1`, `&>log` and `>|log` separate nothing.
            (None, '&') if cutter.ends_in_redirection() || letters.peek() == Some(&'>') => cutter.letter('&'),
            (None, '|') if cutter.ends_in_redirection() => cutter.letter('|'),
            (None, '<' | '>') => cutter.redirection(letter),
            (None, ';' | '&' | '|' | '(' | ')' | '\n') => cutter.cut(),
            (None, '#') if cutter.word.is_empty() && !cutter.begun => break,
            (None, letter) if letter.is_whitespace() => cutter.end_word(),
            (None, letter) => cutter.letter(letter),
        }
    }
    cutter.cut();
    cutter.pieces
}

#[derive(Default)]
struct Cutter {
    pieces: Vec<Piece>,
    words: Vec<String>,
    word: String,
    /// There is a word, though it may be empty.
    begun: bool,
}

impl Cutter {
    fn letter(&mut self, letter: char) {
        self.word.push(letter);
    }

    fn begin(&mut self) {
        self.begun = true;
    }

    fn ends_in_redirection(&self) -> bool {
        self.word.contains(REDIRECTS) && self.word.ends_with(['<', '>'])
    }

    /// Begins one, with the number of what it redirects, or goes on with `>>` and `<<`.
    fn redirection(&mut self, letter: char) {
        if !self.ends_in_redirection() {
            if !self.word.chars().all(|letter| letter.is_ascii_digit() || letter == '&') {
                self.end_word();
            }
            self.word.push(REDIRECTS);
        }
        self.word.push(letter);
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() || self.begun {
            self.words.push(std::mem::take(&mut self.word));
        }
        self.begun = false;
    }

    fn cut(&mut self) {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        // What only holds commands together is none itself.
        let mut words = words.into_iter().skip_while(|word| is_keyword(word)).peekable();
        if words.peek().is_none_or(|first| first.is_empty()) {
            return;
        }
        let full = self.pieces.len() >= MOST_PIECES;
        match self.pieces.last_mut().filter(|_| full) {
            Some(last) => last.0.extend(words),
            None => self.pieces.extend(Piece::of_words(words)),
        }
    }
}

fn is_keyword(word: &str) -> bool {
    let words =
        ["!", "{", "}", "do", "done", "then", "else", "elif", "fi", "if", "while", "until", "esac", "time"];
    words.contains(&word)
}
