//! Frames without I/O: bytes in, documents out.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MAX_FRAME;

/// Why a frame is refused. Each ends the link.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer announced more than [`MAX_FRAME`] bytes, or we were about to.
    #[error("a frame of {0} bytes is over the bound of {MAX_FRAME}")]
    Long(usize),
    /// The frame is no message of this version.
    #[error("a frame is not a message of this version: {0}")]
    Message(#[from] serde_json::Error),
}

/// One message as a frame.
///
/// # Errors
/// When it is longer than [`MAX_FRAME`].
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    let header =
        u32::try_from(length).ok().filter(|_| length <= MAX_FRAME).ok_or(FrameError::Long(length))?;
    frame.splice(..4, header.to_be_bytes());
    Ok(frame)
}

/// Collects bytes until they make a message. Holds at most one frame and what
/// came with it; feed it no more than it can use between calls of [`Self::message`].
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Takes bytes from the peer.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the frame is too long or no message; the link must end then.
    pub fn message<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let Some((header, rest)) = self.buffer.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(FrameError::Long(length));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.buffer.drain(..4 + length);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;
    use crate::wire::{FromAgent, FromProxy};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_come_out_whole_however_the_bytes_are_cut(
            ids in proptest::collection::vec(any::<u128>(), 0..20),
            cut in 1usize..40,
        ) {
            let live: Vec<_> = ids.iter().map(|random| SessionId::new(7, *random)).collect();
            let sent = FromProxy::Lease { gate: None, live };
            let mut bytes = encode(&sent).unwrap();
            bytes.extend(encode(&sent).unwrap());
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.feed(piece);
                while let Some(message) = decoder.message::<FromProxy>().unwrap() {
                    got.push(message);
                }
            }
            prop_assert_eq!(got, vec![sent.clone(), sent]);
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.feed(&noise);
            let _ = decoder.message::<FromAgent>();
        }
    }

    #[test]
    fn a_frame_over_the_bound_is_refused_before_it_is_read() {
        let mut decoder = Decoder::default();
        decoder.feed(&u32::MAX.to_be_bytes());
        assert!(matches!(decoder.message::<FromAgent>(), Err(FrameError::Long(_))));
    }

    #[test]
    fn an_unknown_message_and_one_that_is_damaged_are_refused() {
        for body in [r#"{"type":"run","command":"id"}"#, r#"{"type":"revoke","session":"x"}"#] {
            let mut decoder = Decoder::default();
            decoder.feed(&u32::try_from(body.len()).unwrap().to_be_bytes());
            decoder.feed(body.as_bytes());
            assert!(matches!(decoder.message::<FromProxy>(), Err(FrameError::Message(_))), "{body}");
        }
    }
}
