//! Who is told of what the log is told: what has no other reader than administrators.

use jiff::Timestamp;

use super::{Notification, notify};
use crate::audit::{Event, Note, Verdict};
use crate::model::{Role, Snapshot};
use crate::name::{GateName, UserName};
use crate::notice::Notice;

/// The notice that an event makes of itself, for those who have the role for it.
#[must_use]
pub fn notify_of_event(
    snapshot: &Snapshot,
    gate: &GateName,
    event: &Event,
    now: Timestamp,
) -> Vec<Notification> {
    let administrators = [Role::Admin].as_slice();
    let evidence = [Role::Admin, Role::Auditor].as_slice();
    let (roles, notice) = match event {
        Event::GrantStanding { session, target, standing, .. } => {
            let (session, target, standing) = (*session, target.clone(), standing.clone());
            (administrators, Notice::PrivilegeStands { session, target, standing })
        }
        Event::AgentLost { device, why } => {
            (administrators, Notice::AgentAway { device: device.clone(), since: now, why: why.clone() })
        }
        Event::RecordingVerified { session, verdict: found @ (Verdict::Altered | Verdict::Incomplete) } => {
            let what = Note::new("it was checked");
            (evidence, Notice::RecordingDamaged { session: Some(*session), found: *found, what })
        }
        Event::RecordingFailed { session, why } => {
            let (session, found) = (Some(*session), Verdict::Incomplete);
            (evidence, Notice::RecordingDamaged { session, found, what: why.clone() })
        }
        Event::RecordingIncomplete { file } => {
            let what = file.clone();
            (evidence, Notice::RecordingDamaged { session: None, found: Verdict::Incomplete, what })
        }
        Event::DiskLow { place, free, floor } => {
            let (gate, place) = (gate.clone(), place.clone());
            (administrators, Notice::DiskLow { gate, place, free: *free, floor: *floor })
        }
        _ => return Vec::new(),
    };
    let mut names: Vec<&UserName> = snapshot
        .users()
        .filter(|user| roles.iter().any(|role| user.has_role(*role)))
        .map(|user| &user.name)
        .collect();
    names.sort_unstable();
    notify(snapshot, names, &notice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Notes;
    use crate::id::SessionId;
    use crate::model::Resources;
    use crate::policy::Recipient;

    #[test]
    fn evidence_is_for_auditors_too_and_what_is_nobodys_concern_is_not_told() {
        let text = r#"
            user = [
                { name = "admin", email = "admin@example.org", roles = ["admin"] },
                { name = "auditor", email = "auditor@example.org", roles = ["auditor"] },
                { name = "operator", email = "operator@example.org" },
            ]
        "#;
        let snapshot = Snapshot::new(&Resources::default().update(text).unwrap().whole).unwrap();
        let told = |event: Event| {
            let gate = "gate1".parse().unwrap();
            let told = notify_of_event(&snapshot, &gate, &event, Timestamp::UNIX_EPOCH);
            let users = told.into_iter().filter_map(|one| match one.recipient {
                Recipient::User(name) => Some(name.to_string()),
                _ => None,
            });
            users.collect::<Vec<_>>()
        };
        let session = SessionId::new(1, 1);
        let verified = |verdict| told(Event::RecordingVerified { session, verdict });
        assert_eq!(verified(Verdict::Altered), ["admin", "auditor"]);
        assert_eq!(verified(Verdict::Whole), [""; 0]);
        let (target, standing) = ("ops@db01".parse().unwrap(), Notes::of(["sudo"]));
        let (drift, leftovers) = (Notes::default(), Notes::default());
        assert_eq!(told(Event::GrantStanding { session, target, standing, drift, leftovers }), ["admin"]);
        assert_eq!(told(Event::ProxyStopped { why: Note::new("x") }), [""; 0]);
    }
}
