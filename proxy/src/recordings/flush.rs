//! Brings what is pending to the disk. A flusher lives while something is pending:
//! it waits until it is due, writes all there is, and goes when
//! nothing is left. Several frames of one batch share one write and one fdatasync.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use tidegate_common::recording::{Cast, Chain, FULL_FRAME, MAX_PIECE, Packer};

use super::RecordError;
use super::pending::{Batch, Item};
use super::recorder::Inner;

/// The file and what is known of its end.
pub struct Writing {
    pub file: File,
    pub cast: Cast,
    pub chain: Chain,
    /// Bytes in the file.
    pub length: u64,
}

/// Starts a flusher, as [`super::pending::Pushed::First`] asks for.
pub fn spawn(recorder: &Arc<Inner>) {
    tokio::spawn(run(recorder.clone()));
}

async fn run(recorder: Arc<Inner>) {
    let mut spare = Batch::default();
    loop {
        due(&recorder).await;
        let Ok(slot) = recorder.store.slots.acquire().await else {
            return;
        };
        let batch = recorder.pending().take(std::mem::take(&mut spare));
        recorder.room.notify_waiters();
        let worker = recorder.clone();
        let written = tokio::task::spawn_blocking(move || {
            let done = worker.writing().append(&worker, &batch);
            (batch, done)
        });
        match written.await {
            Ok((mut batch, Ok(()))) => {
                batch.items.clear();
                batch.bytes.clear();
                spare = batch;
            }
            Ok((_, Err(error))) => recorder.fail(error),
            Err(panic) => {
                let source = std::io::Error::other(panic);
                recorder.fail(RecordError::Write { path: recorder.path.clone(), source });
            }
        }
        drop(slot);
        if recorder.pending().may_rest() {
            recorder.writing().cast.rest();
            recorder.rested.notify_waiters();
            return;
        }
    }
}

/// Waits until what is pending is due.
async fn due(recorder: &Inner) {
    loop {
        let due = recorder.pending().due();
        let Some(due) = due.filter(|due| *due > Instant::now()) else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => return,
            () = recorder.wake.notified() => {}
        }
    }
}

impl Writing {
    /// Writes a batch as frames and returns when they are on the disk.
    fn append(&mut self, recorder: &Inner, batch: &Batch) -> Result<(), RecordError> {
        let failed = |source| RecordError::Write { path: recorder.path.clone(), source };
        let mut packer = recorder.store.packer(batch.bytes.len()).map_err(failed)?;
        let mut out = Vec::new();
        let mut chain = self.chain;
        let mut bytes = batch.bytes.as_slice();
        for item in &batch.items {
            match item {
                Item::Data { at, channel, stream, length } => {
                    let (mine, rest) = bytes.split_at_checked(*length).unwrap_or((bytes, &[]));
                    bytes = rest;
                    for piece in mine.chunks(MAX_PIECE) {
                        self.cast.data(*at, *channel, *stream, piece);
                        self.frame(FULL_FRAME, &mut chain, &mut packer, &mut out).map_err(failed)?;
                    }
                }
                Item::Control { at, control } => {
                    self.cast.control(*at, control);
                    self.frame(FULL_FRAME, &mut chain, &mut packer, &mut out).map_err(failed)?;
                }
            }
        }
        self.frame(1, &mut chain, &mut packer, &mut out).map_err(failed)?;
        recorder.store.give_back(packer);
        recorder.store.settings.floors.may_write(out.len())?;
        self.write(&out).map_err(failed)?;
        self.chain = chain;
        recorder.written.send_replace(());
        recorder.growth().add(out.len(), Instant::now());
        recorder.store.relieve();
        Ok(())
    }

    /// Closes a frame when it has `least` bytes.
    fn frame(
        &mut self,
        least: usize,
        chain: &mut Chain,
        packer: &mut Packer,
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        if self.cast.len() < least {
            return Ok(());
        }
        self.cast.take(|text| chain.frame(packer, text, out))
    }

    /// Appends to the file, durably.
    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}
