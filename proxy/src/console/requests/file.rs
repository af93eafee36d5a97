//! A request as a TOML text: the same words as the options of `request create`.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::super::Failure;
use super::super::grammar::{Create, Start};
use tidegate_common::model::{Text, urgent};
use tidegate_common::name::{ChangeId, CredentialName, ReasonName};
use tidegate_common::time::{Length, Slot, Weekday, Zone};

/// As much as such a text may be, in bytes.
const MOST: u64 = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    credentials: Vec<CredentialName>,
    justification: Option<Text>,
    reason: Option<ReasonName>,
    change: Option<ChangeId>,
    governance: Option<Text>,
    #[serde(default, deserialize_with = "text")]
    start: Option<Start>,
    duration: Option<Length>,
    #[serde(default)]
    days: Vec<Weekday>,
    #[serde(default)]
    times: Vec<Slot>,
    zone: Option<Zone>,
    sessions: Option<u32>,
    #[serde(default, deserialize_with = "why")]
    emergency: Option<Text>,
    #[serde(default)]
    view_password: bool,
}

fn text<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn why<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    let said = String::deserialize(deserializer)?;
    urgent(&said).map(Some).map_err(serde::de::Error::custom)
}

/// Reads one.
pub(super) async fn read(mut source: impl AsyncRead + Unpin) -> Result<Create, Failure> {
    let mut bytes = Vec::new();
    (&mut source).take(MOST + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::Usage(format!("the request is longer than {} KiB", MOST / 1024)));
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::Usage("the request is not UTF-8".to_owned()))?;
    parse(&text).map_err(Failure::Usage)
}

fn parse(text: &str) -> Result<Create, String> {
    let written: Written = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let why: String = error.message().chars().map(tidegate_common::unseen::printable).collect();
        format!("line {line} of the request: {why}")
    })?;
    let Written { credentials, justification, reason, change, governance, start, duration, .. } = written;
    let Written { days, times, zone, sessions, emergency, view_password, .. } = written;
    Ok(Create {
        credentials,
        file: None,
        justification,
        reason,
        change,
        governance,
        start,
        duration,
        days,
        times,
        zone,
        sessions,
        emergency,
        view_password,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_from_a_text_and_each_mistake_has_its_line() {
        let text = "credentials = [\"ops@db01\", \"ops@db02\"]\njustification = \"ticket 4711\"\n\
                    start = \"+2h\"\nduration = \"1 month\"\ndays = [\"mon\"]\ntimes = [\"08:00-12:00\"]\n\
                    zone = \"Europe/Berlin\"\nsessions = 3\n";
        let read = parse(text).unwrap();
        assert_eq!((read.credentials.len(), read.sessions, read.days.len()), (2, Some(3), 1));
        for (text, sentence) in [
            ("justification = \"x\"", "line 1 of the request: missing field `credentials`"),
            ("credentials = []\nwhy = \"x\"", "line 2 of the request: unknown field `why`"),
            ("credentials = [\"x\"]", "line 1 of the request: `x` is not a credential"),
            (
                "credentials = []\n\ntimes = [\"08:05-09:00\"]",
                "line 3 of the request: `08:05-09:00` is no time slot",
            ),
            ("credentials = []\nzone = \"Mars/Olympus\"", "is no IANA time zone"),
            ("credentials = []\nstart = \"soon\"", "line 2 of the request: write it as"),
            (
                "credentials = []\nemergency = \"no\"",
                "line 2 of the request: an emergency says why it cannot wait",
            ),
            ("credentials = [\n", "line"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(sentence), "{text}: {why}");
            assert!(!why.contains('\n'), "{why}");
        }
        let why = parse("credentials = []\n\"\\u001b[2J\\u202e\" = 1").unwrap_err();
        assert!(why.contains("[2J") && !why.chars().any(tidegate_common::unseen::is_unseen), "{why:?}");
    }

    #[tokio::test]
    async fn a_text_without_end_is_refused() {
        let why = read(tokio::io::repeat(b'#')).await.unwrap_err().to_string();
        assert_eq!(why, "the request is longer than 64 KiB");
    }
}
