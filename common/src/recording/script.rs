//! Lines back to what happened: exact bytes for whoever checks or searches, shown
//! text for whoever watches.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use super::model::{Control, Header, Kind, Size, Stream};

/// One line's meaning. Times are milliseconds from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptLine {
    /// The first line.
    Header(Box<Header>),
    /// Bytes of a channel. `shown` is what the screen showed of them.
    Data { at: u64, channel: u32, stream: Stream, bytes: Vec<u8>, shown: Option<String> },
    /// The recorder itself cleared the screen for another channel.
    Cleared { at: u64, shown: String },
    /// The screen has another size.
    Screen { at: u64, size: Size },
    /// A place to jump to.
    Marker { at: u64, label: String },
    /// What happened beside the bytes.
    Control { at: u64, control: Control },
    /// The status of the session (asciicast's `x`).
    Exit { at: u64, status: String },
    /// A line of a later version; players ignore it, and so do we.
    Unknown,
}

/// A line is none of a recording's.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is no JSON, or not of asciicast's shape.
    #[error("line {line} is not asciicast: {source}")]
    Json {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// One of our own lines does not hold what it must.
    #[error("line {line} holds no `{code}` as a recording has it")]
    Own {
        /// Counted from 1.
        line: u64,
        /// The event's code.
        code: String,
    },
}

#[derive(Deserialize)]
struct FirstLine {
    tidegate: Header,
}

/// Reads lines in order; what one means depends on those before it.
#[derive(Debug, Default)]
pub struct Script {
    line: u64,
    at: u64,
    source: Option<(u32, Stream)>,
    kinds: Vec<(u32, Kind)>,
    exact: Option<Vec<u8>>,
}

impl Script {
    /// Before the first line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the next line says; nothing when it belongs to the one after it.
    ///
    /// # Errors
    /// When it is no line of a recording.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<ScriptLine>, ScriptError> {
        self.line = self.line.saturating_add(1);
        if line.starts_with(b"#") {
            return Ok(None);
        }
        let wrong = |source| ScriptError::Json { line: self.line, source };
        if self.line == 1 {
            let first: FirstLine = serde_json::from_slice(line).map_err(wrong)?;
            return Ok(Some(ScriptLine::Header(Box::new(first.tidegate))));
        }
        let (since, code, data): (f64, String, String) = serde_json::from_slice(line).map_err(wrong)?;
        // A cast from a float saturates; what is negative or no number becomes 0.
        self.at = self.at.saturating_add((since * 1000.0).round() as u64);
        self.event(&code, data)
    }

    fn event(&mut self, code: &str, data: String) -> Result<Option<ScriptLine>, ScriptError> {
        let at = self.at;
        let own = || ScriptError::Own { line: self.line, code: code.to_owned() };
        let said = match code {
            "s" => {
                self.source = if data == "-" { None } else { Some(source(&data).ok_or_else(own)?) };
                return Ok(None);
            }
            "b" => {
                self.exact = Some(BASE64.decode(&data).map_err(|_| own())?);
                return Ok(None);
            }
            "o" => self.shown(data),
            "i" | "t" => {
                let (channel, stream) = self.source.ok_or_else(own)?;
                ScriptLine::Data { at, channel, stream, bytes: data.into_bytes(), shown: None }
            }
            "k" => {
                let (channel, stream) = self.source.ok_or_else(own)?;
                let bytes = BASE64.decode(&data).map_err(|_| own())?;
                ScriptLine::Data { at, channel, stream, bytes, shown: None }
            }
            "c" => {
                let control: Control = serde_json::from_str(&data)
                    .map_err(|source| ScriptError::Json { line: self.line, source })?;
                if let Control::Opened { channel, kind, .. } = &control {
                    self.kinds.retain(|(known, _)| known != channel);
                    self.kinds.push((*channel, *kind));
                }
                ScriptLine::Control { at, control }
            }
            "r" => ScriptLine::Screen { at, size: size(&data).ok_or_else(own)? },
            "m" => ScriptLine::Marker { at, label: data },
            "x" => ScriptLine::Exit { at, status: data },
            _ => ScriptLine::Unknown,
        };
        Ok(Some(said))
    }

    fn shown(&mut self, text: String) -> ScriptLine {
        let at = self.at;
        let Some((channel, stream)) = self.source else {
            return ScriptLine::Cleared { at, shown: text };
        };
        let known = self.kinds.iter().find(|(known, _)| *known == channel);
        let terminal = known.is_none_or(|(_, kind)| *kind == Kind::Terminal);
        let bytes = match self.exact.take() {
            Some(exact) => exact,
            None if terminal => text.clone().into_bytes(),
            None => text.replace("\r\n", "\n").into_bytes(),
        };
        ScriptLine::Data { at, channel, stream, bytes, shown: Some(text) }
    }
}

fn source(text: &str) -> Option<(u32, Stream)> {
    let (channel, stream) = text.split_once(' ')?;
    let stream = match stream {
        "input" => Stream::Input,
        "output" => Stream::Output,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    Some((channel.parse().ok()?, stream))
}

fn size(text: &str) -> Option<Size> {
    let (cols, rows) = text.split_once('x')?;
    Some(Size { cols: cols.parse().ok()?, rows: rows.parse().ok()? })
}
