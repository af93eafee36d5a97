//! By which channels users want to be told: the one thing of their resource that they choose
//! themselves.

use tidegate_common::audit::{Event, Verb};
use tidegate_common::model::{Kind, Resource, ResourceName, Snapshot, User};
use tidegate_common::name::UserName;
use tidegate_common::notice::{Channel, NoticeKind};

use super::{Access, AccessError, By, Change};
use crate::turn::Turn;

impl Access {
    /// Has a user told of a kind by these channels; by the usual one where none are given.
    ///
    /// # Errors
    /// When the user has no address for one of them, or nothing could be written.
    pub async fn choose_channels(
        &self,
        user: &UserName,
        kind: NoticeKind,
        channels: Option<&[Channel]>,
        by: &By,
    ) -> Result<User, AccessError> {
        let mut turn = Turn::take(&self.0.changing).await;
        loop {
            let done = self.choose_once(user, kind, channels, by).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn choose_once(
        &self,
        name: &UserName,
        kind: NoticeKind,
        channels: Option<&[Channel]>,
        by: &By,
    ) -> Result<User, AccessError> {
        let (mut resources, was) = self.0.store.resources_to_change().await?;
        self.take(&resources, was).await?;
        self.is_there(by)?;
        let resource = ResourceName { kind: Kind::User, name: name.to_string() };
        let Some(user) = resources.users.iter_mut().find(|user| user.name == *name) else {
            return Err(AccessError::missing(&resources, &resource));
        };
        let before = user.notify.clone();
        user.notify.choose(kind, channels);
        let user = user.clone();
        if user.notify == before {
            return Ok(user);
        }
        let snapshot = Snapshot::new(&resources).map_err(AccessError::Choice)?;
        let (kind, name) = (resource.kind, resource.name.as_str().into());
        let events = vec![by.did(Event::ResourceApplied { kind, name, verb: Verb::Changed }).into()];
        let (put, remove, accesses) = (vec![Resource::User(Box::new(user.clone()))], Vec::new(), None);
        self.commit(Change { put, remove, accesses, over: Vec::new(), events, snapshot, was }, by).await?;
        Ok(user)
    }
}
