//! Where a Zstandard frame ends (RFC 8878, 3.1.1), read from its headers alone, so
//! that a frame cut off is told apart from bytes that are none.

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What stands at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// A frame of that many bytes; maybe not all of them are there.
    Frame(usize),
    /// The start of a frame, too short to tell its length.
    More,
    /// No frame as a recording has them: with its content's size and a checksum,
    /// without a dictionary.
    None,
}

/// Looks at the first frame of `bytes`.
pub fn scan(bytes: &[u8]) -> Scan {
    if !bytes.iter().zip(MAGIC).all(|(byte, expected)| *byte == expected) {
        return Scan::None;
    }
    let Some(descriptor) = bytes.get(MAGIC.len()) else {
        return Scan::More;
    };
    let single_segment = descriptor & 0x20 != 0;
    let content_size = match (descriptor >> 6, single_segment) {
        (0, true) => 1,
        (0, false) => return Scan::None,
        (1, _) => 2,
        (2, _) => 4,
        _ => 8,
    };
    // Reserved and unused bits clear, checksum set, no dictionary.
    if descriptor & 0b1_1111 != 0b0_0100 {
        return Scan::None;
    }
    let mut place = MAGIC.len() + 1 + usize::from(!single_segment) + content_size;
    loop {
        let Some(header) = bytes.get(place..).and_then(|rest| rest.first_chunk::<3>()) else {
            return Scan::More;
        };
        let [low, middle, high] = *header;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let size = usize::try_from(header >> 3).unwrap_or(usize::MAX);
        let content = match (header >> 1) & 3 {
            0 | 2 => size,
            1 => 1,
            _ => return Scan::None,
        };
        place = place.saturating_add(3).saturating_add(content);
        if header & 1 == 1 {
            return Scan::Frame(place.saturating_add(4));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zstd::zstd_safe::CParameter;

    proptest! {
        #[test]
        fn the_length_read_is_the_length_zstd_wrote(
            text in proptest::collection::vec(any::<u8>(), 0..600),
            repeat in 1usize..600,
            level in -5i32..4,
        ) {
            let text = text.repeat(repeat);
            let mut compressor = zstd::bulk::Compressor::new(level).unwrap();
            compressor.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
            let mut frame = compressor.compress(&text).unwrap();
            let length = frame.len();
            frame.extend_from_slice(b"more");
            prop_assert_eq!(scan(&frame), Scan::Frame(length));
        }

        #[test]
        fn any_bytes_are_scanned_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = scan(&bytes);
            let _ = scan(&[MAGIC.as_slice(), &bytes].concat());
        }
    }
}
