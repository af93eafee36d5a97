//! What a panic stops. It never vetoes by a group that does not govern, and it never makes a group
//! step aside for one that demands less: who would come in by a stopped group stays out. Exceptional
//! access is no group: a panic on a group does not stop it, one on its user, its device or all does.

use crate::model::{AccessGroup, CredentialEntry, PanicScope, Snapshot};
use crate::name::UserName;

/// The panic that keeps a user from logging in.
pub(super) fn log_in<'a>(snapshot: &'a Snapshot, user: &UserName) -> Option<&'a PanicScope> {
    snapshot.rulings().stopping(|scope| matches!(scope, PanicScope::User(name) if name == user))
}

/// The panic that stops a user whatever they ask for, so that it tells nothing of the target.
pub(super) fn before_target<'a>(snapshot: &'a Snapshot, user: &UserName) -> Option<&'a PanicScope> {
    snapshot.rulings().stopping(|scope| *scope == PanicScope::All).or_else(|| log_in(snapshot, user))
}

/// The panic that stops an access which the group gives.
pub(super) fn behind_target<'a>(
    snapshot: &'a Snapshot,
    credential: &CredentialEntry,
    group: &AccessGroup,
) -> Option<&'a PanicScope> {
    snapshot.rulings().stopping(|scope| match scope {
        PanicScope::Device(device) => *device == credential.device.name,
        PanicScope::AccessGroup(name) => *name == group.name,
        PanicScope::All | PanicScope::User(_) => false,
    })
}
