//! Tidegate's recordings, and any asciicast, as video.
//!
//! # Two processes
//! `app` opens the recording and the file to be made, and starts the program once more with
//! nothing but these two. That one (`worker`) confines itself and reads what a stranger may
//! have made; it tells `app` by messages how far it is. `app` gives the file its name when it
//! is whole.
//!
//! # From bytes to frames
//! `survey` reads all of the recording once, for what must be known before the first frame.
//! Then `render` decides by `timeline` which screens are frames; `draw` draws the cells that
//! changed, as tiles that were made once; `encode`, `gif` or `png` take the frames.

#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod app;
pub mod cli;
pub mod confine;
pub mod draw;
pub mod encode;
pub mod fonts;
mod gif;
pub mod message;
mod metadata;
mod output;
pub mod png;
mod proof;
pub mod render;
pub mod say;
pub mod survey;
pub mod timeline;
pub mod title;
mod worker;
