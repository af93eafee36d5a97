//! Whether a governance code is one of the organisation's, as far as the gate can tell: free
//! evidence, of a form that the settings give, or known to an HTTP endpoint that is asked.

mod endpoint;

pub use endpoint::{Endpoint, Settings, Silence};

#[cfg(test)]
pub(crate) use endpoint::tests::silent;

use regex::{Regex, RegexBuilder};
use tidegate_common::audit::{Event, Note};
use tidegate_common::model::Text;

/// The most that a compiled form may take, in bytes.
const MOST: usize = 1 << 20;

/// The form that codes must have. It is held against the whole code, in time linear in its length.
#[derive(Debug, Clone)]
pub struct CodeForm {
    written: String,
    whole: Regex,
}

impl std::str::FromStr for CodeForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(MOST).build();
        let whole = whole.map_err(|error| {
            let said = error.to_string();
            let last = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("`{}` is no regular expression: {last}", text.escape_default())
        })?;
        Ok(Self { written: text.to_owned(), whole })
    }
}

/// What codes are held against.
#[derive(Default)]
pub struct Codes {
    /// The form; any code is taken where there is none.
    pub form: Option<CodeForm>,
    /// What knows them; nobody is asked where there is none.
    pub endpoint: Option<Endpoint>,
}

/// What came of a code, or of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// It is taken.
    Good,
    /// It is not, and why; for who gave it.
    Refused(String),
    /// It is taken as free evidence, because nobody could be asked; for the audit log.
    Unasked {
        /// The code.
        code: Note,
        /// Why nobody could be.
        why: Note,
    },
}

impl Checked {
    /// Why it is refused, if it is.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        match self {
            Self::Refused(why) => Some(why),
            Self::Good | Self::Unasked { .. } => None,
        }
    }

    /// What the audit log is told with the record of what it was taken for.
    #[must_use]
    pub fn told(&self, taken_for: &str) -> Option<Event> {
        match self {
            Self::Unasked { code, why } => {
                let (code, why, taken_for) = (code.clone(), why.clone(), Note::new(taken_for));
                Some(Event::GovernanceUnchecked { code, taken_for, why })
            }
            Self::Good | Self::Refused(_) => None,
        }
    }
}

impl Codes {
    /// What comes of a code. Nobody is asked of one that is out of form.
    pub async fn check(&self, code: &Text) -> Checked {
        if let Some(form) = self.form.as_ref().filter(|form| !form.whole.is_match(code.as_str())) {
            return Checked::Refused(format!("governance code `{code}` is not of the form {}", form.written));
        }
        match &self.endpoint {
            Some(endpoint) => endpoint.check(code).await,
            None => Checked::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_code_is_held_against_the_whole_form() {
        let codes = Codes { form: Some("CHG[0-9]{6}|INC[0-9]+".parse().unwrap()), endpoint: None };
        let check = async |code: &str| codes.check(&code.parse().unwrap()).await;
        assert_eq!((check("CHG123456").await, check("INC7").await), (Checked::Good, Checked::Good));
        for code in ["CHG1234567", "xCHG123456", "chg123456", "INC", "INC7 and more"] {
            let sentence = format!("governance code `{code}` is not of the form CHG[0-9]{{6}}|INC[0-9]+");
            assert_eq!(check(code).await, Checked::Refused(sentence));
        }
        assert_eq!(Codes::default().check(&"anything".parse().unwrap()).await, Checked::Good);
    }

    #[test]
    fn a_form_that_is_none_or_too_large_is_refused_in_one_line() {
        for form in ["CHG[0-9", "(a{1000}){1000}", "(?<a"] {
            let why = form.parse::<CodeForm>().unwrap_err();
            assert!(why.contains("is no regular expression: ") && !why.contains('\n'), "{why}");
        }
    }
}
