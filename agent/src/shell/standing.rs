//! How the link stands, in a small file for `tidegate-agent doctor`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::paths::Paths;

/// Linked, or not, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Standing {
    Linked { proxy: String, since: Timestamp },
    Lost { proxy: String, since: Timestamp, why: String },
}

/// Writes it; it means nothing after a reboot, and nothing depends on it. A link that
/// is not there has been away since it was lost, not since the last attempt.
pub fn keep(paths: &Paths, standing: Standing) {
    let standing = match (read(paths), standing) {
        (Some(Standing::Lost { since, .. }), Standing::Lost { proxy, why, .. }) => {
            Standing::Lost { proxy, since, why }
        }
        (_, standing) => standing,
    };
    let written = serde_json::to_vec(&standing).map_err(std::io::Error::other).and_then(|text| {
        let fresh = paths.link().with_extension("new");
        std::fs::write(&fresh, text)?;
        std::fs::rename(&fresh, paths.link())
    });
    if let Err(error) = written {
        tracing::debug!(%error, "how the link stands could not be kept");
    }
}

/// Reads it; `None` where the agent has not run since the boot.
#[must_use]
pub fn read(paths: &Paths) -> Option<Standing> {
    serde_json::from_slice(&std::fs::read(paths.link()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Scratch;

    #[test]
    fn what_was_kept_is_read_and_nothing_where_nothing_was() {
        let scratch = Scratch::new();
        assert_eq!(read(scratch.paths()), None);
        let (proxy, since) = ("gate:7443".to_owned(), Timestamp::UNIX_EPOCH);
        let lost = Standing::Lost { proxy, since, why: "it is away".to_owned() };
        keep(scratch.paths(), lost.clone());
        assert_eq!(read(scratch.paths()), Some(lost.clone()));
        let again = Standing::Lost {
            proxy: "gate:7443".to_owned(),
            since: Timestamp::now(),
            why: "it is away".to_owned(),
        };
        keep(scratch.paths(), again);
        assert_eq!(read(scratch.paths()), Some(lost), "it has been away since the first time");
    }
}
