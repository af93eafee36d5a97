//! The texts in a command line that ssh has brought. ssh joins its arguments with blanks, so
//! the quotes are gone that kept a text together. An option that takes a text takes all
//! words up to the next option: else `request approve 7 --comment 'see 12'` would be a
//! remark `see` on requests 7 and 12.

use std::any::TypeId;

use clap::{Command, CommandFactory as _};
use tidegate_common::change::CommandPattern;
use tidegate_common::model::Text;

use super::grammar::Cli;
use super::split::{SplitError, Word, split};

/// A line's words, with each text as one of them. What is still quoted is a text of its own.
///
/// # Errors
/// When a quote is left open, or the line is too long.
pub fn words(line: &str) -> Result<Vec<String>, SplitError> {
    let grammar = Cli::command();
    let mut command = &grammar;
    let mut gathered = Vec::new();
    let mut words = split(line)?.into_iter().peekable();
    while let Some(mut word) = words.next() {
        command = command.find_subcommand(&word.text).unwrap_or(command);
        match begins_text(command, &word) {
            None => {}
            Some(Begins::Within) => word.gather(&mut words),
            Some(Begins::Behind) => {
                gathered.push(word.text);
                let Some(text) = words.next_if(|next| !next.is_option()) else { continue };
                word = text;
                word.gather(&mut words);
            }
        }
        gathered.push(word.text);
    }
    Ok(gathered)
}

/// Whether values of the type are texts of several words.
fn is_text(value: &impl PartialEq<TypeId>) -> bool {
    [TypeId::of::<Text>(), TypeId::of::<CommandPattern>()].into_iter().any(|text| *value == text)
}

/// Where an option's text begins.
enum Begins {
    /// In the same word: `--comment=go`, `-mgo`.
    Within,
    /// In the next one.
    Behind,
}

fn begins_text(command: &Command, word: &Word) -> Option<Begins> {
    command.get_arguments().filter(|option| is_text(&option.get_value_parser().type_id())).find_map(
        |option| {
            let long = option.get_long().and_then(|long| word.text.strip_prefix("--")?.strip_prefix(long));
            let short = option.get_short().and_then(|short| word.text.strip_prefix('-')?.strip_prefix(short));
            match (long, short) {
                (Some(""), _) | (_, Some("")) => Some(Begins::Behind),
                (Some(rest), _) if rest.starts_with('=') => Some(Begins::Within),
                (_, Some(_)) => Some(Begins::Within),
                _ => None,
            }
        },
    )
}

impl Word {
    /// Whether it is an option, or meant for one; dashes alone are of a text.
    fn is_option(&self) -> bool {
        let behind = self.text.trim_start_matches('-');
        !self.quoted && !behind.is_empty() && behind.len() < self.text.len()
    }

    /// Takes what follows into this word, unless its end was told by a quote.
    fn gather(&mut self, words: &mut std::iter::Peekable<impl Iterator<Item = Self>>) {
        while !self.quoted
            && let Some(more) = words.next_if(|more| !more.is_option())
        {
            self.text.push(' ');
            self.text.push_str(&more.text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_all_words_up_to_the_next_option() {
        for (line, expected) in [
            ("request approve 7 --comment see 12", &["request", "approve", "7", "--comment", "see 12"][..]),
            (
                "request approve 7 -m see 12 - or 8 --start +2h",
                &["request", "approve", "7", "-m", "see 12 - or 8", "--start", "+2h"],
            ),
            ("request approve 7 --comment=go ahead", &["request", "approve", "7", "--comment=go ahead"]),
            ("request approve 7 -mgo ahead", &["request", "approve", "7", "-mgo ahead"]),
            ("request approve -m 'go ahead' 7", &["request", "approve", "-m", "go ahead", "7"]),
            (
                "request create ops@db01 -j nightly restore -r x y",
                &["request", "create", "ops@db01", "-j", "nightly restore", "-r", "x", "y"],
            ),
            (
                "request create ops@db01 -j --view-password",
                &["request", "create", "ops@db01", "-j", "--view-password"],
            ),
            (r"request approve 7 -m it\'s 8", &["request", "approve", "7", "-m", "it's 8"]),
            ("session show -m a b", &["session", "show", "-m", "a", "b"]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
    }
}
