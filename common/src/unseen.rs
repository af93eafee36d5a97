//! Which characters a text may not hold: one list for all texts that people and hosts write.

/// What no note has held since there are notes. Stored ones are checked by this for ever: a
/// longer list would have the log's own records read as altered.
pub(crate) fn never(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// What does not show, or reorders or hides what stands around it: control characters, those
/// that Unicode gives no width or a direction (Default_Ignorable_Code_Point and Cf), and the
/// blanks that look like no letter at all. New notes hold none, and screens show none.
#[must_use]
pub fn is_unseen(letter: char) -> bool {
    never(letter)
        || matches!(letter, '\u{34f}' | '\u{70f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0080}'..='\u{e0fff}')
}

/// A character, or what stands for it where it would not show or would move the cursor.
#[must_use]
pub fn printable(letter: char) -> char {
    if is_unseen(letter) { '\u{fffd}' } else { letter }
}

/// Text of several lines in which nothing else moves the cursor or hides.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    text.chars().map(|letter| if letter == '\n' { letter } else { printable(letter) }).collect()
}

/// A character that is refused, by its number: shown as it is, it would do what it is refused for.
pub(crate) fn number(letter: char) -> String {
    format!("U+{:04X}", u32::from(letter))
}

/// What somebody wrote, for a sentence that refuses it: cut to so many letters, and nothing in it acts.
#[must_use]
pub fn quoted(text: &str, most: usize) -> String {
    let shown = |letter: char| match is_unseen(letter) {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    let mut letters = text.chars();
    let mut quoted: String = letters.by_ref().take(most).map(shown).collect();
    if letters.next().is_some() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_show_is_told_by_its_number_and_what_does_is_as_it_was() {
        let unseen = [
            '\u{61c}',
            '\u{e0041}',
            '\u{ad}',
            '\u{fe0f}',
            '\u{115f}',
            '\u{180e}',
            '\u{fff9}',
            '\u{3164}',
            '\u{202e}',
            '\u{200b}',
            '\u{1b}',
            '\u{9b}',
        ];
        for letter in unseen {
            assert!(is_unseen(letter), "{letter:?}");
            let quoted = quoted(&format!("a{letter}b"), 64);
            assert!(quoted.is_ascii() && quoted.contains("\\u{") && quoted.starts_with('a'), "{quoted}");
        }
        assert_eq!((number('\u{3164}').as_str(), quoted("Größe", 3).as_str()), ("U+3164", "Grö…"));
        assert_eq!(
            (quoted("Grö", 3).as_str(), quoted("", 0).as_str(), quoted("a", 0).as_str()),
            ("Grö", "", "…")
        );
    }
}
