//! A command line into words, as a shell would: quotes and backslashes, nothing else. But ssh(1) has
//! taken the shell's own quotes off, so between two letters ' is an apostrophe: `--comment "don't"`.

/// Why a line has no words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// A quote without its end.
    #[error("a quote is not closed; write it again at the end of the text")]
    Quote,
    /// Too long.
    #[error("the command is longer than {MOST} bytes")]
    Long,
}

const MOST: usize = 16 * 1024;

/// A word, and whether it begins with a quote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Word {
    pub text: String,
    pub quoted: bool,
}

/// Splits a line.
///
/// # Errors
/// When a quote is left open, or the line is too long.
pub fn split(line: &str) -> Result<Vec<Word>, SplitError> {
    if line.len() > MOST {
        return Err(SplitError::Long);
    }
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut letters = line.chars();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        let within = std::mem::replace(&mut before, letter).is_alphabetic();
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' if within && letters.clone().next().is_some_and(char::is_alphabetic) => {
                word.get_or_insert_default().text.push(letter);
            }
            '\'' | '"' => {
                let word = word.get_or_insert_with(|| Word { quoted: true, ..Word::default() });
                loop {
                    match letters.next().ok_or(SplitError::Quote)? {
                        end if end == letter => break,
                        '\\' if letter == '"' => match letters.next().ok_or(SplitError::Quote)? {
                            escaped @ ('"' | '\\' | '$' | '`') => word.text.push(escaped),
                            other => word.text.extend(['\\', other]),
                        },
                        other => word.text.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().text.extend(letters.next()),
            other => word.get_or_insert_default().text.push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Words as a line that [`split`] reads back, so that a log tells words apart.
#[must_use]
pub fn join(words: &[String]) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.,:/@=+%#[]".contains(letter);
    let quoted = words.iter().map(|word| match word.chars().all(plain) && !word.is_empty() {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split(line).unwrap().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn an_apostrophe_between_letters_is_one() {
        assert_eq!(words("--comment don't stop, it's on"), ["--comment", "don't", "stop,", "it's", "on"]);
        assert_eq!(words("--comment='it is' a''b"), ["--comment=it is", "ab"]);
        assert_eq!(words(&join(&["don't".to_owned(), "'".to_owned()])), ["don't", "'"]);
    }

    #[test]
    fn between_double_quotes_a_backslash_stays_before_what_it_does_not_escape() {
        assert_eq!(words(r#""a\b \n \\ \$x""#), [r"a\b \n \ $x"]);
    }

    #[test]
    fn what_is_joined_splits_into_the_same_words() {
        let words = ["request", "a b", "", "it's", "\"q\"", "\\", "$HOME;|*", "ops@db01", "-o", "é\u{7}"];
        let words = words.map(str::to_owned).to_vec();
        assert_eq!(self::words(&join(&words)), words);
    }

    #[test]
    fn words_are_split_and_quotes_keep_them_together() {
        let words = words("request approve  3 -m 'it''s \"fine\"' \"a \\\" b\" c\\ d ''");
        assert_eq!(words, ["request", "approve", "3", "-m", "its \"fine\"", "a \" b", "c d", ""]);
    }

    #[test]
    fn an_open_quote_is_refused() {
        assert_eq!(split("a 'b"), Err(SplitError::Quote));
        assert_eq!(split("a \"b\\"), Err(SplitError::Quote));
    }

    #[test]
    fn quoted_words_come_back_as_they_were() {
        for words in [vec![r"a b", r"'", r"\"], vec![r"", r"\\'x'", r#""q""#], vec![r"-m", r"it's fine "]] {
            let line: Vec<_> =
                words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
            assert_eq!(self::words(&line.join(" ")), words);
        }
    }
}
