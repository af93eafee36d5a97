//! The same recording as asciicast v2, for players that know nothing newer
//! (asciinema 2, as Debian 12 has it).

use serde_json::json;

use super::escape::{LineFeed, escape};
use super::model::Stream;
use super::script::ScriptLine;

/// Appends what v2 can say of it; our own codes are left out.
pub fn line_v2(said: &ScriptLine, out: &mut Vec<u8>) {
    match said {
        ScriptLine::Header(header) => {
            let title = format!("{} on {}", header.user, header.target);
            let line = json!({
                "version": 2, "width": 80, "height": 24, "timestamp": header.started.as_second(), "title": title,
            });
            out.extend_from_slice(line.to_string().as_bytes());
            out.push(b'\n');
        }
        ScriptLine::Data { at, shown: Some(text), .. } | ScriptLine::Cleared { at, shown: text } => {
            event(*at, "o", text, out)
        }
        ScriptLine::Data { at, stream: Stream::Input, bytes, .. } => {
            event(*at, "i", &String::from_utf8_lossy(bytes), out);
        }
        ScriptLine::Screen { at, size } => event(*at, "r", &format!("{}x{}", size.cols, size.rows), out),
        ScriptLine::Marker { at, label } => event(*at, "m", label, out),
        ScriptLine::Data { .. }
        | ScriptLine::Control { .. }
        | ScriptLine::Exit { .. }
        | ScriptLine::Unknown => {}
    }
}

fn event(at: u64, code: &str, data: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("[{}.{:03}, \"{code}\", \"", at / 1000, at % 1000).as_bytes());
    escape(data, LineFeed::AsIs, out);
    out.extend_from_slice(b"\"]\n");
}
