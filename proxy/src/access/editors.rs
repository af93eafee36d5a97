//! Two editors at once: a text that was exported says of which revision its resources are, and
//! whoever applies it is told what was changed since, before they write over it.

use std::collections::HashSet;
use std::fmt;

use tidegate_common::model::{Resource, ResourceName, Resources, Written};

use super::{Access, AccessError};
use crate::store::{Edit, Revision};

/// What a text says of itself; a comment, so that it stays TOML that anybody reads.
const HEAD: &str = "# revision ";

/// So many edits are told; more are counted.
const TOLD: usize = 20;

/// The line that goes above the resources of a revision.
pub(crate) fn head(revision: Revision) -> String {
    format!("{HEAD}{revision}\n")
}

/// Of which revision a text says it is, above its first resource. Most say nothing.
pub(crate) fn said(text: &str) -> Option<Revision> {
    let lines = text.lines().map(str::trim);
    let mut above = lines.take_while(|line| line.is_empty() || line.starts_with('#'));
    above.find_map(|line| line.strip_prefix(HEAD)?.trim().parse().ok())
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

    /// Refuses an edit of what was changed since the text it was made in was exported.
    pub(super) async fn not_overtaken(
        &self,
        since: Option<Revision>,
        now: Revision,
        written: &[(Resource, Written)],
    ) -> Result<(), AccessError> {
        let Some(since) = since.filter(|since| *since < now) else { return Ok(()) };
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
        assert_eq!(said(&format!("{}[[user]]\nname = \"a\"\n", head(revision))), Some(revision));
        for text in ["\n# of the office\r\n# revision 42\r\n[[user]]\n", "# revision x\n  # revision  42 \n"]
        {
            assert_eq!(said(text), Some(revision), "{text}");
        }
        for text in ["", "[[user]]\n# revision 42\n", "# revision\n", "# revision 4 2\n", "# Revision 42\n"] {
            assert_eq!(said(text), None, "{text}");
        }
    }
}
