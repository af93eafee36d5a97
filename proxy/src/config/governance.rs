//! `[governance]`: what governance codes are held against.

use std::time::Duration;

use hyper::Method;
use tidegate_common::time::Length;

use super::notify::{file, header, needs, url};
use super::read::Reader;
use super::seconds;
use crate::governance::{CodeForm, Settings, Silence};
use crate::http::{Template, Within};

/// The longest that somebody waits for an answer.
const LONGEST: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Clone)]
pub struct Governance {
    /// The form that they must have; any will do where there is none.
    pub form: Option<CodeForm>,
    /// What is asked whether one is known; nobody where there is none.
    pub endpoint: Option<Settings>,
}

impl Governance {
    /// Reads it; `window` is for how long a request is good.
    pub(super) fn read(reader: &mut Reader, window: Length) -> Self {
        Self { form: reader.optional("governance.form", str::parse), endpoint: endpoint(reader, window) }
    }
}

fn endpoint(reader: &mut Reader, window: Length) -> Option<Settings> {
    let keys = ["url", "headers", "secret_file", "ca_file", "timeout", "silence", "remember"];
    let asked = reader.optional("governance.url", |text| {
        if !text.contains("{code}") {
            return Err(format!("`{}` has no {{code}}", text.escape_default()));
        }
        url(&Within::Url.fill(text, &[("code", "1"), ("secret", "1")])).map(|_| text.to_owned())
    });
    let headers = reader.list("governance.headers", header).unwrap_or_default();
    let secret_file = file(reader, "governance.secret_file");
    let ca_file = file(reader, "governance.ca_file");
    let timeout = reader.parsed("governance.timeout", seconds(5)).approximate();
    if timeout < Duration::from_secs(1) || timeout > LONGEST {
        let why = format!("`governance.timeout` must be between 1 s and {} s", LONGEST.as_secs());
        reader.wrong("governance.timeout", why);
    }
    let silence = reader.optional("governance.silence", |text| match text {
        "refuse" => Ok(Silence::Refuse),
        "accept" => Ok(Silence::Accept),
        other => Err(format!(
            "`{}` is nothing that comes of silence; use refuse or accept",
            other.escape_default()
        )),
    });
    let remember = reader.parsed("governance.remember", window).approximate();
    needs(reader, "governance", &keys, &["url"])?;
    let asked = asked?;
    let uses_secret =
        headers.iter().any(|(_, value)| value.contains("{secret}")) || asked.contains("{secret}");
    if uses_secret && secret_file.is_none() {
        reader.wrong("governance.url", "`{secret}` of [governance] needs `governance.secret_file`");
    }
    let template = Template { method: Method::GET, url: asked, headers, body: String::new() };
    let silence = silence.unwrap_or(Silence::Refuse);
    Some(Settings { template, secret_file, ca_file, timeout, silence, remember })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(text: &str) -> Result<Governance, String> {
        let config = Config::read(text, Some(Vec::new()));
        config.map(|config| config.governance).map_err(|mistakes| mistakes.join("\n"))
    }

    #[test]
    fn an_endpoint_refuses_by_default_and_needs_a_place_for_the_code() {
        let url = "url = \"https://itsm.example.org/codes/{code}\"";
        let asked = read(&format!("[governance]\n{url}\n")).unwrap().endpoint.unwrap();
        let (five, hour) = (Duration::from_secs(5), Duration::from_secs(3600));
        assert_eq!((asked.silence, asked.timeout, asked.remember), (Silence::Refuse, five, hour));
        assert!(read("[governance]\nform = \"x\"\n").unwrap().endpoint.is_none());
        let bearer = "headers = [\"Authorization: Bearer {secret}\"]";
        for (text, says) in [
            ("url = \"https://itsm.example.org/codes\"".to_owned(), "has no {code}"),
            ("url = \"http://itsm.example.org/{code}\"".to_owned(), "must begin with https://"),
            ("silence = \"accept\"".to_owned(), "[governance] has no `url`"),
            (format!("{url}\nsilence = \"shrug\""), "use refuse or accept"),
            (format!("{url}\ntimeout = \"5m\""), "must be between 1 s and 30 s"),
            (format!("{url}\n{bearer}"), "needs `governance.secret_file`"),
        ] {
            let why = read(&format!("[governance]\n{text}\n")).unwrap_err();
            assert!(why.contains(says), "{text}: {why}");
        }
    }
}
