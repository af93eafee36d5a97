//! One record of the kernel's audit, read: `audit(1795477758.031:5): key=value …`.
//!
//! Values come in quotes when they are plain, and in hexadecimal when they hold
//! anything else, so that no value can look like another field.

use jiff::Timestamp;

/// Somebody logged in: a process got an audit session (linux/audit.h).
pub const LOGIN: u16 = 1006;

/// The kinds of records that say something of an exec (linux/audit.h).
pub const SYSCALL: u16 = 1300;
pub const PATH: u16 = 1302;
pub const CONFIG_CHANGE: u16 = 1305;
pub const CWD: u16 = 1307;
pub const EXECVE: u16 = 1309;
pub const END: u16 = 1320;

/// The kernel's way to say that a process is in no audit session.
pub const NO_SESSION: u32 = u32::MAX;

/// What a record begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Records of one event share it.
    pub serial: u64,
    pub at: Timestamp,
    pub fields: &'a [u8],
}

/// The record in the payload of a message; `None` when it is none.
#[must_use]
pub fn parse(payload: &[u8]) -> Option<Record<'_>> {
    let payload = payload.strip_suffix(b"\0").unwrap_or(payload);
    let rest = payload.strip_prefix(b"audit(")?;
    let end = rest.iter().position(|byte| *byte == b')')?;
    let (stamp, rest) = (rest.get(..end)?, rest.get(end + 1..)?);
    let (time, serial) = std::str::from_utf8(stamp).ok()?.split_once(':')?;
    let (seconds, millis) = time.split_once('.')?;
    let millis: i64 = millis.parse().ok().filter(|millis| (0..1000).contains(millis))?;
    let at = seconds.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(millis)?;
    let at = Timestamp::from_millisecond(at).ok()?;
    let fields = rest.strip_prefix(b":").unwrap_or(rest);
    Some(Record { serial: serial.parse().ok()?, at, fields })
}

/// A value as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Quoted(&'a [u8]),
    Bare(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A decimal number.
    pub fn number<T: std::str::FromStr>(self) -> Option<T> {
        std::str::from_utf8(self.raw()).ok()?.parse().ok()
    }

    /// A number in hexadecimal.
    pub fn hex(self) -> Option<u32> {
        u32::from_str_radix(std::str::from_utf8(self.raw()).ok()?, 16).ok()
    }

    /// The letters as they stand there.
    pub fn raw(self) -> &'a [u8] {
        match self {
            Self::Quoted(raw) | Self::Bare(raw) => raw,
        }
    }

    /// What a process chose: plain in quotes, or in hexadecimal. At most `most` bytes.
    pub fn untrusted(self, most: usize) -> Vec<u8> {
        let raw = match self {
            Self::Quoted(raw) => return raw.get(..most).unwrap_or(raw).to_vec(),
            Self::Bare(b"(null)") => return Vec::new(),
            Self::Bare(raw) => raw,
        };
        let pairs = raw.chunks_exact(2).take(most);
        let bytes = pairs.map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        // Neither: kept as it is, so that nothing is hidden.
        let bytes: Option<Vec<u8>> = bytes.collect();
        bytes.filter(|_| raw.len() % 2 == 0).unwrap_or_else(|| raw.get(..most).unwrap_or(raw).to_vec())
    }

    /// How many bytes [`Self::untrusted`] stands for without a bound.
    pub fn length(self) -> usize {
        match self {
            Self::Quoted(raw) => raw.len(),
            Self::Bare(raw) => raw.len() / 2,
        }
    }
}

fn digit(letter: u8) -> Option<u8> {
    char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Walks the fields of a record.
#[derive(Debug, Clone)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.0.iter().position(|byte| *byte != b' ')?;
            let rest = self.0.get(start..)?;
            let stop = rest.iter().position(|byte| matches!(byte, b'=' | b' '));
            let Some(stop) = stop else {
                self.0 = &[];
                return None;
            };
            let (key, after) = (rest.get(..stop)?, rest.get(stop..)?);
            let Some(after) = after.strip_prefix(b"=") else {
                self.0 = after;
                continue;
            };
            let value = if let Some(quoted) = after.strip_prefix(b"\"") {
                let end = quoted.iter().position(|byte| *byte == b'"').unwrap_or(quoted.len());
                self.0 = quoted.get(end + 1..).unwrap_or_default();
                Value::Quoted(quoted.get(..end)?)
            } else {
                let end = after.iter().position(|byte| *byte == b' ').unwrap_or(after.len());
                self.0 = after.get(end..).unwrap_or_default();
                Value::Bare(after.get(..end)?)
            };
            return Some((key, value));
        }
    }
}

/// The first value of that name.
pub fn field<'a>(fields: &'a [u8], name: &[u8]) -> Option<Value<'a>> {
    Fields(fields).find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_read_with_its_stamp_and_its_values_in_both_writings() {
        let text = b"audit(1795477758.031:5): argc=3 a0=\"/bin/echo\" a1=612062 a2=\"\"";
        let record = parse(text).unwrap();
        assert_eq!((record.serial, record.at.as_millisecond()), (5, 1_795_477_758_031));
        let fields: Vec<_> = Fields(record.fields).map(|(_, value)| value.untrusted(100)).collect();
        assert_eq!(fields, [&b"3"[..], b"/bin/echo", b"a b", b""]);
    }

    #[test]
    fn a_value_that_is_no_hexadecimal_is_kept_as_it_is() {
        assert_eq!(Value::Bare(b"62").untrusted(9), b"b");
        assert_eq!(Value::Bare(b"6z").untrusted(9), b"6z");
        assert_eq!(Value::Bare(b"(null)").untrusted(9), b"");
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&noise);
            Fields(&noise).for_each(|(_, value)| drop(value.untrusted(9)));
        }

        #[test]
        fn whatever_a_process_is_called_reads_back(name in proptest::collection::vec(any::<u8>(), 1..40)) {
            // As audit_log_untrustedstring of the kernel writes it.
            let plain = name.iter().all(|byte| *byte != b'"' && (0x21..0x7f).contains(byte));
            let written = if plain {
                [b"\"", &name[..], b"\""].concat()
            } else {
                name.iter().flat_map(|byte| format!("{byte:02X}").into_bytes()).collect()
            };
            let text = [b" a=1 exe=".as_slice(), &written, b" key=\"x\""].concat();
            let found = Fields(&text).find(|(key, _)| *key == b"exe").unwrap().1;
            prop_assert_eq!(found.untrusted(100), name);
        }
    }
}
