//! A secret typed or pasted on a terminal in raw mode, of which nothing is shown.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use zeroize::Zeroizing;

use crate::vault::MOST_BYTES;

/// How long somebody may take to type it.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// How a private key begins and how its last line does, in whichever format.
const BEGINS: &[u8] = b"-----BEGIN ";
const ENDS: &[u8] = b"-----END ";

/// Whether what was typed begins as a private key.
pub(super) fn is_key(typed: &[u8]) -> bool {
    typed.starts_with(BEGINS)
}

/// One line; of a private key all up to its last line. None where whoever types it leaves.
///
/// # Errors
/// When the terminal can't be read.
pub(super) async fn secret(
    stdin: &mut (impl AsyncRead + Unpin),
) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut all = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 2));
    // Where the last line begins.
    let mut line = 0;
    // Of the two bytes of some line ends the second is none of the next line.
    let mut after_return = false;
    loop {
        let mut byte = Zeroizing::new([0u8]);
        if stdin.read(&mut *byte).await? == 0 {
            return Ok(None);
        }
        let [byte] = *byte;
        let second = std::mem::replace(&mut after_return, byte == b'\r') && byte == b'\n';
        match byte {
            0x03 | 0x04 => return Ok(None),
            _ if second => {}
            b'\r' | b'\n' => {
                if !is_key(&all) || all.get(line..).is_some_and(|last| last.starts_with(ENDS)) {
                    return Ok(Some(all));
                }
                all.push(b'\n');
                line = all.len();
            }
            0x08 | 0x7f => erase(&mut all, line),
            // Ctrl-U.
            0x15 => all.truncate(line),
            byte => all.push(byte),
        }
        // Too long to be a secret, which whoever reads it says.
        if all.len() > MOST_BYTES {
            return Ok(Some(all));
        }
    }
}

/// Takes the last letter back, which may be of several bytes.
fn erase(all: &mut Vec<u8>, line: usize) {
    while all.len() > line {
        // A letter's later bytes (RFC 3629).
        if all.pop().is_none_or(|byte| byte & 0xc0 != 0x80) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn typed(mut keys: &[u8]) -> (Option<String>, String) {
        let typed = secret(&mut keys).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (typed.map(|typed| text(&typed)), text(keys))
    }

    #[tokio::test]
    async fn a_password_ends_with_its_line_and_is_corrected_unseen() {
        for (keys, wanted) in [
            ("hunter2\rrest", "hunter2"),
            ("hunter\u{7f}\u{7f}er2\nrest", "hunter2"),
            ("gr\u{fc}\u{8}un\rrest", "grun"),
            ("wrong\u{15}right\rrest", "right"),
            ("\u{7f}\rrest", ""),
        ] {
            assert_eq!(
                typed(keys.as_bytes()).await,
                (Some(wanted.to_owned()), "rest".to_owned()),
                "{keys:?}"
            );
        }
        for keys in [&b"hun\x03ter2\r"[..], b"\x04", b"cut"] {
            assert_eq!(typed(keys).await.0, None, "{keys:?}");
        }
    }

    #[tokio::test]
    async fn a_pasted_key_is_taken_to_its_last_line_however_lines_end() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\nBBBB\n-----END OPENSSH PRIVATE KEY-----";
        for end in ["\r", "\n", "\r\n"] {
            let pasted = format!("{}{end}", key.replace('\n', end));
            assert_eq!(typed(pasted.as_bytes()).await.0.as_deref(), Some(key), "{end:?}");
        }
    }

    #[tokio::test]
    async fn what_is_typed_without_end_is_bounded() {
        let long = [&b"-----BEGIN "[..], &vec![b'a'; 2 * MOST_BYTES]].concat();
        assert_eq!(typed(&long).await.0.unwrap().len(), MOST_BYTES + 1);
        let lines = [&b"-----BEGIN "[..], &vec![b'\n'; 2 * MOST_BYTES]].concat();
        assert_eq!(typed(&lines).await.0.unwrap().len(), MOST_BYTES + 1);
    }
}
