//! Encoding on a thread of its own, while the next frame is drawn. A few frames are on their
//! way at once, and no more are ever allocated.

use std::fs::File;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use ffmpeg_next::{format, frame};

use super::{EncodeError, Settings, Writer};
use crate::draw::planes::Planes;
use crate::render::Sink;

/// Frames on their way.
const FRAMES: usize = 3;

struct Shot {
    at: u64,
    key: bool,
    frame: frame::Video,
}

/// Takes frames for the thread that encodes.
pub struct Encoding {
    shots: SyncSender<Shot>,
    used: Receiver<frame::Video>,
    /// None once it was asked why it is gone.
    thread: Option<JoinHandle<Result<Writer, EncodeError>>>,
    /// Times that are to be jumped to, the next one last.
    keys: Vec<u64>,
    /// Frames so far.
    pub frames: u64,
}

/// Begins a file, and the thread that encodes into it.
///
/// # Errors
/// When the file cannot be begun.
pub fn start(file: File, settings: &Settings) -> Result<Encoding, EncodeError> {
    let mut writer = Writer::open(file, settings)?;
    let (shots, taken) = sync_channel::<Shot>(FRAMES);
    let (back, used): (Sender<frame::Video>, _) = channel();
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    for _ in 0..FRAMES {
        let frame = frame::Video::new(format::Pixel::YUV420P, side(settings.width), side(settings.height));
        back.send(frame).map_err(|_| EncodeError::Gone)?;
    }
    let mut keys: Vec<u64> = settings.marks.iter().map(|mark| mark.at).collect();
    keys.reverse();
    let thread = std::thread::spawn(move || {
        for mut shot in taken {
            writer.frame(shot.at, shot.key, &mut shot.frame)?;
            // Whoever draws may be gone already.
            let _ = back.send(shot.frame);
        }
        Ok(writer)
    });
    Ok(Encoding { shots, used, thread: Some(thread), keys, frames: 0 })
}

impl Encoding {
    /// Ends the file after `length` milliseconds.
    ///
    /// # Errors
    /// What went wrong with a frame, or with the end.
    pub fn finish(self, length: u64) -> Result<u64, EncodeError> {
        drop(self.shots);
        let thread = self.thread.ok_or(EncodeError::Gone)?;
        thread.join().map_err(|_| EncodeError::Gone)??.finish(length)?;
        Ok(self.frames)
    }

    /// Why the thread that encodes takes no more.
    fn cause(&mut self) -> EncodeError {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => error,
            _ => EncodeError::Gone,
        }
    }
}

impl Sink<Planes> for Encoding {
    type Error = EncodeError;

    fn frame(&mut self, at: u64, surface: &Planes) -> Result<(), EncodeError> {
        let Ok(mut frame) = self.used.recv() else { return Err(self.cause()) };
        for (plane, part) in surface.planes().into_iter().enumerate() {
            let width = part.width();
            let stride = frame.stride(plane);
            let rows = frame.data_mut(plane).chunks_exact_mut(stride.max(1));
            for (to, from) in rows.zip(part.samples().chunks_exact(width.max(1))) {
                if let Some(to) = to.get_mut(..width) {
                    to.copy_from_slice(from);
                }
            }
        }
        let mut key = false;
        while self.keys.last().is_some_and(|next| *next <= at) {
            self.keys.pop();
            key = true;
        }
        self.frames += 1;
        let sent = self.shots.send(Shot { at, key, frame });
        sent.map_err(|_| self.cause())
    }
}
