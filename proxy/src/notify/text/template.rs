//! The templates: what is said of each kind of notice.

use jiff::Timestamp;
use tidegate_common::audit::{Asked, Note, Notes, Verdict};
use tidegate_common::id::NotificationId;
use tidegate_common::notice::{Decided, Ending, Notice, Outcome, Remote, Wanted};
use tidegate_common::secret::Secret;

use super::{About, Text};

/// Whom a text is for.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The user's name, as they log in; none where it is for whoever has an address.
    pub user: Option<&'a str>,
    /// The notification's number.
    pub id: NotificationId,
    /// The code of a link.
    pub secret: Option<&'a Secret>,
}

/// Facts about a notice, in the order in which they are read.
#[derive(Default)]
struct Facts(Vec<(&'static str, Vec<String>)>);

impl Facts {
    fn is(mut self, label: &'static str, value: impl ToString) -> Self {
        self.0.push((label, vec![value.to_string()]));
        self
    }

    fn may(self, label: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.is(label, value),
            None => self,
        }
    }

    fn all(mut self, label: &'static str, values: &Notes) -> Self {
        if !values.is_empty() {
            self.0.push((label, values.iter().map(ToString::to_string).collect()));
        }
        self
    }

    fn wanted(self, wanted: &Wanted) -> Self {
        let Wanted { user, targets, asked, justification, reason, change, governance, from, .. } = wanted;
        let who = match wanted.origin {
            Some(origin) => format!("{user}, from {origin}"),
            None => user.to_string(),
        };
        let what = match asked {
            Asked::Session => format!("a session on {targets}"),
            Asked::ViewPassword => format!("to view the password of {targets}"),
        };
        let from = from.map(time);
        let when = match (from, wanted.until, &wanted.length) {
            (Some(from), Some(until), _) => format!("from {from} until {}", time(until)),
            (Some(from), None, Some(length)) => format!("from {from}, for {length}"),
            (Some(from), None, None) => format!("from {from}"),
            (None, Some(until), _) => format!("until {}", time(until)),
            (None, None, Some(length)) => format!("for {length}, from when it is approved"),
            (None, None, None) => "from when it is approved".to_owned(),
        };
        self.is("Who", who)
            .is("What", what)
            .may("Why", justification.as_ref())
            .may("Reason", reason.as_ref())
            .may("Change", change.as_ref())
            .may("Governance code", governance.as_ref())
            .is("When", when)
    }

    fn remote(self, remote: &Remote) -> Self {
        let Remote { users, group, reaches, justification, reason, governance, from, until, by, .. } = remote;
        let by = match remote.origin {
            Some(origin) => format!("{by}, from {origin}"),
            None => by.to_string(),
        };
        self.all("For", users)
            .is("User group", group)
            .all("Reaches", reaches)
            .may("Why", justification.as_ref())
            .may("Reason", reason.as_ref())
            .may("Governance code", governance.as_ref())
            .is("When", format!("from {} until {}", time(*from), time(*until)))
            .is("Asked by", by)
    }

    fn decided(self, decided: &Decided) -> Self {
        self.may("By", decided.by.as_ref()).may("Comment", decided.comment.as_ref())
    }
}

/// To the second, in UTC: the same for readers in every zone.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn bytes(count: u64) -> String {
    match count {
        0..1_048_576 => format!("{} KiB", count >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", count >> 20),
        _ => format!("{:.1} GiB", (count >> 20) as f64 / 1024.0),
    }
}

fn ending(what: Ending, name: &Note) -> String {
    match what {
        Ending::Window => format!("the window of request {name}"),
        Ending::RemoteAccess => format!("the remote access {name}"),
        Ending::ExceptionalAccess => format!("the exceptional access {name}"),
        Ending::GroupReview => format!("the confirmation of access group {name}"),
    }
}

impl Text {
    /// What a notice says to this reader.
    #[must_use]
    pub fn of(notice: &Notice, reader: &Reader<'_>, about: &About) -> Self {
        let to_type = |words: &str| about.ssh.command(reader.user, words);
        let (subject, what, facts, commands) = said(notice, reader, &to_type);
        let essence = reader.secret.map(|secret| secret.reveal().to_owned());
        let from = format!("Tidegate, gate {}, notification {}", about.gate, reader.id);
        Self { subject, what, facts: facts.0, essence, commands, from }
    }
}

/// What a notice is about, in a line.
#[must_use]
pub fn about(notice: &Notice) -> String {
    let reader = Reader { user: None, id: NotificationId(0), secret: None };
    said(notice, &reader, &|_| String::new()).0
}

type Parts = (String, String, Facts, Vec<(&'static str, String)>);

#[allow(clippy::too_many_lines)] // one arm for each kind
fn said(notice: &Notice, reader: &Reader<'_>, to_type: &dyn Fn(&str) -> String) -> Parts {
    match notice {
        Notice::ApprovalAsked { wanted, level, changes, expires } => {
            let Wanted { request, user, targets, .. } = wanted;
            let subject = format!("{user} asks for {targets} (request {request})");
            let what = format!("{user} asks for access to {targets}. Your approval is asked for.");
            let facts = Facts::default().wanted(wanted).all("Changes on the host", changes);
            let facts = facts.may("Level", level.as_ref()).is("Decide before", time(*expires));
            let commands = vec![
                ("To approve, type:", to_type(&format!("request approve {request}"))),
                (
                    "To reject, with the reason in place of WHY:",
                    to_type(&format!("request reject {request} --comment WHY")),
                ),
                ("To see all of it:", to_type(&format!("request show {request}"))),
            ];
            (subject, what, facts, commands)
        }
        Notice::RemoteAccessAsked { remote, expires } => {
            let Remote { access, batch, count, group, by, .. } = remote;
            let whom = match batch {
                true => format!("{count} users of {group}"),
                false => remote.users.to_string(),
            };
            let which = if *batch { format!("--batch {access}") } else { access.to_string() };
            let number = if *batch { format!("batch {access}") } else { format!("remote access {access}") };
            let subject = format!("{by} asks to let {whom} in from outside ({number})");
            let what = format!("{by} asks to let {whom} in from outside. Your approval is asked for.");
            let facts = Facts::default().remote(remote).is("Decide before", time(*expires));
            let all = match batch {
                true => format!("remote-access list {which}"),
                false => format!("remote-access show {which}"),
            };
            let commands = vec![
                ("To approve, type:", to_type(&format!("remote-access approve {which}"))),
                (
                    "To reject, with the reason in place of WHY:",
                    to_type(&format!("remote-access reject {which} --comment WHY")),
                ),
                ("To see all of it:", to_type(&all)),
            ];
            (subject, what, facts, commands)
        }
        Notice::RemoteAccessDecided { remote, decided } => {
            let Remote { access, batch, users, group, .. } = remote;
            let word = decided.outcome.word();
            let expired = decided.outcome == Outcome::Expired;
            let has = if expired { "has" } else { "was" };
            let first = match expired {
                true => "Nobody decided on the first of it in time.".to_owned(),
                false => format!("The first of it was {word}."),
            };
            let it = match expired {
                true => "Nobody decided on it in time; ask for it again.".to_owned(),
                false => format!("It was {word}."),
            };
            let (subject, what, all) = match batch {
                true => (
                    format!("the first remote access of batch {access} for {group} {has} {word}"),
                    format!(
                        "You asked to let users of {group} in from outside. {first} Of a batch you are told each outcome once; the list shows all of it."
                    ),
                    format!("remote-access list --batch {access}"),
                ),
                false => (
                    format!("remote access {access} for {users} {has} {word}"),
                    format!("You asked to let {users} in from outside. {it}"),
                    format!("remote-access show {access}"),
                ),
            };
            let facts = Facts::default().remote(remote).decided(decided);
            let mut commands = vec![("To see all of it:", to_type(&all))];
            if decided.outcome == Outcome::Approved && !batch {
                let forward = to_type(&format!("remote-access forward {access}"));
                commands.push(("To send a code to enter:", forward));
            }
            (subject, what, facts, commands)
        }
        Notice::RequestDecided { wanted, decided } => {
            let (request, word) = (wanted.request, decided.outcome.word());
            let subject = format!("your request {request} for {} was {word}", wanted.targets);
            let subject = match decided.outcome {
                Outcome::Expired => format!("your request {request} for {} has expired", wanted.targets),
                _ => subject,
            };
            let what = match decided.outcome {
                Outcome::Approved => "Your request was approved: connect with ssh.".to_owned(),
                Outcome::Expired => "Nobody decided on your request in time; make another.".to_owned(),
                _ => format!("Your request was {word}."),
            };
            let facts = Facts::default().wanted(wanted).decided(decided);
            (subject, what, facts, vec![("To see all of it:", to_type(&format!("request show {request}")))])
        }
        Notice::DecisionCopied { wanted, decided } => {
            let (user, request, word) = (&wanted.user, wanted.request, decided.outcome.word());
            let has = if decided.outcome == Outcome::Expired { "has" } else { "was" };
            let subject = format!("request {request} of {user} for {} {has} {word}", wanted.targets);
            let what = format!("A request of {user} {has} {word}. You need not do anything.");
            (subject, what, Facts::default().wanted(wanted).decided(decided), Vec::new())
        }
        Notice::EndsSoon { what, name, user, ends, .. } => {
            let ending = ending(*what, name);
            let subject = format!("{ending} ends at {}", time(*ends));
            let said = match what {
                Ending::GroupReview => {
                    format!("Unless it is confirmed, {ending} lapses, and the group grants nothing.")
                }
                _ => format!("Soon {ending} ends, and sessions that rest on it end with it."),
            };
            let commands = match what {
                Ending::GroupReview => vec![(
                    "To look at who is in the group, and confirm it:",
                    to_type(&format!("group-review confirm {name}")),
                )],
                Ending::Window | Ending::RemoteAccess | Ending::ExceptionalAccess => Vec::new(),
            };
            (subject, said, Facts::default().is("Whose", user).is("Ends", time(*ends)), commands)
        }
        Notice::EmergencyUsed { wanted, emergency } => {
            let Wanted { request, user, targets, .. } = wanted;
            let subject = format!("EMERGENCY: {user} has access to {targets} (request {request})");
            let what = format!("{user} let themselves in to {targets} without an approval, in an emergency.");
            let facts = Facts::default().wanted(wanted).is("Emergency", emergency);
            let commands = vec![
                ("To look at it, and say so once it is over:", to_type(&format!("request review {request}"))),
                ("To end it now:", to_type(&format!("request revoke {request}"))),
            ];
            (subject, what, facts, commands)
        }
        Notice::UnexpectedCommand { session, user, target, source, command, change, rule, ended } => {
            let subject = format!("unexpected command of {user} on {target}");
            let end = if *ended { " The session was ended because of it." } else { "" };
            let what = format!("A command that is not expected ran in a session of {user} on {target}.{end}");
            let facts = Facts::default()
                .is("Command", command)
                .is("Seen by", source)
                .is("Session", session)
                .may("Change", change.as_ref())
                .may("Rule", rule.as_ref());
            let mut commands = vec![("To see the session:", to_type(&format!("session show {session}")))];
            if !ended {
                commands.push(("To end it (a monitor):", to_type(&format!("session end {session}"))));
            }
            (subject, what, facts, commands)
        }
        Notice::ChangeReported {
            change,
            title,
            session,
            user,
            target,
            percent,
            missing,
            unexpected,
            not_compared,
            whole,
            cut_off,
        } => {
            let subject = format!("report of change {change}: {user} on {target}, {percent} %");
            let came = match missing.is_empty() && unexpected.is_empty() {
                _ if *cut_off => "It was not compared to its end.",
                true => "What was expected ran, and nothing else.",
                false => "What ran is not what was expected.",
            };
            let what = format!("A session of {user} on {target} under change {change} is over. {came}");
            let lacks = match (*cut_off, *whole) {
                (true, _) => Some("not to its end, because the gate stopped; more may have run as expected"),
                (false, false) => Some("the host did not tell the last of what ran"),
                (false, true) => None,
            };
            let facts = Facts::default()
                .is("Change", format!("{change}, {title}"))
                .is("Session", session)
                .is("As expected", format!("{percent} %"))
                .all("Expected and not run", missing)
                .all("Run and not expected", unexpected)
                .may("Not compared", (*not_compared > 0).then(|| format!("{not_compared} commands")))
                .may("Not whole", lacks);
            let commands = vec![
                ("To see all sessions under it:", to_type(&format!("change report {change}"))),
                ("To close it once its work is done:", to_type(&format!("change close {change}"))),
            ];
            (subject, what, facts, commands)
        }
        Notice::PrivilegeStands { session, target, standing } => {
            let subject = format!("a privilege stands on {target}");
            let what = format!(
                "A session on {target} is over, and something that it was granted could not be taken away. The agent goes on trying."
            );
            let facts = Facts::default().is("Session", session).all("Stands", standing);
            (subject, what, facts, vec![("To see what stands:", to_type("grant list"))])
        }
        Notice::AgentAway { device, since, why } => {
            let subject = format!("the agent of {device} is away");
            let what = format!(
                "The agent of {device} has no link to the gate. No session with privileges begins there; what was granted has ended, or ends with its lease."
            );
            let facts = Facts::default().is("Since", time(*since)).is("Why", why);
            (subject, what, facts, vec![("To see all agents:", to_type("agent list"))])
        }
        Notice::Link { by, access, expires } => {
            let what = format!(
                "You may enter: {access}. The code works once. Give it to nobody, and if you did not expect it, do nothing."
            );
            let facts = Facts::default()
                .may("Code", reader.secret.map(|secret| secret.reveal().to_owned()))
                .may("Given by", by.as_ref())
                .is("Good until", time(*expires));
            let subject = "your code to enter".to_owned();
            (subject, what, facts, vec![("Type the code where this asks for it:", to_type(""))])
        }
        Notice::RecordingDamaged { session, found, what } => {
            let of = session.map_or_else(
                || "A recording".to_owned(),
                |session| format!("The recording of session {session}"),
            );
            let subject = match found {
                Verdict::Altered => "a recording was ALTERED".to_owned(),
                _ => format!("a recording is {found}"),
            };
            let said = match found {
                Verdict::Altered => format!("{of} is not what the gate wrote: somebody changed it."),
                _ => format!("{of} is {found}: its end is missing."),
            };
            let commands =
                session.map(|session| ("To check it:", to_type(&format!("session verify {session}"))));
            (subject, said, Facts::default().is("What", what), commands.into_iter().collect())
        }
        Notice::DiskLow { gate, place, free, floor } => {
            let subject = format!("gate {gate} runs out of disk");
            let what = format!(
                "A disk of gate {gate} is almost full. Below the floor no session starts, and those that write most end."
            );
            let facts =
                Facts::default().is("Directory", place).is("Free", bytes(*free)).is("Floor", bytes(*floor));
            (subject, what, facts, Vec::new())
        }
        Notice::Test { by } => {
            let what = format!("{by} looks whether notices arrive. This one did; nothing is to be done.");
            ("a test of notices".to_owned(), what, Facts::default(), Vec::new())
        }
    }
}
