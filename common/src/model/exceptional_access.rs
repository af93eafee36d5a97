//! One credential for a few users for a time, without an access group.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::access_group::{is_default, read_conditions};
use super::check::Checker;
use super::read::Fields;
use super::resources::{ResourceType, cell, joined};
use super::user::{is_yes, yes};
use super::{AccessGroup, Action, Conditions, Criteria, Kind, RequestTerms, Terms, Text};
use crate::name::{AccessGroupName, CredentialName, UserName};
use crate::time::Limitation;

/// One `[[exceptional_access]]`. It asks for nothing, governs before every access group, and ends
/// by itself, with all that rests on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionalAccess {
    /// Its name, which no access group has either: sessions name what governs them by it.
    pub name: AccessGroupName,
    /// For people to read: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Who may.
    pub users: Vec<UserName>,
    /// What.
    pub credential: CredentialName,
    /// Whether they may start sessions.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub session: bool,
    /// Whether they may view the password.
    #[serde(default, skip_serializing_if = "is_default")]
    pub view_password: bool,
    /// From when; at once unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Timestamp,
    /// What a session may do.
    #[serde(default, skip_serializing_if = "is_default")]
    pub conditions: Conditions,
}

impl ExceptionalAccess {
    /// Whether it is for this action.
    #[must_use]
    pub fn allows(&self, action: Action) -> bool {
        match action {
            Action::Session => self.session,
            Action::ViewPassword => self.view_password,
        }
    }

    /// The access group that it stands for.
    pub(super) fn as_group(&self) -> AccessGroup {
        AccessGroup {
            name: self.name.clone(),
            description: self.description.clone(),
            users: self.users.clone(),
            approvers: Vec::new(),
            copy: Vec::new(),
            criteria: Criteria::default(),
            session: self.session.then(Terms::default),
            password: self.view_password.then(Terms::default),
            request: RequestTerms::default(),
            review: None,
            limitation: Limitation::default(),
            conditions: self.conditions.clone(),
        }
    }
}

impl ResourceType for ExceptionalAccess {
    type Name = AccessGroupName;

    const HEADING: &'static [&'static str] = &["NAME", "USERS", "CREDENTIAL", "FROM", "UNTIL", "DESCRIPTION"];

    fn name(&self) -> &Self::Name {
        &self.name
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.required("name");
        let (description, users) = (fields.optional("description"), fields.list("users"));
        let credential = fields.required("credential");
        let (session, view_password) = (fields.flag("session", true), fields.flag("view_password", false));
        let (from, until) = (fields.optional("from"), fields.required("until"));
        let conditions = fields
            .table("conditions", "[exceptional_access.conditions]", read_conditions)
            .unwrap_or_default();
        Some(Self {
            name: name?,
            description,
            users,
            credential: credential?,
            session,
            view_password,
            from,
            until: until?,
            conditions,
        })
    }

    fn check(checker: &mut Checker<'_>) {
        let resources = checker.resources;
        let groups: HashSet<_> = resources.access_groups.iter().map(|group| &group.name).collect();
        let users: HashSet<_> = resources.users.iter().map(|user| &user.name).collect();
        let credentials: HashSet<_> = resources.credentials.iter().map(|one| &one.name).collect();
        for access in &resources.exceptional_accesses {
            let mut wrong = |field: &str, why: String| {
                checker.wrong(Kind::ExceptionalAccess, access.name.as_str(), field, why);
            };
            if groups.contains(&access.name) {
                wrong("name", format!("there is an access group `{}`; take another name", access.name));
            }
            if access.users.is_empty() {
                wrong("users", "it is for nobody; name users".to_owned());
            }
            if !access.session && !access.view_password {
                wrong("session", "it allows nothing; leave `session` out or add `view_password`".to_owned());
            }
            if let Some(from) = access.from.filter(|from| *from >= access.until) {
                wrong("until", format!("it ends at {}, before it starts at {from}", access.until));
            }
            for (index, user) in access.users.iter().enumerate() {
                if !users.contains(user) && !checker.is_unreadable(Kind::User, user.as_str()) {
                    let why = checker.no_user(user);
                    checker.wrong(
                        Kind::ExceptionalAccess,
                        access.name.as_str(),
                        format!("users.{index}"),
                        why,
                    );
                }
            }
            let credential = access.credential.to_string();
            if !credentials.contains(&access.credential)
                && !checker.is_unreadable(Kind::Credential, &credential)
            {
                let why = format!("there is no credential `{credential}`; add it as a [[credential]]");
                checker.wrong(Kind::ExceptionalAccess, access.name.as_str(), "credential", why);
            }
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            joined(&self.users),
            self.credential.to_string(),
            cell(self.from.as_ref()),
            self.until.to_string(),
            cell(self.description.as_ref()),
        ]
    }
}
