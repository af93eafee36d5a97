//! Characters that are cut in two by the pieces that bytes come in.

/// Holds back the start of a character whose end has not come, so that a parser sees each
/// one whole. What can be the start of none is passed on as it is.
#[derive(Debug, Default)]
pub struct Unfinished {
    bytes: [u8; 4],
    length: usize,
}

impl Unfinished {
    /// Gives all that is whole of what was held back and of `bytes` to `then`.
    pub fn join(&mut self, mut bytes: &[u8], mut then: impl FnMut(&[u8])) {
        while self.length > 0 {
            let Some((&next, rest)) = bytes.split_first() else { return };
            if next & 0b1100_0000 != 0b1000_0000 {
                break;
            }
            self.push(next);
            bytes = rest;
            if self.is_over() {
                break;
            }
        }
        if self.length > 0 {
            then(self.bytes.get(..self.length).unwrap_or_default());
            self.length = 0;
        }
        let tail = tail(bytes);
        let (whole, tail) = bytes.split_at_checked(bytes.len() - tail).unwrap_or((bytes, &[]));
        if !whole.is_empty() {
            then(whole);
        }
        tail.iter().for_each(|byte| self.push(*byte));
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Whether no further byte belongs to it.
    fn is_over(&self) -> bool {
        let held = self.bytes.get(..self.length).unwrap_or_default();
        !matches!(std::str::from_utf8(held), Err(error) if error.error_len().is_none())
    }
}

/// How many bytes at the end are the start of a character.
fn tail(bytes: &[u8]) -> usize {
    let most = bytes.len().min(3);
    (1..=most)
        .find(|length| {
            let end = bytes.get(bytes.len() - length..).unwrap_or_default();
            let leads = end.first().is_some_and(|byte| *byte >= 0xc0);
            leads && matches!(std::str::from_utf8(end), Err(error) if error.error_len().is_none())
        })
        .unwrap_or(0)
}
