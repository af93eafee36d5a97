//! All resources at one moment: checked, immutable, and indexed so that a
//! decision looks only at the groups that list the user.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{AccessGroup, Credential, Device, Problem, Reason, Resources, Rulings, Token, User, UserGroup};
use crate::name::{AccessGroupName, CredentialName, DeviceName, UserGroupName, UserName};

/// See the module.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    users: Arc<HashMap<UserName, UserEntry>>,
    devices: Arc<HashMap<DeviceName, Arc<Device>>>,
    credentials: Arc<HashMap<CredentialName, CredentialEntry>>,
    /// The oldest first.
    groups: Arc<[GroupEntry]>,
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
        let users = resources.users.iter().map(|user| {
            let lower = user.name.as_str().to_lowercase();
            let entry =
                UserEntry { user: Arc::new(user.clone()), lower, groups: Vec::new(), approves: Vec::new() };
            (user.name.clone(), entry)
        });
        let mut users: HashMap<_, _> = users.collect();
        for (index, group) in resources.access_groups.iter().enumerate() {
            for name in &group.users {
                if let Some(entry) = users.get_mut(name) {
                    entry.groups.push(index);
                }
            }
            for approver in &group.approvers {
                if let Some(entry) = users.get_mut(&approver.user)
                    && entry.approves.last() != Some(&index)
                {
                    entry.approves.push(index);
                }
            }
        }
        let groups =
            resources.access_groups.iter().map(|group| GroupEntry { group: Arc::new(group.clone()) });
        let user_groups = resources.user_groups.iter();
        let user_groups = user_groups.map(|group| (group.name.clone(), Arc::new(group.clone())));
        Ok(Self {
            users: users.into(),
            devices: devices.into(),
            credentials: Arc::new(credentials),
            groups: groups.collect(),
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

    /// Whether the user approves in any group.
    #[must_use]
    pub fn is_approver(&self, name: &UserName) -> bool {
        self.users.get(name).is_some_and(|entry| !entry.approves.is_empty())
    }

    /// The groups in which the user approves.
    pub fn approves(&self, name: &UserName) -> impl Iterator<Item = &Arc<AccessGroup>> {
        let indexes = self.users.get(name).map(|entry| entry.approves.as_slice()).unwrap_or_default();
        indexes.iter().filter_map(|index| self.groups.get(*index)).map(|entry| &entry.group)
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

    /// The groups that list the user, the oldest first.
    pub(crate) fn groups_of(&self, entry: &UserEntry) -> impl Iterator<Item = &GroupEntry> {
        entry.groups.iter().filter_map(|index| self.groups.get(*index))
    }
}
