//! asciicast v1: one object whose `stdout` holds all events. It is read value by value, so
//! that it may be longer than memory.

use std::io::Read;

use serde_json::{Map, Value};

use super::lines::{Line, Text};
use super::{MAX_HEAD, MAX_LINE, OpenError};

/// The most entries of the object that are looked at.
const MOST_FIELDS: usize = 64;

/// Reads what stands before the events.
pub fn fields<R: Read>(text: &mut Text<R>) -> Result<Map<String, Value>, OpenError> {
    let wrong = |why: &str| OpenError::Head(why.to_owned());
    let mut fields = Map::new();
    if next_byte(text)? != Some(b'{') {
        return Err(wrong("it is no JSON object"));
    }
    text.skip(1);
    // The same one may come again and again.
    for _ in 0..MOST_FIELDS {
        match next_byte(text)? {
            Some(b'"') => {}
            Some(b'}') => return Err(wrong("it holds no events, neither in lines nor as `stdout`")),
            None => return Err(wrong("it ends in the middle")),
            Some(_) => return Err(wrong("it is no JSON object")),
        }
        let key: String = value(text, MAX_HEAD)?;
        match (next_byte(text)?, key.as_str()) {
            (Some(b'['), "stdout") => {
                text.skip(1);
                text.count_events();
                return Ok(fields);
            }
            _ => {
                let value = value(text, MAX_HEAD)?;
                fields.insert(key, value);
            }
        }
    }
    Err(wrong("it has too many fields"))
}

fn value<T: serde::de::DeserializeOwned, R: Read>(text: &mut Text<R>, most: usize) -> Result<T, OpenError> {
    let length = extent(text, most)?.ok_or_else(|| OpenError::Head("it ends in the middle".to_owned()))?;
    let value = serde_json::from_slice(text.rest().get(..length).unwrap_or_default());
    text.skip(length);
    value.map_err(|error| OpenError::Head(error.to_string()))
}

/// The next event.
pub fn next<R: Read>(text: &mut Text<R>) -> Result<Option<Line>, OpenError> {
    match next_byte(text)? {
        Some(b']') => return Ok(None),
        Some(_) => {}
        None => {
            text.set_cut();
            return Ok(None);
        }
    }
    let Some(length) = extent(text, MAX_LINE)? else {
        text.set_cut();
        return Ok(None);
    };
    text.step();
    let read = serde_json::from_slice(text.rest().get(..length).unwrap_or_default());
    text.skip(length);
    let (seconds, data) = read.map_err(|source| OpenError::Event { position: text.position(), source })?;
    Ok(Some(Line { seconds, code: 'o', data }))
}

/// The next byte that is neither blank nor between two values.
fn next_byte<R: Read>(text: &mut Text<R>) -> Result<Option<u8>, OpenError> {
    loop {
        let between = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b':');
        let rest = text.rest();
        match rest.iter().position(|byte| !between(byte)) {
            Some(place) => {
                let found = rest.get(place).copied();
                text.skip(place);
                return Ok(found);
            }
            None => {
                text.skip(rest.len());
                if !text.more()? {
                    return Ok(None);
                }
            }
        }
    }
}

/// How many bytes the value has that stands next; none when it ends in the middle.
fn extent<R: Read>(text: &mut Text<R>, most: usize) -> Result<Option<usize>, OpenError> {
    let (mut seen, mut depth, mut quoted, mut escaped) = (0, 0u32, false, false);
    loop {
        while let Some(byte) = text.rest().get(seen).copied() {
            if seen >= most {
                return Err(text.long());
            }
            seen += 1;
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => continue,
                b'[' | b'{' => depth += 1,
                // The end of what holds it.
                b']' | b'}' | b',' if depth == 0 => return Ok(Some(seen - 1)),
                b']' | b'}' => depth -= 1,
                _ => continue,
            }
            let closed = matches!(byte, b'"' | b']' | b'}') && !quoted && !escaped;
            if depth == 0 && closed {
                return Ok(Some(seen));
            }
        }
        if !text.more()? {
            return Ok(None);
        }
    }
}
