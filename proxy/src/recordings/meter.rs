//! What of a stream is kept, and what stands for the rest.

use tidegate_common::recording::{Kind, Stream, Total};

/// Counts one stream of one channel and hashes it where not all of it is kept.
#[derive(Debug)]
pub struct Meter {
    stream: Stream,
    bytes: u64,
    kept: u64,
    /// How much is kept at most as it passes.
    limit: u64,
    /// How much is kept at most of what is picked out.
    picked: u64,
    /// Boxed: it takes two kilobytes, and most streams never need it.
    hasher: Option<Box<blake3::Hasher>>,
    hashed: bool,
}

impl Meter {
    /// For a stream of such a channel. `input` says whether what is typed is kept.
    pub fn new(stream: Stream, kind: Kind, input: bool, exec_output_limit: u64) -> Self {
        let (limit, picked) = match (kind, stream) {
            (Kind::Forward, _) => (0, 0),
            (_, Stream::Input) if !input => (0, 0),
            // No protocol has a word on it: what is there is a program's own.
            (Kind::Transfer, Stream::Stderr) => (exec_output_limit, 0),
            (Kind::Transfer, _) => (0, exec_output_limit),
            (Kind::Terminal, _) => (u64::MAX, 0),
            (Kind::Exec, _) => (exec_output_limit, 0),
        };
        Self { stream, bytes: 0, kept: 0, limit, picked, hasher: None, hashed: kind != Kind::Terminal }
    }

    /// Passes bytes by; says how many of them are to be kept, and whether more of the
    /// stream is not from here on.
    pub fn pass(&mut self, bytes: &[u8]) -> (usize, bool) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.hashed {
            self.hasher.get_or_insert_default().update(bytes);
        }
        self.bytes = self.bytes.saturating_add(length);
        self.take(length, self.limit)
    }

    /// Picks bytes out of those that have passed; answers as [`Self::pass`] does.
    pub fn pick(&mut self, bytes: &[u8]) -> (usize, bool) {
        self.take(u64::try_from(bytes.len()).unwrap_or(u64::MAX), self.picked)
    }

    fn take(&mut self, length: u64, limit: u64) -> (usize, bool) {
        let room = limit.saturating_sub(self.kept);
        let keep = room.min(length);
        let limited = limit > 0 && room > 0 && length > room;
        self.kept = self.kept.saturating_add(keep);
        (usize::try_from(keep).unwrap_or(usize::MAX), limited)
    }

    /// How much was kept.
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// What went through.
    pub fn total(&self) -> Total {
        let hash = || self.hasher.as_ref().map_or_else(|| blake3::hash(b""), |hasher| hasher.finalize());
        Total {
            stream: self.stream,
            bytes: self.bytes,
            kept: self.kept,
            blake3: self.hashed.then(|| hash().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_common::digest::Digest;

    #[test]
    fn a_command_s_output_is_kept_up_to_its_limit_and_hashed_whole() {
        let mut meter = Meter::new(Stream::Output, Kind::Exec, false, 10);
        assert_eq!(meter.pass(b"12345678"), (8, false));
        assert_eq!(meter.pass(b"9abc"), (2, true));
        assert_eq!(meter.pass(b"def"), (0, false));
        let total = meter.total();
        assert_eq!((total.bytes, total.kept), (15, 10));
        assert_eq!(total.blake3, Some(Digest::of(b"123456789abcdef")));
    }

    #[test]
    fn exactly_the_limit_is_not_over_it() {
        let mut meter = Meter::new(Stream::Output, Kind::Exec, false, 4);
        assert_eq!(meter.pass(b"1234"), (4, false));
        assert_eq!(meter.pass(b""), (0, false));
    }

    #[test]
    fn what_is_typed_is_kept_only_where_it_is_asked_for() {
        assert_eq!(Meter::new(Stream::Input, Kind::Terminal, false, 9).pass(b"secret"), (0, false));
        assert_eq!(Meter::new(Stream::Input, Kind::Terminal, true, 9).pass(b"secret"), (6, false));
    }

    #[test]
    fn what_is_picked_out_of_a_transfer_is_kept_up_to_the_limit_of_a_command_and_counted_once() {
        let mut meter = Meter::new(Stream::Output, Kind::Transfer, false, 4);
        assert_eq!(meter.pass(b"abcdef"), (0, false));
        assert_eq!(meter.pick(b"abc"), (3, false));
        assert_eq!(meter.pick(b"def"), (1, true));
        assert_eq!((meter.total().bytes, meter.total().kept), (6, 4));
        assert_eq!(Meter::new(Stream::Stderr, Kind::Transfer, false, 4).pass(b"abcdef"), (4, true));
        assert_eq!(Meter::new(Stream::Input, Kind::Transfer, false, 4).pick(b"abc"), (0, false));
        assert_eq!(Meter::new(Stream::Input, Kind::Transfer, true, 4).pick(b"abc"), (3, false));
    }

    #[test]
    fn no_content_of_a_transfer_or_a_forward_is_kept() {
        for kind in [Kind::Transfer, Kind::Forward] {
            let mut meter = Meter::new(Stream::Output, kind, true, 9);
            assert_eq!(meter.pass(b"file"), (0, false));
            assert_eq!(meter.total().blake3, Some(Digest::of(b"file")));
        }
    }
}
