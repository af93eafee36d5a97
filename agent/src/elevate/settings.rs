//! How settings and aliases of sudoers(5) are written: lines that begin with `Defaults`, and those
//! that give lists a name. What a setting does to a rule is for [`super::defaults`].

use std::collections::BTreeMap;
use std::fmt;

/// To what a line is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    All,
    Hosts(Vec<String>),
    Users(Vec<String>),
    RunAs(Vec<String>),
    Commands(Vec<String>),
}

/// One setting of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub binding: Binding,
    pub name: String,
    /// Empty for a flag.
    pub value: String,
    /// `false` with an exclamation mark before it.
    pub on: bool,
}

/// `Defaults:ops runcwd=/tmp`
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, list): (&str, &[String]) = match &self.binding {
            Binding::All => ("", &[]),
            Binding::Hosts(list) => ("@", list),
            Binding::Users(list) => (":", list),
            Binding::RunAs(list) => (">", list),
            Binding::Commands(list) => ("!", list),
        };
        let not = if self.on { "" } else { "!" };
        let equals = if self.value.is_empty() { "" } else { "=" };
        write!(f, "Defaults{sign}{} {not}{}{equals}{}", list.join(", "), self.name, self.value)
    }
}

/// The settings of a line that begins with `Defaults`.
pub fn parse(line: &str) -> Vec<Setting> {
    let rest = line.trim_start().strip_prefix("Defaults").unwrap_or_default();
    let (list, settings) = match rest.chars().next() {
        Some('@' | ':' | '>' | '!') => bound(rest.get(1..).unwrap_or_default()),
        _ => (Vec::new(), rest),
    };
    let binding = match rest.chars().next() {
        Some('@') => Binding::Hosts(list),
        Some(':') => Binding::Users(list),
        Some('>') => Binding::RunAs(list),
        Some('!') => Binding::Commands(list),
        _ => Binding::All,
    };
    let one = |text: String| {
        let plain = text.trim_start_matches('!').trim();
        let on = text.chars().take_while(|letter| *letter == '!').count() % 2 == 0;
        let end = plain.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
        let (name, value) = plain.split_at(end.unwrap_or(plain.len()));
        let value = value.trim_start_matches(['+', '-', ' ', '\t']).trim_start_matches('=').trim();
        let value = value.trim_matches('"').to_owned();
        Setting { binding: binding.clone(), name: name.to_owned(), value, on }
    };
    split(settings, ',').into_iter().filter(|text| !text.is_empty()).map(one).collect()
}

/// The list that a line is bound to, and what comes after it: blanks are in it only beside commas.
fn bound(text: &str) -> (Vec<String>, &str) {
    let mut end = text.len();
    let mut last = ',';
    for (place, letter) in text.char_indices() {
        let next = text.get(place..).unwrap_or_default().trim_start();
        if letter.is_whitespace() && last != ',' && !next.starts_with(',') {
            end = place;
            break;
        }
        if !letter.is_whitespace() {
            last = letter;
        }
    }
    let (list, rest) = text.split_at(end);
    (split(list, ','), rest)
}

/// The names that a line of aliases defines, each with what it stands for.
pub fn aliases(line: &str) -> BTreeMap<String, Vec<String>> {
    let line = line.trim_start();
    let start = line.find(char::is_whitespace).unwrap_or(line.len());
    let definitions = split(line.get(start..).unwrap_or_default(), ':');
    let pairs = definitions.iter().filter_map(|one| one.split_once('='));
    pairs.map(|(name, list)| (name.trim().to_owned(), split(list, ','))).collect()
}

/// The parts between separators that are neither quoted nor escaped, up to a comment.
fn split(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped, mut before) = (false, false, ' ');
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        // A user id; otherwise a comment.
        let is_id = letters.peek().is_some_and(char::is_ascii_digit);
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted && before.is_whitespace() && !is_id => break,
            _ if letter == at && !quoted => {
                parts.push(String::new());
                before = ' ';
                continue;
            }
            _ => {}
        }
        before = letter;
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}
