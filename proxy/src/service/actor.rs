//! Who asks: what they are and from where. What they may is checked in this room alone.

use std::net::IpAddr;
use std::sync::Arc;

use tidegate_common::audit::{Actor as AuditActor, CommandText};
use tidegate_common::model::{Role, Snapshot};
use tidegate_common::name::UserName;
use tidegate_common::policy::{Login, Proved};

use super::{Failure, Operation};
use crate::access::By;

/// Who asks for an operation.
#[derive(Debug, Clone)]
pub struct Actor {
    who: Who,
    origin: Option<IpAddr>,
    /// What they have asked for in their own words, where the way in has such.
    words: Option<CommandText>,
}

#[derive(Debug, Clone)]
enum Who {
    /// Whoever may use the local socket.
    LocalAdmin,
    /// An authenticated user.
    User {
        name: UserName,
        roles: Vec<Role>,
        /// What they logged in with; none in tests of what they may.
        login: Option<Arc<Login>>,
    },
}

impl Actor {
    /// A user who has logged in from an address, with the roles they have now.
    #[must_use]
    pub fn proved(snapshot: &Snapshot, proved: &Proved, origin: IpAddr) -> Self {
        let mut actor = Self::user(snapshot, &proved.user, origin);
        if let Who::User { login, .. } = &mut actor.who {
            *login = Some(Arc::clone(&proved.login));
        }
        actor
    }

    pub(super) fn user(snapshot: &Snapshot, name: &UserName, origin: IpAddr) -> Self {
        let user = snapshot.user(name).filter(|user| user.enabled);
        let roles = user.map(|user| user.roles.clone()).unwrap_or_default();
        Self { who: Who::User { name: name.clone(), roles, login: None }, origin: Some(origin), words: None }
    }

    /// Whoever may use the local socket.
    #[must_use]
    pub fn local_admin() -> Self {
        Self { who: Who::LocalAdmin, origin: None, words: None }
    }

    /// The same, asking in these words: so the audit log has what they asked for.
    #[must_use]
    pub fn in_words(self, words: CommandText) -> Self {
        Self { words: Some(words), ..self }
    }

    /// What they asked for, for the audit log.
    pub(super) fn asked(&self, operation: Operation) -> CommandText {
        self.words.clone().unwrap_or_else(|| CommandText::new(operation.word()))
    }

    /// The same user with the roles that they have now.
    pub(super) fn now(&self, snapshot: &Snapshot) -> Self {
        let mut now = self.clone();
        if let Who::User { name, roles, .. } = &mut now.who {
            let user = snapshot.user(name).filter(|user| user.enabled);
            *roles = user.map(|user| user.roles.clone()).unwrap_or_default();
        }
        now
    }

    /// The user, unless it is the local administrator.
    #[must_use]
    pub fn name(&self) -> Option<&UserName> {
        match &self.who {
            Who::LocalAdmin => None,
            Who::User { name, .. } => Some(name),
        }
    }

    pub(super) fn origin(&self) -> Option<IpAddr> {
        self.origin
    }

    pub(super) fn by(&self) -> By {
        let (actor, login) = match &self.who {
            Who::LocalAdmin => (AuditActor::LocalAdmin, None),
            Who::User { name, login, .. } => (AuditActor::User(name.clone()), login.clone()),
        };
        By { actor, origin: self.origin, login }
    }

    fn is_admin(&self) -> bool {
        match &self.who {
            Who::LocalAdmin => true,
            Who::User { roles, .. } => roles.contains(&Role::Admin),
        }
    }

    /// Whether they may read what is not their own.
    pub(super) fn reads_all(&self) -> bool {
        match &self.who {
            Who::LocalAdmin => true,
            Who::User { roles, .. } => roles.iter().any(|role| matches!(role, Role::Admin | Role::Auditor)),
        }
    }

    /// Whose things are shown where those of a user, or of all, are asked for; none for all.
    pub(super) fn own_or(&self, asked: Option<UserName>) -> Result<Option<UserName>, Failure> {
        match (self.name().filter(|_| !self.reads_all()), asked) {
            (None, asked) => Ok(asked),
            (Some(own), None) => Ok(Some(own.clone())),
            (Some(own), Some(other)) if *own == other => Ok(Some(other)),
            (Some(_), Some(_)) => self.must_read_all().map(|()| None),
        }
    }

    /// A connection may outlive its user's place in Tidegate; an operation does not.
    pub(super) fn must_be_enabled(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let enabled = |name| snapshot.user(name).is_some_and(|user| user.enabled);
        if self.name().is_none_or(enabled) { Ok(()) } else { Err(Failure::Disabled) }
    }

    pub(super) fn must_be_admin(&self) -> Result<(), Failure> {
        if self.is_admin() { Ok(()) } else { Err(Failure::Role("an administrator")) }
    }

    pub(super) fn must_read_all(&self) -> Result<(), Failure> {
        if self.reads_all() { Ok(()) } else { Err(Failure::Role("an auditor or an administrator")) }
    }

    /// Whether they see, lock and end what lives of everybody.
    pub(super) fn monitors(&self) -> bool {
        match &self.who {
            Who::LocalAdmin => true,
            Who::User { roles, .. } => roles.contains(&Role::Monitor),
        }
    }

    pub(super) fn must_monitor(&self) -> Result<(), Failure> {
        if self.monitors() { Ok(()) } else { Err(Failure::Role("a monitor")) }
    }

    /// As others read of them.
    pub(super) fn called(&self) -> String {
        self.name().map_or_else(|| "an administrator".to_owned(), ToString::to_string)
    }

    /// Who they are and what they proved it with.
    pub(super) fn must_be_proved(&self) -> Result<Proved, Failure> {
        let user = self.must_be_user()?.clone();
        match (&self.who, self.origin) {
            (Who::User { login: Some(login), .. }, Some(origin)) => {
                Ok(Proved { user, login: Arc::clone(login), origin })
            }
            _ => Err(Failure::NotNow("what you logged in with is not known; connect again".to_owned())),
        }
    }

    pub(super) fn must_be_user(&self) -> Result<&UserName, Failure> {
        self.name().ok_or(Failure::Local)
    }
}
