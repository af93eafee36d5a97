//! A second evaluator, written from the pages that say what each thing means and from nothing else. It
//! knows exceptional access and the limits of requests. Who votes in whose place decides whether a request
//! is approved, and here it is approved or is not: managers and deputies are held by tests of their own.

use jiff::civil::Weekday;

use super::*;
use crate::model::{AccessGroup, PanicScope, Pattern, Terms};

/// What the pages say comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    No,
    /// Of these something is missing: justification, change, governance code, approval.
    Asks(String, [bool; 4]),
    Yes(String),
}

/// What stands beside the resources.
#[derive(Debug, Clone, Default)]
pub struct Ruled {
    pub panics: Vec<PanicScope>,
    /// Groups, and when somebody confirmed them.
    pub confirmed: Vec<(String, Timestamp)>,
}

pub struct World {
    pub resources: Resources,
    pub ruled: Ruled,
}

#[derive(Debug)]
pub struct Question {
    pub user: String,
    pub target: String,
    pub action: Action,
    pub now: Timestamp,
    pub claims: Claims,
    pub requests: Vec<Request>,
}

/// `*` stands for anything, case does not count, the placeholder is the login.
fn fits(pattern: &Pattern, value: &str, user: &str) -> bool {
    fn glob(pattern: &[char], value: &[char]) -> bool {
        match pattern.split_first() {
            None => value.is_empty(),
            Some(('*', rest)) => (0..=value.len()).any(|skip| glob(rest, &value[skip..])),
            Some((letter, rest)) => value.first() == Some(letter) && glob(rest, &value[1..]),
        }
    }
    let pattern = pattern.to_string().to_lowercase().replace("[#username#]", &user.to_lowercase());
    let letters = |text: &str| text.chars().collect::<Vec<_>>();
    glob(&letters(&pattern), &letters(&value.to_lowercase()))
}

/// An empty field matches everything, within a field one value is enough.
fn field(patterns: &[Pattern], values: &[&str], user: &str) -> bool {
    patterns.is_empty()
        || values.iter().any(|value| patterns.iter().any(|pattern| fits(pattern, value, user)))
}

fn inside(weekdays: &[String], slots: &[String], zone: &str, now: Timestamp) -> bool {
    let local = now.in_tz(zone).unwrap();
    let day = match local.weekday() {
        Weekday::Monday => "mon",
        Weekday::Tuesday => "tue",
        Weekday::Wednesday => "wed",
        Weekday::Thursday => "thu",
        Weekday::Friday => "fri",
        Weekday::Saturday => "sat",
        Weekday::Sunday => "sun",
    };
    let clock = format!("{:02}:{:02}", local.hour(), local.minute());
    let within =
        |slot: &String| slot.split_once('-').is_some_and(|(from, until)| from <= &*clock && &*clock < until);
    (weekdays.is_empty() || weekdays.iter().any(|open| open == day))
        && (slots.is_empty() || slots.iter().any(within))
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

pub fn open(group: &AccessGroup, now: Timestamp) -> bool {
    let limits = &group.limitation;
    let zone = limits.zone.to_string();
    let today = now.in_tz(&zone).unwrap().date();
    limits.from.is_none_or(|first| first <= today)
        && limits.until.is_none_or(|last| today <= last)
        && inside(&texts(&limits.weekdays), &texts(&limits.slots), &zone, now)
}

/// A review is due so long after its first day, or after the last confirmation; after the grace the
/// group grants nothing.
pub fn lapses(group: &AccessGroup, ruled: &Ruled) -> Option<Timestamp> {
    let review = group.review.as_ref()?;
    let first = review.from.in_tz(&group.limitation.zone.to_string()).unwrap().timestamp();
    let own = ruled.confirmed.iter().filter(|(name, _)| name == group.name.as_str()).map(|(_, at)| *at);
    let counts = own.chain([first]).max().unwrap();
    Some(review.grace.after(review.every.after(counts)))
}

fn approval(group: &AccessGroup, terms: &Terms, now: Timestamp) -> bool {
    terms.approval.as_ref().is_some_and(|approval| {
        let zone = group.limitation.zone.to_string();
        inside(&texts(&approval.when.weekdays), &texts(&approval.when.slots), &zone, now)
    })
}

impl World {
    pub fn answer(&self, ask: &Question) -> Answer {
        let Question { user, target, action, now, claims, requests } = ask;
        let Some(person) = self.resources.users.iter().find(|known| known.name.as_str() == user) else {
            return Answer::No;
        };
        let stopped = |scope: &PanicScope| self.ruled.panics.contains(scope);
        if !person.enabled || stopped(&PanicScope::All) || stopped(&PanicScope::User(person.name.clone())) {
            return Answer::No;
        }
        let credential = self.resources.credentials.iter().find(|known| known.name.to_string() == *target);
        let Some(credential) = credential else { return Answer::No };
        let device =
            self.resources.devices.iter().find(|known| known.name == credential.name.device).unwrap();
        // It governs before all groups; of several the one that lasts longest.
        let excepts = self.resources.exceptional_accesses.iter().filter(|access| {
            let allows = match action {
                Action::Session => access.session,
                Action::ViewPassword => access.view_password,
            };
            let begun = access.from.is_none_or(|from| from <= *now);
            allows
                && begun
                && *now < access.until
                && access.credential == credential.name
                && access.users.contains(&person.name)
        });
        if let Some(access) = excepts.max_by_key(|access| access.until) {
            // No panic on a group touches it.
            return match stopped(&PanicScope::Device(device.name.clone())) {
                true => Answer::No,
                false => Answer::Yes(access.name.to_string()),
            };
        }
        let mut counting: Vec<(u8, &AccessGroup, &Terms)> = Vec::new();
        for group in &self.resources.access_groups {
            let terms = match action {
                Action::Session => group.session.as_ref(),
                Action::ViewPassword => group.password.as_ref(),
            };
            let tags = texts(&device.tags);
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let matches = field(&group.criteria.devices, &[device.name.as_str()], user)
                && field(&group.criteria.accounts, &[credential.name.account.as_str()], user)
                && field(&group.criteria.device_tags, &tags, user);
            let Some(terms) = terms else { continue };
            let confirmed = lapses(group, &self.ruled).is_none_or(|lapses| *now < lapses);
            if group.users.contains(&person.name) && matches && open(group, *now) && confirmed {
                let demands = match terms {
                    terms if approval(group, terms, *now) => 3,
                    Terms { change: true, .. } => 2,
                    Terms { justification: true, .. } => 1,
                    _ => 0,
                };
                counting.push((demands, group, terms));
            }
        }
        // The most demanding; of equals the oldest, which is written first.
        let Some(most) = counting.iter().map(|(demands, ..)| *demands).max() else { return Answer::No };
        let (_, group, terms) = counting.into_iter().find(|(demands, ..)| *demands == most).unwrap();
        let panics = [PanicScope::Device(device.name.clone()), PanicScope::AccessGroup(group.name.clone())];
        if panics.iter().any(stopped) {
            return Answer::No;
        }
        let covers = |request: &&Request| {
            let RequestState::Approved { window } = &request.state else { return false };
            let most = [
                group.conditions.longest,
                request.claims.emergency.as_ref().map(|_| terms.emergency_window()),
            ];
            let ends = most.into_iter().flatten().map(|most| most.after(window.start)).min();
            let limits = &request.limits;
            let zone = limits.zone.clone().unwrap_or_default().to_string();
            limits.sessions.is_none_or(|most| request.used < most)
                && inside(&texts(&limits.weekdays), &texts(&limits.slots), &zone, *now)
                && request.user == person.name
                && request.targets.contains(&credential.name)
                && request.action == *action
                && request.group == group.name
                && (request.claims.emergency.is_none() || terms.emergency)
                && window.start <= *now
                && *now < window.end
                && ends.is_none_or(|end| *now < end)
        };
        let missing = |claims: &[&Claims]| {
            let none = |said: fn(&Claims) -> bool| !claims.iter().any(|claims| said(claims));
            [
                terms.justification && none(|claims| claims.justification.is_some()),
                terms.change && none(|claims| claims.change.is_some()),
                group.request.governance && none(|claims| claims.governance.is_some()),
            ]
        };
        let needs_approval = approval(group, terms, *now);
        let alone = missing(&[claims]);
        let approved = |request: &&Request| {
            let people = request.votes.iter().any(|vote| vote.verdict == Verdict::Approve);
            !needs_approval || people || request.claims.emergency.is_some()
        };
        let covering: Vec<_> = requests.iter().filter(covers).filter(approved).collect();
        if alone == [false; 3] && !needs_approval {
            return Answer::Yes(group.name.to_string());
        }
        // One request is made for one group and credential, so the random worlds have one at most.
        let asks = match covering.first() {
            Some(request) => missing(&[claims, &request.claims]),
            None => alone,
        };
        let [justification, change, governance] = asks;
        let asks = [justification, change, governance, needs_approval && covering.is_empty()];
        if asks == [false; 4] {
            Answer::Yes(group.name.to_string())
        } else {
            Answer::Asks(group.name.to_string(), asks)
        }
    }
}
