//! Whether a governance code is one of the organisation's, as far as the gate can tell: free
//! evidence, of a form that the settings give, or known to an HTTP endpoint that is asked.

mod endpoint;

pub use endpoint::{Endpoint, Settings, Silence};

use regex::{Regex, RegexBuilder};
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

impl Codes {
    /// Why the code is refused, if it is. Nobody is asked of one that is out of form.
    pub async fn refused(&self, code: &Text) -> Option<String> {
        if let Some(form) = self.form.as_ref().filter(|form| !form.whole.is_match(code.as_str())) {
            return Some(format!("governance code `{code}` is not of the form {}", form.written));
        }
        self.endpoint.as_ref()?.refused(code).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_code_is_held_against_the_whole_form() {
        let codes = Codes { form: Some("CHG[0-9]{6}|INC[0-9]+".parse().unwrap()), endpoint: None };
        let refused = async |code: &str| codes.refused(&code.parse().unwrap()).await;
        assert_eq!((refused("CHG123456").await, refused("INC7").await), (None, None));
        for code in ["CHG1234567", "xCHG123456", "chg123456", "INC", "INC7 and more"] {
            let sentence = format!("governance code `{code}` is not of the form CHG[0-9]{{6}}|INC[0-9]+");
            assert_eq!(refused(code).await, Some(sentence));
        }
        assert_eq!(Codes::default().refused(&"anything".parse().unwrap()).await, None);
    }

    #[test]
    fn a_form_that_is_none_or_too_large_is_refused_in_one_line() {
        for form in ["CHG[0-9", "(a{1000}){1000}", "(?<a"] {
            let why = form.parse::<CodeForm>().unwrap_err();
            assert!(why.contains("is no regular expression: ") && !why.contains('\n'), "{why}");
        }
    }
}
