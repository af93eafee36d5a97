//! What a recording says of itself.

use std::io::Read;
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::{Header, Size};
use super::lines::Text;
use super::{MAX_HEAD, OpenError, v1};

/// The most characters of a title or a command.
const MOST_TITLE: usize = 1024;

/// The header, of whichever version. What it lacks is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// 1, 2 or 3.
    pub version: u8,
    /// The screen at the start; as it is written, so that it may be any.
    pub size: Size,
    pub started: Option<jiff::Timestamp>,
    pub title: Option<String>,
    pub command: Option<String>,
    /// Longer pauses are meant to be cut to this.
    pub idle_limit: Option<Duration>,
    pub theme: Option<Theme>,
    /// Tidegate's own part: session, user, credential, origin.
    pub tidegate: Option<Header>,
}

/// The colours of the terminal that it was made on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theme {
    pub foreground: [u8; 3],
    pub background: [u8; 3],
    /// 8 or 16.
    pub palette: Vec<[u8; 3]>,
}

/// Reads the header; and whether events follow as in v1.
pub fn read<R: Read>(text: &mut Text<R>) -> Result<(Head, bool), OpenError> {
    // What is blank before it is none of it, however the file is read.
    loop {
        let found = text.rest().iter().position(|byte| !byte.is_ascii_whitespace());
        let blank = text.rest().get(..found.unwrap_or(text.rest().len())).unwrap_or_default();
        let (length, lines) = (blank.len(), blank.iter().filter(|byte| **byte == b'\n').count());
        text.skip(length);
        (0..lines).for_each(|_| text.step());
        if found.is_some() {
            break;
        }
        if !text.more()? {
            return Err(OpenError::Empty);
        }
    }
    while text.rest().len() <= MAX_HEAD && !text.rest().contains(&b'\n') && text.more()? {}
    let rest = text.rest();
    let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = rest.get(..length).unwrap_or_default();
    let fields =
        if length <= MAX_HEAD { serde_json::from_slice::<Map<String, Value>>(line).ok() } else { None };
    if let Some(fields) = fields
        && fields.get("version").and_then(Value::as_u64) != Some(1)
    {
        text.skip(length + 1);
        text.step();
        let version = fields.get("version").and_then(Value::as_u64);
        let version = version.ok_or_else(|| OpenError::Head("it names no version".to_owned()))?;
        return match version {
            2 => Ok((head(2, &fields), false)),
            3 => Ok((head(3, &fields), false)),
            other => Err(OpenError::Version(other)),
        };
    }
    let fields = v1::fields(text)?;
    match fields.get("version").and_then(Value::as_u64) {
        Some(1) => Ok((head(1, &fields), true)),
        Some(other) => Err(OpenError::Version(other)),
        None => Err(OpenError::Head("it names no version".to_owned())),
    }
}

fn head(version: u8, fields: &Map<String, Value>) -> Head {
    let term = fields.get("term").and_then(Value::as_object);
    // Version 3 has the terminal's facts in a map of their own.
    let (sizes, cols, rows) = match (version, term) {
        (3, Some(term)) => (term, "cols", "rows"),
        _ => (fields, "width", "height"),
    };
    let side = |name| {
        sizes.get(name).and_then(Value::as_u64).map_or(0, |side| u32::try_from(side).unwrap_or(u32::MAX))
    };
    let text = |name: &str| {
        let text = fields.get(name)?.as_str()?;
        Some(text.chars().take(MOST_TITLE).collect::<String>()).filter(|text| !text.is_empty())
    };
    let started = fields.get("timestamp").and_then(Value::as_i64);
    let limit = fields.get("idle_time_limit").and_then(Value::as_f64);
    let theme = fields.get("theme").or_else(|| term?.get("theme"));
    let tidegate: Option<Header> =
        fields.get("tidegate").and_then(|header| serde_json::from_value(header.clone()).ok());
    let seconds = started.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    Head {
        version,
        size: Size { cols: side(cols), rows: side(rows) },
        started: tidegate.as_ref().map(|header| header.started).or(seconds),
        title: text("title"),
        command: text("command"),
        idle_limit: limit.and_then(|limit| Duration::try_from_secs_f64(limit).ok()),
        theme: theme.and_then(colors),
        tidegate,
    }
}

fn colors(theme: &Value) -> Option<Theme> {
    let text = |name: &str| theme.get(name)?.as_str();
    let palette: Option<Vec<_>> = text("palette")?.split(':').take(17).map(color).collect();
    let palette = palette.filter(|palette| matches!(palette.len(), 8 | 16))?;
    Some(Theme { foreground: color(text("fg")?)?, background: color(text("bg")?)?, palette })
}

/// `#rrggbb`.
fn color(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([red, green, blue])
}
