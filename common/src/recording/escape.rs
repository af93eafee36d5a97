//! JSON strings (RFC 8259, 7) written fast: the bulk of a recording passes here.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// High bits set where a byte of `word` is one that JSON escapes. The lowest one set
/// is right; those above it may be borrowed from it.
fn special(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(0x20 * ONES) & !word;
    let quote = zero(word ^ (u64::from(b'"') * ONES));
    let backslash = zero(word ^ (u64::from(b'\\') * ONES));
    (control | quote | backslash) & HIGHS
}

/// Whether a line feed is shown as carriage return and line feed, as a terminal's
/// own line discipline would have made it (termios(3), ONLCR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFeed {
    AsIs,
    Returned,
}

/// Appends the inside of a JSON string, eight bytes at a time as long as none of them
/// is escaped.
pub fn escape(text: &str, feed: LineFeed, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + rest.len() / 4);
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        // Copying a whole word and taking some back is faster than copying a part.
        let before = out.len();
        out.extend_from_slice(word);
        let found = special(u64::from_le_bytes(*word));
        if found == 0 {
            rest = after;
            continue;
        }
        let plain = usize::try_from(found.trailing_zeros() / 8).unwrap_or_default();
        out.truncate(before + plain);
        let Some((byte, after)) = rest.get(plain..).and_then(<[u8]>::split_first) else {
            return;
        };
        rest = after;
        escape_byte(*byte, feed, out);
    }
    rest.iter().for_each(|byte| escape_byte(*byte, feed, out));
}

fn escape_byte(byte: u8, feed: LineFeed, out: &mut Vec<u8>) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' if feed == LineFeed::Returned => out.extend_from_slice(b"\\r\\n"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..0x20 => {
            let digit = |four: u8| if four < 10 { b'0' + four } else { b'a' + four - 10 };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
        plain => out.push(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &str, feed: LineFeed) -> String {
        let mut out = vec![b'"'];
        escape(text, feed, &mut out);
        out.push(b'"');
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn any_text_reads_back_as_the_same_json_string(text in "(?s).{0,60}|[\\x00-\\x7f]{0,60}|[ -~]{0,60}") {
            let read: String = serde_json::from_str(&escaped(&text, LineFeed::AsIs)).unwrap();
            prop_assert_eq!(read, text);
        }

        #[test]
        fn a_returned_line_feed_is_one_carriage_return_more(text in "[a\\r\\n\"]{0,40}") {
            let read: String = serde_json::from_str(&escaped(&text, LineFeed::Returned)).unwrap();
            prop_assert_eq!(read.replace("\r\n", "\n"), text);
        }
    }
}
