//! What somebody says for an emergency, wherever they say it.

use super::super::Text;

const WHY: &str = "an emergency says why it cannot wait";

/// What was typed where an emergency may be said; none for nothing and for a word that says no.
///
/// # Errors
/// What is wrong with it: it says yes without saying why, or is no text.
pub fn maybe_urgent(typed: &str) -> Result<Option<Text>, String> {
    match typed.trim().to_lowercase().as_str() {
        "" | "n" | "no" | "none" | "-" | "<" => Ok(None),
        "y" | "yes" => Err(WHY.to_owned()),
        _ => typed.parse().map(Some).map_err(|error| format!("{error}")),
    }
}

/// What was said where only an emergency is said.
///
/// # Errors
/// What is wrong with it; a word that says no is no emergency either.
pub fn urgent(said: &str) -> Result<Text, String> {
    maybe_urgent(said)?.ok_or_else(|| WHY.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_says_no_is_no_emergency_and_one_that_says_yes_says_not_why() {
        for no in ["", " ", "n", "N", "no", " No ", "NONE", "-", " < "] {
            assert_eq!(maybe_urgent(no), Ok(None), "{no:?}");
            assert_eq!(urgent(no), Err(WHY.to_owned()), "{no:?}");
        }
        for yes in ["y", "Y", " yes ", "YES"] {
            assert_eq!(maybe_urgent(yes), Err(WHY.to_owned()), "{yes:?}");
            assert_eq!(urgent(yes), Err(WHY.to_owned()), "{yes:?}");
        }
        for why in ["the shop is down", "no disk left", "-1 on the bus", "yes, it burns"] {
            let text: Text = why.parse().unwrap();
            assert_eq!((maybe_urgent(why), urgent(why)), (Ok(Some(text.clone())), Ok(text)));
        }
        assert!(maybe_urgent("\u{202e}").is_err() && urgent("\u{202e}").is_err());
    }
}
