//! A remote access as people read it: in a sentence, and with all that is known of it.

use tidegate_common::model::{Claims, Limited, RemoteAccessWord};

use super::super::show::{maybe, moment, sheet, sheet_of};
use crate::service::remote_accesses::RemoteAccessView;

/// One sentence on where a remote access stands.
pub(super) fn sentence(access: &RemoteAccessView) -> String {
    let RemoteAccessView { id, user, group, window, .. } = access;
    let what = match access.state {
        RemoteAccessWord::Active | RemoteAccessWord::Upcoming => {
            format!("is good from {} until {}", moment(window.start), moment(window.end))
        }
        RemoteAccessWord::Pending => match (access.approvals.len(), access.needed) {
            (0, _) => "waits for approval".to_owned(),
            (given, needed) => format!("has {given} of {} approvals", needed.unwrap_or(1)),
        },
        state => format!("is {state}"),
    };
    format!("remote access {id} of {user} in {group} {what}")
}

fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What it is for, when, and what it reaches.
pub(super) fn summary(access: &RemoteAccessView) -> String {
    sheet(lines(access))
}

fn lines(access: &RemoteAccessView) -> [(&'static str, String); 12] {
    let Claims { justification, reason, governance, .. } = &access.claims;
    let limited = access.limited.as_ref();
    let of = |field: fn(&Limited) -> String| limited.map(field).unwrap_or_default();
    [
        ("user group", access.group.to_string()),
        (
            "access",
            if limited.is_some() { "limited" } else { "full: all that access groups allow" }.to_owned(),
        ),
        ("justification", maybe(justification.as_ref())),
        ("reason", maybe(reason.as_ref())),
        ("governance code", maybe(governance.as_ref())),
        ("from", moment(access.window.start)),
        ("until", moment(access.window.end)),
        ("devices", of(|limited| listed(&limited.devices))),
        ("credentials", of(|limited| listed(&limited.credentials))),
        (
            "days",
            of(|limited| match limited.times.weekdays.as_slice() {
                [] => "every day".to_owned(),
                days => listed(days),
            }),
        ),
        (
            "times",
            of(|limited| match limited.times.slots.as_slice() {
                [] => "all day".to_owned(),
                slots => format!("{} ({})", listed(slots), limited.times.zone),
            }),
        ),
        (
            "sessions",
            of(|limited| {
                maybe(
                    limited
                        .sessions
                        .as_ref()
                        .map(ToString::to_string)
                        .or_else(|| Some("any number".to_owned())),
                )
            }),
        ),
    ]
}

pub(super) fn details(access: &RemoteAccessView) -> String {
    let used = match access.left {
        Some(left) => format!("{} used, {left} left", access.used),
        None => String::new(),
    };
    let mut all = vec![
        ("remote access", access.id.to_string()),
        ("state", sentence(access)),
        ("user", access.user.to_string()),
        ("of batch", maybe(access.batch)),
        ("requested by", access.by.clone()),
        ("requested", moment(access.created)),
        ("requested from", maybe(access.origin)),
        ("sessions used", used),
        ("keys", if access.keys == 0 { String::new() } else { access.keys.to_string() }),
        ("ended by", maybe(access.ended_by.as_ref())),
        ("remark", maybe(access.remark.as_ref())),
    ];
    // One sheet, so that all values stand below each other.
    all.extend(lines(access));
    let mut text = sheet_of(&all);
    for approved in &access.approvals {
        let comment = approved.comment.as_ref().map(|comment| format!(": {comment}")).unwrap_or_default();
        text.push_str(&format!("{} approves at {}{comment}\n", approved.by, moment(approved.at)));
    }
    text
}
