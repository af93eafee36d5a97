//! Who is told that an exceptional access ends soon.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{Notification, notify};
use crate::audit::Note;
use crate::model::{ExceptionalAccess, Snapshot};
use crate::name::UserName;
use crate::notice::{Ending, Notice};
use crate::time::Length;

/// An exceptional access that is written.
#[derive(Debug, Clone, Copy)]
pub struct ExceptionalAccessStep<'a> {
    /// As it was; none of one that is new.
    pub before: Option<&'a ExceptionalAccess>,
    /// As it is.
    pub after: &'a ExceptionalAccess,
    /// How long before its end its users are told, where it lasts twice as long.
    pub ahead: Length,
    /// Now.
    pub now: Timestamp,
}

/// The users that it names, each some time before it ends: those for whom this end is new. Who had
/// it with another end is told of the new one however soon that comes.
#[must_use]
pub fn notify_of_exceptional_access(
    snapshot: &Snapshot,
    step: &ExceptionalAccessStep<'_>,
) -> Vec<Notification> {
    let ExceptionalAccessStep { before, after, ahead, now } = *step;
    let ends = after.until;
    let ahead = ahead.after(now).duration_since(now);
    let Some(from) = ends.checked_sub(ahead).ok().filter(|_| ends > now) else { return Vec::new() };
    let starts = after.from.unwrap_or(now).max(now);
    let is_long = starts.checked_add(ahead).is_ok_and(|twice| twice <= from);
    let mut seen = HashSet::new();
    let tells = |user: &&UserName| {
        let had = before.filter(|before| before.users.contains(*user));
        seen.insert((*user).clone()) && had.map_or(is_long, |before| before.until != ends)
    };
    let each = |user: &UserName| {
        let (what, name) = (Ending::ExceptionalAccess, Note::new(after.name.as_str()));
        let notice = Notice::EndsSoon { what, name, user: user.clone(), ends, from };
        notify(snapshot, [user], &notice)
    };
    after.users.iter().filter(tells).flat_map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Resources;
    use crate::policy::Recipient;

    fn moment(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn resources(users: &str, until: Timestamp) -> Resources {
        let text = format!(
            "user = [{{ name = \"olga\", email = \"o@example.org\" }}, {{ name = \"adam\", email = \
             \"a@example.org\" }}]\ndevice = [{{ name = \"db01\" }}]\ncredential = [{{ name = \"ops@db01\" }}]\n\
             [[exceptional_access]]\nname = \"move\"\nusers = [{users}]\ncredential = \"ops@db01\"\n\
             until = \"{until}\"\n"
        );
        Resources::default().update(&text).unwrap().whole
    }

    /// Who is told, and how many hours from now.
    fn told(before: Option<&Resources>, after: &Resources) -> Vec<(String, i64)> {
        let one = |resources: &Resources| resources.exceptional_accesses[0].clone();
        let (old, new) = (before.map(one), one(after));
        let step = ExceptionalAccessStep {
            before: old.as_ref(),
            after: &new,
            ahead: Length::hours(1),
            now: moment(0),
        };
        let told = notify_of_exceptional_access(&Snapshot::new(after).unwrap(), &step);
        let each = told.into_iter().filter_map(|one| match (one.recipient, one.notice.due(moment(0))) {
            (Recipient::User(name), due) => {
                Some((name.to_string(), due.duration_since(moment(0)).as_secs() / 3600))
            }
            _ => None,
        });
        each.collect()
    }

    #[test]
    fn who_has_exceptional_access_is_told_before_it_ends_and_of_a_short_one_not_at_all() {
        let both = "\"olga\", \"adam\"";
        let told_of = |hours| told(None, &resources(both, moment(hours)));
        assert_eq!(told_of(8), [("olga".to_owned(), 7), ("adam".to_owned(), 7)]);
        assert_eq!(told_of(2), [("olga".to_owned(), 1), ("adam".to_owned(), 1)]);
        assert_eq!(told_of(1), [], "an hour is told in the terminal");
        assert_eq!(told_of(-1), [], "it is over");
    }

    #[test]
    fn an_end_that_moves_is_told_anew_and_one_that_stays_only_to_who_is_new() {
        let (olga, both) = ("\"olga\"", "\"olga\", \"adam\"");
        let before = resources(olga, moment(8));
        assert_eq!(told(Some(&before), &before), []);
        assert_eq!(told(Some(&before), &resources(both, moment(8))), [("adam".to_owned(), 7)]);
        assert_eq!(told(Some(&before), &resources(olga, moment(20))), [("olga".to_owned(), 19)]);
        // Who counts on the end of before learns at once that it comes sooner.
        let sooner = resources(both, moment(1));
        assert_eq!(told(Some(&before), &sooner), [("olga".to_owned(), 0)]);
    }
}
