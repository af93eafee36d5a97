//! All resources at one moment: checked, immutable, and indexed so that a
//! decision looks only at the groups that list the user.

mod approving;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{
    AccessGroup, Credential, Device, ExceptionalAccess, Problem, Reason, Resources, Rulings, Token, User,
    UserGroup,
};
use crate::name::{AccessGroupName, CredentialName, DeviceName, UserGroupName, UserName};

/// See the module.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    users: Arc<HashMap<UserName, UserEntry>>,
    devices: Arc<HashMap<DeviceName, Arc<Device>>>,
    credentials: Arc<HashMap<CredentialName, CredentialEntry>>,
    /// The oldest first.
    groups: Arc<[GroupEntry]>,
    /// The oldest first.
    exceptions: Arc<[ExceptionEntry]>,
    reasons: Arc<[Reason]>,
    user_groups: Arc<HashMap<UserGroupName, Arc<UserGroup>>>,
    /// What logs in nobody, because more than one user has it.
    shared: Arc<HashSet<Token>>,
    rulings: Arc<Rulings>,
}

#[derive(Debug)]
pub(crate) struct UserEntry {
    pub user: Arc<User>,
    pub lower: String,
    /// Indexes of groups that list the user, ascending.
    groups: Vec<usize>,
    /// Indexes of groups that name the user as an approver, ascending.
    approves: Vec<usize>,
    /// Indexes of exceptional accesses for the user, ascending.
    exceptions: Vec<usize>,
    /// Who has the user as their manager.
    reports: Vec<UserName>,
    /// Who has the user as their deputy.
    stands_in_for: Vec<UserName>,
}

#[derive(Debug)]
pub(crate) struct CredentialEntry {
    pub credential: Arc<Credential>,
    pub device: Arc<Device>,
    pub traits: Traits,
}

/// What criteria look at, in lower case.
#[derive(Debug, PartialEq)]
pub(crate) struct Traits {
    pub device: String,
    pub product: Option<String>,
    pub account: String,
    pub device_tags: Vec<String>,
    pub credential_tags: Vec<String>,
    pub site: Option<String>,
    pub device_type: Option<String>,
    pub credential_type: Option<String>,
}

impl Traits {
    fn new(credential: &Credential, device: &Device) -> Self {
        let lower = |label: &super::Label| label.as_str().to_lowercase();
        Self {
            device: device.name.as_str().to_lowercase(),
            product: device.product.as_ref().map(lower),
            account: credential.name.account.as_str().to_lowercase(),
            device_tags: device.tags.iter().map(lower).collect(),
            credential_tags: credential.tags.iter().map(lower).collect(),
            site: device.site.as_ref().map(lower),
            device_type: device.kind.as_ref().map(lower),
            credential_type: credential.kind.as_ref().map(lower),
        }
    }
}

#[derive(Debug)]
pub(crate) struct ExceptionEntry {
    pub access: ExceptionalAccess,
    /// The group that it stands for.
    pub group: Arc<AccessGroup>,
}

#[derive(Debug)]
pub(crate) struct GroupEntry {
    pub group: Arc<AccessGroup>,
}

impl Snapshot {
    /// Checks the whole and indexes it.
    ///
    /// # Errors
    /// Everything that is wrong with the resources.
    pub fn new(resources: &Resources) -> Result<Self, Vec<Problem>> {
        let problems = resources.check();
        if !problems.is_empty() {
            return Err(problems);
        }
        let devices: HashMap<_, _> =
            resources.devices.iter().map(|device| (device.name.clone(), Arc::new(device.clone()))).collect();
        let credentials = resources.credentials.iter().filter_map(|credential| {
            let device = Arc::clone(devices.get(&credential.name.device)?);
            let traits = Traits::new(credential, &device);
            let entry = CredentialEntry { credential: Arc::new(credential.clone()), device, traits };
            Some((credential.name.clone(), entry))
        });
        let credentials: HashMap<_, _> = credentials.collect();
        let limited = resources.limited_users().map(|(group, limited)| limited.as_user(group));
        let users = resources.users.iter().cloned().chain(limited).map(|user| {
            let lower = user.name.as_str().to_lowercase();
            let (groups, approves, exceptions) = (Vec::new(), Vec::new(), Vec::new());
            let (reports, stands_in_for) = (Vec::new(), Vec::new());
            let user = Arc::new(user);
            let entry = UserEntry { user, lower, groups, approves, exceptions, reports, stands_in_for };
            (entry.user.name.clone(), entry)
        });
        let mut users: HashMap<_, _> = users.collect();
        for (index, group) in resources.access_groups.iter().enumerate() {
            for name in &group.users {
                if let Some(entry) = users.get_mut(name) {
                    entry.groups.push(index);
                }
            }
            for approver in &group.approvers {
                if let Some(entry) = approver.who.person(None).and_then(|user| users.get_mut(user))
                    && entry.approves.last() != Some(&index)
                {
                    entry.approves.push(index);
                }
            }
        }
        for (index, access) in resources.exceptional_accesses.iter().enumerate() {
            for name in &access.users {
                if let Some(entry) = users.get_mut(name) {
                    entry.exceptions.push(index);
                }
            }
        }
        for user in &resources.users {
            if let Some(manager) = user.manager.as_ref().and_then(|manager| users.get_mut(manager)) {
                manager.reports.push(user.name.clone());
            }
            if let Some(deputy) = user.deputy.as_ref().and_then(|deputy| users.get_mut(&deputy.user)) {
                deputy.stands_in_for.push(user.name.clone());
            }
        }
        let groups =
            resources.access_groups.iter().map(|group| GroupEntry { group: Arc::new(group.clone()) });
        let user_groups = resources.user_groups.iter();
        let user_groups = user_groups.map(|group| (group.name.clone(), Arc::new(group.clone())));
        let exceptions = resources.exceptional_accesses.iter().map(|access| {
            let group = Arc::new(access.as_group());
            ExceptionEntry { access: access.clone(), group }
        });
        Ok(Self {
            users: users.into(),
            devices: devices.into(),
            credentials: Arc::new(credentials),
            groups: groups.collect(),
            exceptions: exceptions.collect(),
            reasons: resources.reasons.as_slice().into(),
            user_groups: Arc::new(user_groups.collect()),
            shared: resources.shared_tokens().into(),
            rulings: Arc::default(),
        })
    }

    /// The same resources under these rulings.
    #[must_use]
    pub fn with_rulings(&self, rulings: Arc<Rulings>) -> Self {
        Self { rulings, ..self.clone() }
    }

    /// What is ruled beside the resources' text.
    #[must_use]
    pub fn rulings(&self) -> &Arc<Rulings> {
        &self.rulings
    }

    /// Whether a user was made with a user group, and goes with the last of their remote accesses.
    #[must_use]
    pub fn is_limited(&self, name: &UserName) -> bool {
        self.user(name).is_some_and(|user| user.limited.is_some())
    }

    /// A user, enabled or not.
    #[must_use]
    pub fn user(&self, name: &UserName) -> Option<&Arc<User>> {
        self.users.get(name).map(|entry| &entry.user)
    }

    /// A device.
    #[must_use]
    pub fn device(&self, name: &DeviceName) -> Option<&Arc<Device>> {
        self.devices.get(name)
    }

    /// Every device, in no order.
    pub fn devices(&self) -> impl Iterator<Item = &Arc<Device>> {
        self.devices.values()
    }

    /// A credential.
    #[must_use]
    pub fn credential(&self, name: &CredentialName) -> Option<&Arc<Credential>> {
        self.credentials.get(name).map(|entry| &entry.credential)
    }

    /// An access group.
    #[must_use]
    pub fn group(&self, name: &AccessGroupName) -> Option<&Arc<AccessGroup>> {
        self.groups.iter().map(|entry| &entry.group).find(|group| group.name == *name)
    }

    /// What governs by this name: an access group, or what an exceptional access stands for.
    #[must_use]
    pub fn governing(&self, name: &AccessGroupName) -> Option<&Arc<AccessGroup>> {
        let excepting = || self.exceptions.iter().map(|entry| &entry.group).find(|group| group.name == *name);
        self.group(name).or_else(excepting)
    }

    /// Every access group, the oldest first.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<AccessGroup>> {
        self.groups.iter().map(|entry| &entry.group)
    }

    /// Every credential, in no order.
    pub fn credentials(&self) -> impl Iterator<Item = &Arc<Credential>> {
        self.credentials.values().map(|entry| &entry.credential)
    }

    pub(crate) fn user_entries(&self) -> impl Iterator<Item = &UserEntry> {
        self.users.values()
    }

    /// Every user, in no order.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values().map(|entry| &entry.user)
    }

    /// Registered reasons that are enabled.
    pub fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.reasons.iter().filter(|reason| reason.enabled)
    }

    /// A user group, enabled or not.
    #[must_use]
    pub fn user_group(&self, name: &UserGroupName) -> Option<&Arc<UserGroup>> {
        self.user_groups.get(name)
    }

    /// Whether more than one user has it.
    pub(crate) fn is_shared(&self, token: &Token) -> bool {
        self.shared.contains(token)
    }

    pub(crate) fn user_entry(&self, name: &UserName) -> Option<&UserEntry> {
        self.users.get(name)
    }

    pub(crate) fn credential_entry(&self, name: &CredentialName) -> Option<&CredentialEntry> {
        self.credentials.get(name)
    }

    pub(crate) fn credential_entries(&self) -> impl Iterator<Item = &CredentialEntry> {
        self.credentials.values()
    }

    /// Every exceptional access, the oldest first.
    pub(crate) fn exceptions(&self) -> impl Iterator<Item = &ExceptionEntry> {
        self.exceptions.iter()
    }

    /// Exceptional accesses for the user, the oldest first.
    pub(crate) fn exceptions_of(&self, entry: &UserEntry) -> impl Iterator<Item = &ExceptionEntry> {
        entry.exceptions.iter().filter_map(|index| self.exceptions.get(*index))
    }

    /// The groups that list the user, the oldest first.
    pub(crate) fn groups_of(&self, entry: &UserEntry) -> impl Iterator<Item = &GroupEntry> {
        entry.groups.iter().filter_map(|index| self.groups.get(*index))
    }
}
