//! What relays have handed in and the disk does not have yet. A push is a copy; all
//! else is done by whoever takes the batch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_common::recording::{Control, Stream};

use super::RecordError;

/// The most items of a batch, whatever their bytes: a hostile side may send single ones.
const MAX_ITEMS: usize = 32 * 1024;

/// Something that happened, `at` milliseconds after the start.
#[derive(Debug)]
pub enum Item {
    /// The next `length` bytes of the batch.
    Data { at: u64, channel: u32, stream: Stream, length: usize },
    /// Something beside the bytes.
    Control { at: u64, control: Box<Control> },
}

/// Items in order, and the bytes of them.
#[derive(Debug, Default)]
pub struct Batch {
    pub items: Vec<Item>,
    pub bytes: Vec<u8>,
}

/// What became of a push.
#[derive(Debug)]
#[must_use]
pub enum Pushed {
    /// It is in. `ready`: it is due sooner now.
    Taken { ready: bool },
    /// It is in, and the first since the last batch: somebody must come for it.
    First,
    /// It is not in: wait for room.
    Full,
    /// It never will be.
    Failed(Arc<RecordError>),
    /// The recording has its end.
    Closed,
}

/// The state that relays and the flusher share.
#[derive(Debug, Default)]
pub struct Pending {
    batch: Batch,
    /// What the batch's controls weigh, in bytes.
    controls: usize,
    /// When the first item of the batch came.
    since: Option<Instant>,
    /// Whether a flusher lives.
    flushing: bool,
    closed: bool,
    /// Whether somebody waits for room: then there is no waiting for more.
    pressed: bool,
    failure: Option<Arc<RecordError>>,
    /// How many read what is written as it comes.
    pub followers: usize,
}

/// A batch of this many bytes makes a frame.
const READY: usize = tidegate_common::recording::FULL_FRAME;

/// How long the first byte of a frame waits for others.
const FRAME_AGE: Duration = Duration::from_secs(1);
/// How long it waits while somebody reads what is written.
const EAGER_AGE: Duration = Duration::from_millis(50);
/// How long one of a full frame waits: when much comes, several frames go with one write.
const FULL_AGE: Duration = Duration::from_millis(20);

impl Pending {
    /// Bytes of a channel. Those of one stream within one millisecond become one item.
    pub fn data(&mut self, at: u64, channel: u32, stream: Stream, bytes: &[u8], bound: usize) -> Pushed {
        if let Some(refusal) = self.refusal(bytes.len(), bound) {
            return refusal;
        }
        let before = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(bytes);
        match self.batch.items.last_mut() {
            Some(Item::Data { at: last, channel: same, stream: also, length })
                if (*last, *same, *also) == (at, channel, stream) =>
            {
                *length += bytes.len();
            }
            _ => self.batch.items.push(Item::Data { at, channel, stream, length: bytes.len() }),
        }
        self.pushed(before < READY && self.batch.bytes.len() >= READY)
    }

    /// Something beside the bytes.
    pub fn control(&mut self, at: u64, control: Control, bound: usize) -> Pushed {
        let weight = weight(&control);
        if let Some(refusal) = self.refusal(weight, bound) {
            return refusal;
        }
        self.controls += weight;
        self.batch.items.push(Item::Control { at, control: Box::new(control) });
        self.pushed(false)
    }

    /// Takes what is there, and leaves `spare` in its place for what comes.
    pub fn take(&mut self, spare: Batch) -> Batch {
        self.since = None;
        self.pressed = false;
        self.controls = 0;
        std::mem::replace(&mut self.batch, spare)
    }

    /// When the batch is to be taken, however much it is by then; `None` while there is none.
    pub fn due(&self) -> Option<Instant> {
        let age = match self.batch.bytes.len() {
            _ if self.closed || self.pressed => Duration::ZERO,
            READY.. => FULL_AGE,
            _ if self.followers > 0 => EAGER_AGE,
            _ => FRAME_AGE,
        };
        self.since.map(|since| since + age)
    }

    /// The flusher asks whether it may go: only when nothing is left. Buffers go with it.
    pub fn may_rest(&mut self) -> bool {
        self.flushing = !self.batch.items.is_empty() && self.failure.is_none();
        if !self.flushing {
            self.batch = Batch::default();
        }
        !self.flushing
    }

    /// Whether nothing is held, not even memory.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.batch.items.capacity() == 0 && self.batch.bytes.capacity() == 0
    }

    /// Whether a flusher lives.
    pub fn flushing(&self) -> bool {
        self.flushing
    }

    /// The last item, whatever the bound. Nothing more is taken after it.
    pub fn end(&mut self, at: u64, control: Control) -> Pushed {
        if let Some(refusal @ (Pushed::Failed(_) | Pushed::Closed)) = self.refusal(0, usize::MAX) {
            return refusal;
        }
        self.closed = true;
        self.batch.items.push(Item::Control { at, control: Box::new(control) });
        self.pushed(true)
    }

    /// Nothing more is taken, because of this. What is pending is lost, and freed.
    pub fn fail(&mut self, failure: Arc<RecordError>) {
        self.batch = Batch::default();
        self.failure.get_or_insert(failure);
    }

    /// Why it failed.
    pub fn failure(&self) -> Option<Arc<RecordError>> {
        self.failure.clone()
    }

    fn refusal(&mut self, more: usize, bound: usize) -> Option<Pushed> {
        if let Some(failure) = &self.failure {
            return Some(Pushed::Failed(failure.clone()));
        }
        if self.closed {
            return Some(Pushed::Closed);
        }
        let there = self.batch.bytes.len().saturating_add(self.controls);
        let over = there > 0 && there.saturating_add(more) > bound;
        let full = over || self.batch.items.len() >= MAX_ITEMS;
        self.pressed |= full;
        full.then_some(Pushed::Full)
    }

    fn pushed(&mut self, ready: bool) -> Pushed {
        self.since.get_or_insert_with(Instant::now);
        if self.flushing {
            return Pushed::Taken { ready };
        }
        self.flushing = true;
        Pushed::First
    }
}

/// About what a control takes in memory; its texts are bounded by whoever made it.
fn weight(control: &Control) -> usize {
    let text = match control {
        Control::Opened { command, term, .. } => {
            command.as_ref().map_or(0, String::len) + term.as_ref().map_or(0, String::len)
        }
        Control::Marker { label } => label.len(),
        Control::Closed { totals, .. } => totals.len() * 128,
        Control::Resized { .. } | Control::Limited { .. } | Control::Ended { .. } => 0,
    };
    256 + text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_alone_are_bounded_too() {
        let mut pending = Pending::default();
        let marker = || Control::Marker { label: "x".repeat(4096) };
        let taken =
            (0..1000).take_while(|_| !matches!(pending.control(0, marker(), 64 * 1024), Pushed::Full));
        assert_eq!(taken.count(), 15);
        assert!(pending.due().unwrap() <= Instant::now(), "somebody waits");
    }

    #[test]
    fn bytes_of_one_stream_within_a_millisecond_are_one_item() {
        let mut pending = Pending::default();
        for (at, stream) in
            [(1, Stream::Output), (1, Stream::Output), (2, Stream::Output), (2, Stream::Stderr)]
        {
            let _ = pending.data(at, 0, stream, b"ab", 1024);
        }
        let batch = pending.take(Batch::default());
        assert_eq!((batch.items.len(), batch.bytes.len()), (3, 8));
    }
}
