//! Answers that are typed to a question.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::Failure;
use super::screen::Screen;

/// The longest answer to a question.
const LONGEST_ANSWER: u64 = 256;

/// Whether the answer is yes.
pub(super) async fn says_yes(
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<bool, Failure> {
    screen.flush().await?;
    let answer = typed(stdin, LONGEST_ANSWER).await?;
    screen.plain(&answer).await?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// One line; a terminal ends it with a carriage return.
pub(super) async fn typed(stdin: impl AsyncRead + Unpin + Send, most: u64) -> Result<String, Failure> {
    let mut stdin = stdin.take(most);
    let mut answer = Vec::new();
    while let Ok(byte) = stdin.read_u8().await {
        if byte == b'\r' || byte == b'\n' {
            break;
        }
        answer.push(byte);
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
