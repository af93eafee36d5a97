//! A command line into words, as a shell would: quotes and backslashes, nothing else.

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

/// Splits a line.
///
/// # Errors
/// When a quote is left open, or the line is too long.
pub fn split(line: &str) -> Result<Vec<String>, SplitError> {
    if line.len() > MOST {
        return Err(SplitError::Long);
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or(SplitError::Quote)? {
                        end if end == letter => break,
                        '\\' if letter == '"' => word.push(letters.next().ok_or(SplitError::Quote)?),
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_quotes_keep_them_together() {
        let words = split("request approve  3 -m 'it''s \"fine\"' \"a \\\" b\" c\\ d ''").unwrap();
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
            assert_eq!(split(&line.join(" ")).unwrap(), words);
        }
    }
}
