//! What the confined part tells the one that started it, a JSON object a line; and what
//! `--progress json` shows.

use serde::{Deserialize, Serialize};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Message {
    /// How far it is: `part` goes from 0.0 to 1.0.
    Progress {
        part: f64,
        /// Seconds of work that are left, as far as can be told.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        left: Option<f64>,
        /// Frames so far.
        frames: u64,
    },
    /// Something that whoever uses the video should know.
    Note { text: String },
    /// There will be no video.
    Failed { text: String },
    /// The file is whole.
    Done { frames: u64, milliseconds: u64, width: usize, height: usize, standing: String },
}

impl Message {
    /// The line, with its end.
    #[must_use]
    pub fn line(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("{text}\n")
    }
}
