//! Combining characters. Most texts use few sequences of them, so each is kept once,
//! and a cell says which: a screen full of them takes no more memory than an empty one.

use std::collections::HashMap;

/// The most combining characters that a cell keeps.
pub const MAX_MARKS: usize = 8;

/// The most sequences that are kept at once.
const MOST: usize = 8 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The first one is place 1.
    sequences: Vec<Box<[char]>>,
    places: HashMap<Box<[char]>, u16>,
    /// Sequences that found no place since the last clean-up.
    refused: usize,
}

impl Marks {
    pub fn get(&self, place: u16) -> &[char] {
        let index = usize::from(place).checked_sub(1);
        index.and_then(|index| self.sequences.get(index)).map_or(&[], |marks| marks)
    }

    /// The place of what is at `place` and one more; the same one where there is no room.
    pub fn with(&mut self, place: u16, mark: char) -> u16 {
        let before = self.get(place);
        if before.len() >= MAX_MARKS {
            return place;
        }
        let mut marks = before.to_vec();
        marks.push(mark);
        if let Some(known) = self.places.get(marks.as_slice()) {
            return *known;
        }
        let next = u16::try_from(self.sequences.len() + 1).unwrap_or(u16::MAX);
        if self.sequences.len() >= MOST {
            self.refused += 1;
            return place;
        }
        let marks: Box<[char]> = marks.into();
        self.sequences.push(marks.clone());
        self.places.insert(marks, next);
        next
    }

    /// Whether it is worth to look which ones are still on the screen: it costs as much as
    /// all cells, so that it comes seldom.
    pub fn is_crowded(&self) -> bool {
        self.refused >= MOST
    }

    /// Keeps only what `renew` is asked for: the caller goes through all cells with the
    /// function that it gives, which says each place anew.
    pub fn clean(&mut self, walk: impl FnOnce(&mut dyn FnMut(&mut u16))) {
        let old = std::mem::take(self);
        let mut renew = |place: &mut u16| {
            if *place != 0 {
                let mut new = 0;
                for mark in old.get(*place) {
                    new = self.with(new, *mark);
                }
                *place = new;
            }
        };
        walk(&mut renew);
        self.refused = 0;
    }
}
