//! What would be decided: at another moment, or after an edit. Nothing of it is carried out.

use std::net::IpAddr;

use jiff::Timestamp;
use tidegate_common::model::{Action, Claims, ResourceName, Snapshot, Written};
use tidegate_common::name::{CredentialName, UserName};
use tidegate_common::policy::{self, Decision, Effect, Explanation, Facts, Reached};

use super::{Access, AccessError, By, editors};

impl Access {
    /// Tells an administrator how a decision comes about.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn explain(
        &self,
        user: &UserName,
        target: &CredentialName,
        action: Action,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Explanation, AccessError> {
        let requests = self.requests_for(user, target).await?;
        let (snapshot, claims, seen) = (self.snapshot(), Claims::default(), self.seen(user, from));
        let (coming, claims, requests, live) = (seen.coming(), &claims, requests.as_slice(), &[][..]);
        let (login, origin, refused_code) = (None, from, None);
        let changes = &[][..];
        let facts = Facts {
            now,
            user,
            login,
            target,
            action,
            origin,
            coming,
            claims,
            refused_code,
            requests,
            live,
            changes,
        };
        let mut decided = policy::decide(&snapshot, &facts);
        let changes = match &decided {
            Decision::Needs(needs) => self.changes_for(needs, claims, requests, now).await?,
            _ => Vec::new(),
        };
        let facts = Facts { changes: &changes, ..facts };
        if !changes.is_empty() {
            decided = policy::decide(&snapshot, &facts);
        }
        let live = self.counted(&snapshot, &decided, user, target).await?;
        Ok(policy::explain(&snapshot, &Facts { live: &live, ..facts }))
    }

    /// What a user may reach who comes from there, each as `shown` shows it.
    pub fn reachable<T>(
        &self,
        user: &UserName,
        from: Option<IpAddr>,
        action: Action,
        now: Timestamp,
        mut shown: impl FnMut(&Snapshot, Reached<'_>) -> T,
    ) -> Vec<T> {
        let (snapshot, seen) = (self.snapshot(), self.seen(user, from));
        let reached = policy::reachable(&snapshot, user, &seen.coming(), action, now);
        reached.into_iter().map(|one| shown(&snapshot, one)).collect()
    }

    /// Tells what [`Self::apply`] would do, and who would gain and who would lose what by it; of each
    /// at most `most` by name. With `force` as [`Self::overwrite`] would.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn try_out(
        &self,
        text: &str,
        by: &By,
        most: usize,
        force: bool,
    ) -> Result<(Vec<(ResourceName, Written)>, Effect), AccessError> {
        let (resources, was) = self.0.store.resources_to_change().await?;
        self.take(&resources, was).await?;
        self.may_change(by)?;
        let since = if force { None } else { editors::said(text)? };
        let (before, text) = (self.snapshot(), text.to_owned());
        let tried = tokio::task::spawn_blocking(move || {
            let update = resources.update(&text).map_err(AccessError::Mistakes)?;
            let after = Snapshot::new(&update.whole).map_err(AccessError::Broken)?;
            Ok((update.written, policy::simulate(&before, &after, Timestamp::now(), most)))
        });
        let (written, effect) = tried.await.unwrap_or(Err(AccessError::Stopping))?;
        self.not_overtaken(since, was, &written).await?;
        Ok((written.iter().map(|(resource, did)| (resource.name(), *did)).collect(), effect))
    }
}
