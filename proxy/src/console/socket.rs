//! The local console: `tidegate-proxy admin <command>` talks to the running proxy
//! over a Unix socket in its state directory, mode 0600. The kernel says who is at
//! the other end (unix(7), `SO_PEERCRED`): root, or the proxy's own user.
//!
//! A frame is a letter, a big-endian `u32` length of at most [`MOST_FRAME`], and as
//! many bytes. The client sends `R` (what to run, JSON), then `I` for each piece of
//! standard input and `F` at its end, and `S` when its terminal has another size; the server sends `O` and `E` for standard
//! output and error, and `X` with the exit status.

mod client;
mod keys;
mod server;

pub use client::admin;
pub use server::listen;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Size;

/// The most bytes of one frame.
const MOST_FRAME: usize = 64 * 1024;

const RUN: u8 = b'R';
const INPUT: u8 = b'I';
const INPUT_ENDS: u8 = b'F';
const RESIZED: u8 = b'S';
const OUT: u8 = b'O';
const ERR: u8 = b'E';
const EXIT: u8 = b'X';

/// What to run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    words: Vec<String>,
    /// The size of its terminal, where there is one.
    size: Option<Size>,
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), kind: u8, bytes: &[u8]) -> std::io::Result<()> {
    let pieces = bytes.chunks(MOST_FRAME).chain(bytes.is_empty().then_some(bytes));
    for piece in pieces {
        let length = u32::try_from(piece.len()).map_err(std::io::Error::other)?;
        stream.write_u8(kind).await?;
        stream.write_u32(length).await?;
        stream.write_all(piece).await?;
    }
    stream.flush().await
}

/// The next frame; none at the stream's end.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<(u8, Vec<u8>)>> {
    let kind = match stream.read_u8().await {
        Ok(kind) => kind,
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = usize::try_from(stream.read_u32().await?).map_err(std::io::Error::other)?;
    if length > MOST_FRAME {
        return Err(std::io::Error::other("a frame is longer than allowed"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(Some((kind, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_back_in_pieces_and_a_longer_one_is_refused() {
        let long = vec![7u8; MOST_FRAME + 1];
        let mut wire = Vec::new();
        write(&mut wire, OUT, &long).await.unwrap();
        write(&mut wire, INPUT_ENDS, &[]).await.unwrap();
        let mut stream = wire.as_slice();
        let first = read(&mut stream).await.unwrap().unwrap();
        assert_eq!((first.0, first.1.len()), (OUT, MOST_FRAME));
        assert_eq!(read(&mut stream).await.unwrap(), Some((OUT, vec![7])));
        assert_eq!(read(&mut stream).await.unwrap(), Some((INPUT_ENDS, Vec::new())));
        assert_eq!(read(&mut stream).await.unwrap(), None);
        let mut hostile: &[u8] = &[OUT, 0xff, 0xff, 0xff, 0xff];
        assert!(read(&mut hostile).await.is_err());
    }
}
