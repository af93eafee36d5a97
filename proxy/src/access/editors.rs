//! Two editors at once: a text that was exported says of which revision its resources are, and
//! whoever applies it is told what was changed since, before they write over it.

use std::collections::HashSet;
use std::fmt;

use tidegate_common::model::{Resource, ResourceName, Resources, Written};
use tidegate_common::unseen::quoted;

use super::{Access, AccessError};
use crate::store::{Edit, Revision};

/// What a text says of itself; a comment, so that it stays TOML that anybody reads.
const HEAD: &str = "# revision ";

/// What every line begins with that is meant as one, after its `#`.
const WORD: &str = "revision";

/// As editors of some systems put it before a text, which stays TOML with it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// So many edits are told; more are counted.
const TOLD: usize = 20;

/// The line that goes above the resources of a revision.
pub(crate) fn head(revision: Revision) -> String {
    format!("{HEAD}{revision}\n")
}

/// Of which revision a text says it is. Above its first resource every line that is meant to say it
/// counts; further down those that stand as exports write them, where several were put together. Of
/// several the oldest. Most say nothing.
///
/// # Errors
/// When a line above is meant to say it and cannot be read: a text that says less than it was to say
/// would be written over what others changed.
pub(super) fn said(text: &str) -> Result<Option<Revision>, AccessError> {
    let lines = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).lines();
    let mut above = true;
    let meant = lines.filter_map(|line| {
        let trimmed = line.trim();
        above &= trimmed.is_empty() || trimmed.starts_with('#');
        if !above {
            return line.strip_prefix(HEAD)?.parse().ok().map(Ok);
        }
        let said = trimmed.trim_start_matches('#').trim_start();
        let (word, number) = said.split_at_checked(WORD.len())?;
        if !word.eq_ignore_ascii_case(WORD) {
            return None;
        }
        let number = number.trim();
        // A sign is none that was ever exported.
        let number = number.starts_with(|first: char| first.is_ascii_digit()).then_some(number);
        let revision = number.and_then(|number| number.parse::<Revision>().ok());
        match revision {
            Some(revision) => Some(Ok(revision)),
            // A heading of somebody's own.
            None if word != WORD => None,
            None => Some(Err(AccessError::Revision(quoted(trimmed, 60)))),
        }
    });
    Ok(meant.collect::<Result<Vec<_>, _>>()?.into_iter().min())
}

/// What of a text was changed since it was exported.
#[derive(Debug)]
pub struct Overtaken {
    since: Revision,
    edits: Vec<Edit>,
}

impl fmt::Display for Overtaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, edits } = self;
        write!(
            f,
            "nothing was applied: the text is of revision {since}, and what it writes was changed since:"
        )?;
        for Edit { name, editor, at, deleted } in edits.iter().take(TOLD) {
            let did = if *deleted { "deleted" } else { "changed" };
            write!(f, "\n  {name}: {did} by {editor} at {at:.0}")?;
        }
        if let Some(more @ 1..) = edits.len().checked_sub(TOLD) {
            write!(f, "\n  {more} more")?;
        }
        f.write_str("\nexport again and make the edit there, or apply with --force")
    }
}

impl Access {
    /// Every resource, with the revision that they are at least of.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn resources_of_revision(&self) -> Result<(Resources, Revision), AccessError> {
        Ok(self.0.store.resources_to_change().await?)
    }

    /// Refuses an edit of what was changed since the text it was made in was exported, and one of a
    /// revision that this gate has not come to.
    pub(super) async fn not_overtaken(
        &self,
        since: Option<Revision>,
        now: Revision,
        written: &[(Resource, Written)],
    ) -> Result<(), AccessError> {
        let Some(since) = since else { return Ok(()) };
        // A gate that has nothing yet takes what another one exported.
        if since > now && now != Revision::default() {
            return Err(AccessError::Ahead { since, now });
        }
        if since >= now {
            return Ok(());
        }
        let touched = written.iter().filter(|(_, did)| *did != Written::Unchanged);
        let touched: HashSet<ResourceName> = touched.map(|(resource, _)| resource.name()).collect();
        if touched.is_empty() {
            return Ok(());
        }
        let edits = self.0.store.edits_since(since).await?;
        let edits: Vec<_> = edits.into_iter().filter(|edit| touched.contains(&edit.name)).collect();
        if edits.is_empty() { Ok(()) } else { Err(AccessError::Overtaken(Overtaken { since, edits })) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_its_revision_above_its_first_resource_or_not_at_all() {
        let revision: Revision = "42".parse().unwrap();
        let whole = format!("{}[[user]]\nname = \"a\"\n", head(revision));
        assert_eq!(said(&whole).unwrap(), Some(revision));
        assert_eq!(said(&format!("\u{feff}{whole}")).unwrap(), Some(revision), "a byte order mark");
        for text in [
            "\n# of the office\r\n# revision 42\r\n[[user]]\n",
            "  # revision  42 \n",
            "#revision 42\n",
            "#\trevision\t42\n",
            "## Revision 42\n",
            "# revision 43\n# revision 42\n",
            "# revision 43\n[[user]]\nname = \"a\"\n# revision 42\n[[user]]\nname = \"b\"\n",
        ] {
            assert_eq!(said(text).unwrap(), Some(revision), "{text}");
        }
        for text in [
            "",
            "\u{feff}",
            "[[user]]\n  # revision 42\n",
            "[[user]]\n# revision x\n",
            "# of revision 42\n",
            "# Revision history\n",
        ] {
            assert_eq!(said(text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn a_line_that_is_meant_as_a_revision_and_is_none_is_refused() {
        for (text, line) in [
            ("# revision 42 x\n[[user]]\n", "# revision 42 x"),
            ("\u{feff}#revision x\n", "#revision x"),
            ("# revision\n", "# revision"),
            ("# revision 4 2\n# revision 42\n", "# revision 4 2"),
            ("# revision 42\n# revision: 42\n", "# revision: 42"),
            ("# revision -1\n", "# revision -1"),
            ("# revision +42\n", "# revision +42"),
            ("# revision x\n", "# revision x"),
            ("# revision 99999999999999999999\n", "# revision 99999999999999999999"),
            (&format!("# revision {}\n", "x".repeat(5000)), &format!("# revision {}…", "x".repeat(49))),
        ] {
            let refused = said(text).unwrap_err().to_string();
            let sentence = format!("nothing was applied: `{line}` says no revision; ");
            assert!(refused.starts_with(&sentence), "{refused}");
        }
    }
}
