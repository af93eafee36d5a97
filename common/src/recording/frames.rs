//! Lines to frames: compressed, chained, at the end signed.
//!
//! After each Zstandard frame (RFC 8878, 3.1.1) stands a skippable frame (3.1.2) with
//! its link; the last one holds the end. Each integer is little-endian:
//!
//! ```text
//! link: 0x184D2A57, 36,  "TGL1", link[32]
//! end:  0x184D2A5E, 116, "TGE1", link[32], frames u64, bytes u64, signature[64]
//! ```

use std::io;

use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use crate::digest::Digest;

/// A frame is closed when its lines reach this many bytes.
pub const FULL_FRAME: usize = 64 * 1024;

/// The most bytes of lines that one frame holds: a full one, and the worst that one
/// more piece of [`super::MAX_PIECE`] bytes can grow to.
pub const MAX_TEXT: usize = 512 * 1024;

/// A signature as Ed25519 makes it (RFC 8032).
pub type Signature = [u8; 64];

pub(super) const LINK: [u8; 12] = *b"\x57\x2a\x4d\x18\x24\0\0\0TGL1";
/// How the frame that ends a recording begins.
pub const END: [u8; 12] = *b"\x5e\x2a\x4d\x18\x74\0\0\0TGE1";
/// Bytes of a link's frame.
pub(super) const LINK_LENGTH: usize = LINK.len() + 32;
/// Bytes of the frame that ends a recording.
pub const END_LENGTH: usize = END.len() + 32 + 8 + 8 + 64;

/// Keeps these signatures apart from all others that the key could make.
const CONTEXT: &[u8] = b"tidegate recording, end, version 1\0";

/// Compresses frames. It holds memory for that and nothing of a recording, so that
/// one serves many recordings in turn.
pub struct Packer {
    compressor: Compressor<'static>,
    frame: Vec<u8>,
}

impl Packer {
    /// At a level of zstd(1); negative ones are the fast ones.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(level: i32) -> io::Result<Self> {
        let mut compressor = Compressor::new(level)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self { compressor, frame: Vec::new() })
    }

    /// Another level from the next frame on.
    ///
    /// # Errors
    /// When zstd knows no such level.
    pub fn set_level(&mut self, level: i32) -> io::Result<()> {
        self.compressor.set_compression_level(level)
    }
}

/// What is known of a recording's chain so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// The last frame's link; all zero before the first.
    pub link: Digest,
    /// Frames so far.
    pub frames: u64,
    /// Bytes of lines in them.
    pub bytes: u64,
}

impl Chain {
    /// Appends a frame of `text` and its link to `out`.
    ///
    /// # Errors
    /// When zstd fails, which takes a lack of memory. The chain has not moved then.
    pub fn frame(&mut self, packer: &mut Packer, text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        packer.frame.clear();
        packer.frame.reserve(zstd::compress_bound(text.len()));
        packer.compressor.compress_to_buffer(text, &mut packer.frame)?;
        self.follow(&packer.frame, text.len());
        out.extend_from_slice(&packer.frame);
        out.extend_from_slice(&LINK);
        out.extend_from_slice(&self.link.0);
        Ok(())
    }

    /// The frame that ends the recording, signed over the last link and the totals.
    ///
    /// # Errors
    /// Those of `sign`.
    pub fn end<E>(&self, sign: impl FnOnce(&[u8]) -> Result<Signature, E>) -> Result<Vec<u8>, E> {
        let signature = sign(&self.signed())?;
        let mut end = Vec::with_capacity(END_LENGTH);
        end.extend_from_slice(&END);
        end.extend_from_slice(&self.totals());
        end.extend_from_slice(&signature);
        Ok(end)
    }

    /// One frame more.
    pub(super) fn follow(&mut self, frame: &[u8], text: usize) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.link.0);
        hasher.update(frame);
        self.link = hasher.finalize().into();
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::try_from(text).unwrap_or(u64::MAX));
    }

    /// What the signature covers.
    pub fn signed(&self) -> Vec<u8> {
        [CONTEXT, &self.totals()].concat()
    }

    pub(super) fn totals(&self) -> Vec<u8> {
        [self.link.0.as_slice(), &self.frames.to_le_bytes(), &self.bytes.to_le_bytes()].concat()
    }
}
