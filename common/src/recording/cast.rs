//! Events to asciicast lines: who holds the screen, what is shown, and how bytes
//! that are no text are kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::escape::{LineFeed, escape};
use super::model::{Control, Header, Kind, Size, Stream};

/// The most bytes that [`Cast::data`] takes at once, so that one line stays small.
pub const MAX_PIECE: usize = 16 * 1024;

/// Size of the screen until a terminal says its own.
const SCREEN: Size = Size { cols: 80, rows: 24 };

/// One channel as the recording knows it.
#[derive(Debug)]
struct Channel {
    id: u32,
    kind: Kind,
    size: Option<Size>,
    /// The start of a character whose end has not come yet; at most three bytes.
    unfinished: Vec<(Stream, Vec<u8>)>,
}

/// Writes lines into a buffer. The caller takes them away with [`Cast::take`].
#[derive(Debug)]
pub struct Cast {
    text: Vec<u8>,
    /// The time of the last line, in milliseconds from the start.
    at: u64,
    channels: Vec<Channel>,
    screen: Option<u32>,
    size: Size,
    /// Whether something was shown that a new terminal must not start on.
    used: bool,
    source: Option<(u32, Stream)>,
}

impl Cast {
    /// Begins with the header's line.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let line = json!({
            "version": 3,
            "term": { "cols": SCREEN.cols, "rows": SCREEN.rows },
            "timestamp": header.started.as_second(),
            "title": format!("{} on {}", header.user, header.target),
            "tidegate": header,
        });
        let mut text = line.to_string().into_bytes();
        text.push(b'\n');
        Self { text, at: 0, channels: Vec::new(), screen: None, size: SCREEN, used: false, source: None }
    }

    /// What is written and not yet taken, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing is written that was not taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The lines since the last call, for one frame. `then` does with them what is to
    /// be done; the buffer's memory is kept for the next ones.
    pub fn take<T>(&mut self, then: impl FnOnce(&[u8]) -> T) -> T {
        let done = then(&self.text);
        self.text.clear();
        done
    }

    /// Gives the buffer's memory back, for a session that goes idle.
    pub fn rest(&mut self) {
        self.text.shrink_to_fit();
    }

    /// Bytes of a channel, at most [`MAX_PIECE`] of them; those of a channel that was
    /// never opened are kept as a terminal's that has no screen.
    pub fn data(&mut self, at: u64, channel: u32, stream: Stream, bytes: &[u8]) {
        let mut joined = self.finish(channel, stream);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        let (text, rest) = match std::str::from_utf8(bytes) {
            Ok(text) => (Some(text), None),
            Err(error) if error.error_len().is_none() => {
                let (whole, rest) = bytes.split_at_checked(error.valid_up_to()).unwrap_or((bytes, &[]));
                (std::str::from_utf8(whole).ok(), Some(rest))
            }
            Err(_) => (None, None),
        };
        match text {
            Some(text) => self.text(at, channel, stream, text),
            None => self.raw(at, channel, stream, bytes),
        }
        if let (Some(rest), Some(known)) = (rest, self.channel(channel)) {
            known.unfinished.push((stream, rest.to_vec()));
        } else if let Some(rest) = rest {
            self.raw(at, channel, stream, rest);
        }
    }

    /// What happened beside the bytes.
    pub fn control(&mut self, at: u64, control: &Control) {
        match control {
            Control::Opened { channel, kind, command, size, .. } => {
                // One that is open is something else from here on.
                self.flush(at, *channel);
                self.line(at, "c", &json!(control).to_string());
                self.channels.retain(|known| known.id != *channel);
                self.channels.push(Channel {
                    id: *channel,
                    kind: *kind,
                    size: *size,
                    unfinished: Vec::new(),
                });
                self.give_screen(at);
                if let Some(command) = command {
                    self.line(at, "m", command);
                }
            }
            Control::Resized { channel, size } => {
                self.line(at, "c", &json!(control).to_string());
                if let Some(known) = self.channel(*channel) {
                    known.size = Some(*size);
                }
                if self.screen == Some(*channel) {
                    self.resize(at, *size);
                }
            }
            Control::Limited { channel, stream, kept } => {
                self.flush(at, *channel);
                self.line(at, "c", &json!(control).to_string());
                self.line(at, "m", &format!("channel {channel}: {stream} beyond {kept} bytes is not kept"));
            }
            Control::Marker { label } => self.line(at, "m", label),
            Control::Closed { channel, .. } => {
                self.flush(at, *channel);
                self.line(at, "c", &json!(control).to_string());
                self.channels.retain(|known| known.id != *channel);
                self.give_screen(at);
            }
            Control::Ended { exit, .. } => {
                let open: Vec<u32> = self.channels.iter().map(|known| known.id).collect();
                open.into_iter().for_each(|channel| self.flush(at, channel));
                self.line(at, "c", &json!(control).to_string());
                self.line(at, "x", &exit.unwrap_or(255).to_string());
            }
        }
    }

    /// The first open terminal holds the screen; without one, the first open command.
    fn give_screen(&mut self, at: u64) {
        let first = |kind| self.channels.iter().find(|known| known.kind == kind);
        let holder = first(Kind::Terminal).or_else(|| first(Kind::Exec));
        let Some((channel, kind, size)) = holder.map(|known| (known.id, known.kind, known.size)) else {
            self.screen = None;
            return;
        };
        if self.screen == Some(channel) {
            return;
        }
        self.screen = Some(channel);
        if kind == Kind::Terminal {
            if self.used {
                // Reset to Initial State, and from nobody's stream.
                self.source = None;
                self.line(at, "s", "-");
                self.line(at, "o", "\x1bc");
            }
            self.resize(at, size.unwrap_or(SCREEN));
        }
    }

    fn resize(&mut self, at: u64, size: Size) {
        if self.size != size {
            self.size = size;
            self.line(at, "r", &format!("{}x{}", size.cols, size.rows));
        }
    }

    fn channel(&mut self, channel: u32) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|known| known.id == channel)
    }

    /// Takes the start of a character that the stream still owes the end of.
    fn finish(&mut self, channel: u32, stream: Stream) -> Vec<u8> {
        let Some(known) = self.channel(channel) else {
            return Vec::new();
        };
        let place = known.unfinished.iter().position(|(owner, _)| *owner == stream);
        place.map(|place| known.unfinished.swap_remove(place).1).unwrap_or_default()
    }

    /// No end will come.
    fn flush(&mut self, at: u64, channel: u32) {
        for stream in [Stream::Input, Stream::Output, Stream::Stderr] {
            let rest = self.finish(channel, stream);
            if !rest.is_empty() {
                self.raw(at, channel, stream, &rest);
            }
        }
    }

    fn kind(&self, channel: u32) -> Kind {
        self.channels.iter().find(|known| known.id == channel).map_or(Kind::Terminal, |known| known.kind)
    }

    fn text(&mut self, at: u64, channel: u32, stream: Stream, text: &str) {
        if text.is_empty() {
            return;
        }
        self.announce(at, channel, stream);
        let kind = self.kind(channel);
        let shown = self.screen == Some(channel) && (kind == Kind::Terminal || presentable(text));
        match stream {
            Stream::Input => self.line(at, "i", text),
            Stream::Output | Stream::Stderr if !shown => self.line(at, "t", text),
            Stream::Output | Stream::Stderr => {
                self.used = true;
                let feed = if kind == Kind::Terminal { LineFeed::AsIs } else { LineFeed::Returned };
                self.escaped(at, "o", text, feed);
            }
        }
    }

    /// Bytes that are no UTF-8: kept exactly, and shown with U+FFFD on a terminal's screen.
    fn raw(&mut self, at: u64, channel: u32, stream: Stream, bytes: &[u8]) {
        self.announce(at, channel, stream);
        let shown =
            stream != Stream::Input && self.screen == Some(channel) && self.kind(channel) == Kind::Terminal;
        self.line(at, if shown { "b" } else { "k" }, &BASE64.encode(bytes));
        if shown {
            self.used = true;
            self.line(at, "o", &String::from_utf8_lossy(bytes));
        }
    }

    /// Says whose the following lines are, where it is another's than the last ones.
    fn announce(&mut self, at: u64, channel: u32, stream: Stream) {
        if self.source != Some((channel, stream)) {
            self.source = Some((channel, stream));
            self.line(at, "s", &format!("{channel} {stream}"));
        }
    }

    fn line(&mut self, at: u64, code: &str, data: &str) {
        self.escaped(at, code, data, LineFeed::AsIs);
    }

    fn escaped(&mut self, at: u64, code: &str, data: &str, feed: LineFeed) {
        let since = at.saturating_sub(self.at);
        self.at = self.at.max(at);
        let head = format!("[{}.{:03},\"{code}\",\"", since / 1000, since % 1000);
        self.text.extend_from_slice(head.as_bytes());
        escape(data, feed, &mut self.text);
        self.text.extend_from_slice(b"\"]\n");
    }
}

/// Whether a command's output can go to a screen: text, and controls that terminals expect.
fn presentable(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| byte < 0x20 && !matches!(byte, 0x07 | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' | 0x1b))
}
