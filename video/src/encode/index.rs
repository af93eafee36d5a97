//! The index of an MP4 (`moov`, ISO/IEC 14496-12) from the file's end to its front, so that a
//! player begins before it has the whole file.
//!
//! libavformat can do that too, but opens the file by its name once more, which the confined
//! part cannot. Everything stays in one file of the same length: nothing more can fill a disk.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

/// Bytes that are moved at once.
const BLOCK: u64 = 1 << 20;
/// A longer index stays where it is.
const LONGEST: u64 = 256 << 20;
/// What an index has that holds other boxes, on the way to where its samples are.
const HOLDERS: [&[u8; 4]; 4] = [b"trak", b"mdia", b"minf", b"stbl"];

/// Moves the index of a finished file. One that is laid out otherwise than libavformat does
/// it, or grows beyond what its index can tell, stays as it is: whole, with its index behind.
///
/// # Errors
/// When the file cannot be read or written; it is not whole then.
pub fn to_front(file: &File) -> io::Result<()> {
    // Not by statx(2), which the confined part may not call.
    let end = (&*file).seek(SeekFrom::End(0))?;
    let Some((first, _)) = head(file, 0)?.filter(|(_, name)| name == b"ftyp") else { return Ok(()) };
    let mut start = first;
    let size = loop {
        let Some((size, name)) = head(file, start)? else { return Ok(()) };
        if name == *b"moov" {
            break size;
        }
        start = start.saturating_add(size);
    };
    if start.saturating_add(size) != end || size > LONGEST {
        return Ok(());
    }
    let mut index = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact_at(&mut index, start)?;
    let held = index.get_mut(8..).unwrap_or_default();
    if !shift(held, size) {
        return Ok(());
    }
    // From behind, because each block goes to where the one after it was.
    let mut block = Vec::new();
    let mut until = start;
    while until > first {
        let from = until.saturating_sub(BLOCK).max(first);
        block.resize(usize::try_from(until - from).map_err(io::Error::other)?, 0);
        file.read_exact_at(&mut block, from)?;
        file.write_all_at(&block, from + size)?;
        until = from;
    }
    file.write_all_at(&index, first)
}

/// The size and the name of the box there; none at the end of the file.
fn head(file: &File, at: u64) -> io::Result<Option<(u64, [u8; 4])>> {
    let mut bytes = [0; 16];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at.saturating_add(read as u64))? {
            0 => break,
            more => read += more,
        }
    }
    let [a, b, c, d, n, a2, m, e, long @ ..] = bytes;
    let size = match u32::from_be_bytes([a, b, c, d]) {
        1 => u64::from_be_bytes(long),
        size => size.into(),
    };
    Ok((read >= 8 && size >= 8).then_some((size, [n, a2, m, e])))
}

/// Adds to each place of samples in these boxes; says whether all of them could take it.
fn shift(mut boxes: &mut [u8], by: u64) -> bool {
    while let Some((head, rest)) = std::mem::take(&mut boxes).split_first_chunk_mut::<8>() {
        let [a, b, c, d, name @ ..] = *head;
        let size = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let Some((held, after)) = size.checked_sub(8).and_then(|size| rest.split_at_mut_checked(size)) else {
            return false;
        };
        boxes = after;
        // Version and flags, and how many there are, stand before the places.
        let places = held.get_mut(8..);
        let taken = match (&name, places) {
            (b"stco", Some(places)) => places.as_chunks_mut::<4>().0.iter_mut().all(|place| {
                let moved = u32::try_from(by).ok().and_then(|by| u32::from_be_bytes(*place).checked_add(by));
                moved.map(|moved| *place = moved.to_be_bytes()).is_some()
            }),
            (b"co64", Some(places)) => places.as_chunks_mut::<8>().0.iter_mut().all(|place| {
                let moved = u64::from_be_bytes(*place).checked_add(by);
                moved.map(|moved| *place = moved.to_be_bytes()).is_some()
            }),
            _ if HOLDERS.contains(&&name) => shift(held, by),
            _ => true,
        };
        if !taken {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn boxed(name: &str, held: &[u8]) -> Vec<u8> {
        let size = u32::try_from(held.len() + 8).unwrap();
        [&size.to_be_bytes(), name.as_bytes(), held].concat()
    }

    /// An index with two tracks whose samples are at these places.
    fn index(near: u32, far: u64) -> Vec<u8> {
        let track = |places: Vec<u8>| {
            let table = boxed("stbl", &[boxed("stsz", b"size"), places].concat());
            boxed("trak", &boxed("mdia", &boxed("minf", &table)))
        };
        let counted = |place: &[u8]| [&[0; 4], &1_u32.to_be_bytes()[..], place].concat();
        let near = track(boxed("stco", &counted(&near.to_be_bytes())));
        boxed(
            "moov",
            &[near, track(boxed("co64", &counted(&far.to_be_bytes()))), boxed("udta", b"!")].concat(),
        )
    }

    fn moved(bytes: &[u8]) -> Vec<u8> {
        let path = std::env::temp_dir().join(format!(
            "tidegate-index-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(bytes).unwrap();
        to_front(&file).unwrap();
        let mut found = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut found).unwrap();
        found
    }

    #[test]
    fn what_an_index_points_at_is_the_same_afterwards() {
        // More than a block, so that it is moved in pieces.
        let samples: Vec<u8> = (0..2_500_000_u32).map(|n| (n % 251) as u8).collect();
        let start = [boxed("ftyp", b"isom"), boxed("free", b"")].concat();
        let media = boxed("mdat", &samples);
        let [near, far] = [start.len() + 8 + 1000, start.len() + 8 + 2_000_000];
        let before = index(u32::try_from(near).unwrap(), far as u64);
        let found = moved(&[start.clone(), media.clone(), before.clone()].concat());
        let by = before.len();
        let after = index(u32::try_from(near + by).unwrap(), (far + by) as u64);
        assert!(found == [boxed("ftyp", b"isom"), after, boxed("free", b""), media].concat());
        assert_eq!(found[near + by..near + by + 100], samples[1000..1100]);
    }

    #[test]
    fn what_cannot_be_moved_stays_whole() {
        let start = boxed("ftyp", b"isom");
        let media = boxed("mdat", b"samples");
        for file in [
            // No room for the new place.
            [start.clone(), media.clone(), index(u32::MAX - 3, 30)].concat(),
            // Something behind it; a box longer than its holder; none at all; no MP4.
            [start.clone(), media.clone(), index(20, 30), boxed("free", b"")].concat(),
            [start.clone(), media.clone(), boxed("moov", b"\0\0\0\x40trak")].concat(),
            [start, media].concat(),
            b"text".to_vec(),
            Vec::new(),
        ] {
            assert!(moved(&file) == file);
        }
    }
}
