//! What a decision depends on that the settings and the store have.

use jiff::Timestamp;
use tidegate_common::change::Change;
use tidegate_common::model::{Claims, Request, Snapshot, Text};
use tidegate_common::name::{CredentialName, UserName};
use tidegate_common::policy::{self, Decision, EndReason, LiveSession, Needs, Permit};

use super::Access;
use super::basis::{self, Basis};
use crate::governance::{Checked, Codes};
use crate::store::{RequestFilter, StoreError};

impl Access {
    /// Holds governance codes against these from now on; the first call counts.
    #[must_use]
    pub fn with_codes(self, codes: Codes) -> Self {
        self.0.codes.get_or_init(|| codes);
        self
    }

    /// What comes of a governance code. Somebody may be asked, which takes its time: before
    /// anything is locked, and before the moment that is decided for.
    pub(crate) async fn checked(&self, code: Option<&Text>) -> Checked {
        match (self.0.codes.get(), code) {
            (Some(codes), Some(code)) => codes.check(code).await,
            _ => Checked::Good,
        }
    }

    /// The sessions that count where the group that decided bounds them.
    pub(super) async fn counted(
        &self,
        snapshot: &Snapshot,
        decided: &Decision,
        user: &UserName,
        target: &CredentialName,
    ) -> Result<Vec<LiveSession>, StoreError> {
        let group = match decided {
            Decision::Permitted(permit) => permit.group(),
            Decision::Needs(needs) => &needs.group,
            Decision::Refused(_) => return Ok(Vec::new()),
        };
        let bounds =
            snapshot.governing(group).is_some_and(|group| !group.conditions.sessions_at_once.is_none());
        if bounds { self.0.store.sessions_at_once(user, target).await } else { Ok(Vec::new()) }
    }

    pub(super) async fn requests_for(
        &self,
        user: &UserName,
        target: &CredentialName,
    ) -> Result<Vec<Request>, StoreError> {
        let filter = RequestFilter {
            user: Some(user.clone()),
            target: Some(target.clone()),
            states: &["pending", "approved"],
            limit: 100,
            ..RequestFilter::default()
        };
        self.0.store.requests(&filter).await
    }

    /// Whether a permit still holds, on these requests and changes.
    pub(super) fn rechecked(
        &self,
        permit: &Permit,
        now: Timestamp,
        requests: &[Request],
        changes: &[Change],
    ) -> Result<Permit, EndReason> {
        let seen = self.seen(permit.user(), permit.origin());
        policy::recheck(&self.snapshot(), permit, now, seen.coming(), requests, changes)
    }

    /// The request that a live session rests on and those that gave it more time, where the rules alone
    /// approved it: what people approved is there only.
    ///
    /// # Errors
    /// As [`basis::keep`].
    pub(super) async fn with_more_time(
        &self,
        permit: &Permit,
        basis: &mut Basis,
    ) -> Result<Option<Vec<Request>>, EndReason> {
        let first = basis.requests.first();
        let by_rules = first.filter(|first| !first.has_approval() && !first.is_emergency());
        let Some(first) = by_rules.cloned() else { return Ok(None) };
        let filter = RequestFilter {
            user: Some(first.user.clone()),
            target: Some(permit.target().clone()),
            states: &["approved"],
            since: Some(first.created),
            ..RequestFilter::default()
        };
        let read = self.0.store.requests(&filter).await.map(|mut read| {
            read.retain(|request| request.extends == Some(first.id));
            read
        });
        basis.stale |= basis::keep(read, &mut basis.more_time, self.0.store.is_shared())?;
        Ok(Some(std::iter::once(first).chain(basis.more_time.iter().cloned()).collect()))
    }

    /// The changes that can make a difference where one is asked for: those that are open, and
    /// those that are named.
    pub(crate) async fn changes_for(
        &self,
        needs: &Needs,
        claims: &Claims,
        requests: &[Request],
        now: Timestamp,
    ) -> Result<Vec<Change>, StoreError> {
        if needs.change.is_none() {
            return Ok(Vec::new());
        }
        let claims = std::iter::once(claims).chain(requests.iter().map(|request| &request.claims));
        let named: Vec<_> = claims.filter_map(|claims| claims.change.clone()).collect();
        self.0.store.changes_for(&needs.group, &named, now).await
    }
}
