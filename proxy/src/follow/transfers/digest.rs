//! One direction of one file: how much went through, and its SHA-256 where that is
//! certain.
//!
//! A digest is told only of a file that went through from its first byte to its last,
//! each byte once. Pieces may come in another order, as far as the pieces ahead of
//! their turn fit in [`Window`]; else the digest is not known. A wrong one is never told.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use tidegate_common::digest::Digest;

/// How much a channel may hold of pieces that came ahead of their turn, in bytes.
const WINDOW: usize = 4 * 1024 * 1024;
/// What a held piece costs beside its bytes.
const COST: usize = 128;

/// Room for pieces ahead of their turn, shared by the files of a channel.
#[derive(Debug)]
pub(super) struct Window(usize);

impl Default for Window {
    fn default() -> Self {
        Self(WINDOW)
    }
}

/// Why a digest is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsure {
    /// Parts of it are missing, or came too far ahead of their turn.
    #[error("it did not go through in order, so its digest is not known")]
    Gaps,
    /// A part of it went through twice.
    #[error("parts of it went through more than once, so its digest is not known")]
    Twice,
    /// It was appended to, resumed, or written into a longer file.
    #[error("only a part of the file went through, so its digest is not known")]
    Part,
}

/// What has gone through so far.
pub(super) struct Flow {
    /// Bytes, in whatever order.
    pub bytes: u64,
    hashed: Result<Hashed, Unsure>,
}

struct Hashed {
    context: Context,
    /// All before this offset is hashed.
    position: u64,
    /// Pieces ahead of their turn, by offset.
    ahead: BTreeMap<u64, Vec<u8>>,
}

impl Default for Flow {
    fn default() -> Self {
        let hashed = Hashed { context: Context::new(&SHA256), position: 0, ahead: BTreeMap::new() };
        Self { bytes: 0, hashed: Ok(hashed) }
    }
}

impl Flow {
    /// A piece at an offset.
    pub fn piece(&mut self, offset: u64, piece: &[u8], window: &mut Window) {
        if piece.is_empty() {
            return;
        }
        self.bytes = self.bytes.saturating_add(length(piece));
        if let Ok(hashed) = &mut self.hashed
            && let Err(unsure) = hashed.piece(offset, piece, window)
        {
            self.doubt(unsure, window);
        }
    }

    /// Its digest is not known.
    pub fn doubt(&mut self, unsure: Unsure, window: &mut Window) {
        if let Ok(hashed) = &mut self.hashed {
            window.0 += hashed.ahead.values().map(|piece| piece.len() + COST).sum::<usize>();
            self.hashed = Err(unsure);
        }
    }

    /// How far it went through without a gap.
    pub fn position(&self) -> Option<u64> {
        self.hashed.as_ref().ok().map(|hashed| hashed.position)
    }

    /// Its digest, if all of it went through.
    pub fn digest(mut self, window: &mut Window) -> Result<Digest, Unsure> {
        if self.hashed.as_ref().is_ok_and(|hashed| !hashed.ahead.is_empty()) {
            self.doubt(Unsure::Gaps, window);
        }
        let digest = self.hashed?.context.finish();
        Digest::try_from(digest.as_ref()).map_err(|_| Unsure::Part)
    }
}

impl Hashed {
    fn piece(&mut self, offset: u64, piece: &[u8], window: &mut Window) -> Result<(), Unsure> {
        if offset < self.position {
            return Err(Unsure::Twice);
        }
        if offset > self.position {
            let cost = piece.len() + COST;
            window.0 = window.0.checked_sub(cost).ok_or(Unsure::Gaps)?;
            if self.ahead.insert(offset, piece.to_vec()).is_some_and(|other| {
                window.0 += other.len() + COST;
                true
            }) {
                return Err(Unsure::Twice);
            }
            return Ok(());
        }
        self.hash(piece);
        while let Some(next) = self.ahead.first_entry()
            && *next.key() <= self.position
        {
            let (offset, piece) = next.remove_entry();
            window.0 += piece.len() + COST;
            if offset < self.position {
                return Err(Unsure::Twice);
            }
            self.hash(&piece);
        }
        Ok(())
    }

    fn hash(&mut self, piece: &[u8]) {
        self.context.update(piece);
        self.position = self.position.saturating_add(length(piece));
    }
}

fn length(piece: &[u8]) -> u64 {
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}

/// The SHA-256 of bytes at hand.
#[cfg(test)]
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    Digest::try_from(aws_lc_rs::digest::digest(&SHA256, bytes).as_ref()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_digest_is_the_one_of_the_standard() {
        let mut flow = Flow::default();
        flow.piece(0, b"abc", &mut Window::default());
        let digest = flow.digest(&mut Window::default()).unwrap().to_string();
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_gap_and_a_byte_that_came_twice_leave_no_digest() {
        let of = |pieces: &[(u64, &[u8])]| {
            let mut window = Window::default();
            let mut flow = Flow::default();
            pieces.iter().for_each(|(offset, piece)| flow.piece(*offset, piece, &mut window));
            let digest = flow.digest(&mut window);
            assert_eq!(window.0, WINDOW, "what was held is given back");
            digest
        };
        assert_eq!(of(&[(0, b"ab"), (2, b"c")]), Ok(sha256(b"abc")));
        assert_eq!(of(&[(0, b"ab"), (3, b"c")]), Err(Unsure::Gaps));
        assert_eq!(of(&[(0, b"ab"), (1, b"c")]), Err(Unsure::Twice));
        assert_eq!(of(&[(2, b"c"), (2, b"c"), (0, b"ab")]), Err(Unsure::Twice));
        assert_eq!(of(&[(1, b"bc"), (0, b"ab")]), Err(Unsure::Twice));
    }

    #[test]
    fn pieces_too_far_ahead_are_not_held() {
        let (mut flow, mut window) = (Flow::default(), Window::default());
        let piece = vec![0; 64 * 1024];
        for place in 1..1000 {
            flow.piece(place * 65536, &piece, &mut window);
        }
        assert_eq!(flow.position(), None);
        assert_eq!((window.0, flow.bytes), (WINDOW, 999 * 65536));
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_have_the_digest_of_the_whole(
            whole in prop::collection::vec(any::<u8>(), 1..5000),
            size in 1usize..700,
            seed in any::<u64>(),
        ) {
            let mut pieces: Vec<_> = whole.chunks(size).enumerate().collect();
            pieces.sort_by_key(|(place, _)| (*place as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let (mut flow, mut window) = (Flow::default(), Window::default());
            for (place, piece) in pieces {
                flow.piece((place * size) as u64, piece, &mut window);
            }
            prop_assert_eq!(flow.digest(&mut window), Ok(sha256(&whole)));
            prop_assert_eq!(window.0, WINDOW);
        }
    }
}
