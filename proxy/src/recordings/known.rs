//! What is known of a recording beside its file: whose it is, and how far it goes. A file
//! alone can't tell that its end was cut off, or that it is another one's or an older copy.

use tidegate_common::digest::Digest;
use tidegate_common::id::SessionId;
use tidegate_common::recording::{Alteration, Chain, Verdict};

/// What the audit log, or the gate that writes it now, knows of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Whose it must be.
    pub session: SessionId,
    /// Whether there was one for certain.
    pub begun: bool,
    /// How far it goes.
    pub end: Option<Ending>,
}

/// A place that a recording has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was sealed there.
    Sealed { frames: u64, link: Digest },
    /// It was on the disk up to there, and goes on.
    Written { frames: u64, link: Digest },
}

impl Known {
    /// Whether the file may be one with this chain so far.
    pub fn allows(&self, chain: &Chain) -> bool {
        match self.end {
            Some(Ending::Written { frames, link } | Ending::Sealed { frames, link }) => {
                chain.frames != frames || chain.link == link
            }
            None => true,
        }
    }

    /// What a file is that ends with this verdict by itself.
    pub fn judge(&self, verdict: Verdict) -> Verdict {
        let (whole, chain) = match verdict {
            Verdict::Whole(chain) => (true, chain),
            Verdict::Incomplete { chain, .. } => (false, chain),
            Verdict::Altered { .. } => return verdict,
        };
        let altered = |what| Verdict::Altered { what, chain };
        match self.end {
            _ if !self.allows(&chain) => altered(Alteration::OtherEnd),
            Some(Ending::Sealed { .. }) if !whole => altered(Alteration::Cut),
            Some(Ending::Sealed { frames, .. }) if chain.frames != frames => altered(Alteration::OtherEnd),
            Some(Ending::Written { frames, .. }) if chain.frames < frames => altered(Alteration::Cut),
            _ => verdict,
        }
    }
}
