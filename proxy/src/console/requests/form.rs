//! What a request says, step by step.

use tidegate_common::name::{CredentialName, ReasonName};

use super::super::form::{Asks, Then, joined, numbered, parsed, shown, words};
use super::super::grammar::Create;
use super::super::show::maybe;

/// What there is to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::console) enum Step {
    Credentials,
    Justification,
    Reason,
    Governance,
    Change,
    Start,
    Duration,
    Days,
    Times,
    Sessions,
}

const STEPS: [Step; 10] = [
    Step::Credentials,
    Step::Justification,
    Step::Reason,
    Step::Governance,
    Step::Change,
    Step::Start,
    Step::Duration,
    Step::Days,
    Step::Times,
    Step::Sessions,
];

/// A request, and what there is to choose from.
#[derive(Clone)]
pub(super) struct Wanted {
    /// What may be reached, and what that asks for.
    pub reachable: Vec<(CredentialName, String)>,
    /// Reasons to choose from.
    pub reasons: Vec<ReasonName>,
    /// What was said so far.
    pub said: Create,
}

impl Wanted {
    fn list(&self) -> String {
        let line = |(at, (name, asks)): (usize, &(CredentialName, String))| {
            format!("  {}  {name}  ({asks})\n", at + 1)
        };
        self.reachable.iter().enumerate().map(line).collect()
    }
}

impl Asks for Wanted {
    type Step = Step;

    const WELCOME: &'static str = "A request for access, step by step. Enter keeps what stands in [ ], - takes it \
         out, < goes back, Ctrl-C leaves.\n";
    const REVIEW: &'static str = "This will be asked for";
    const MAKES: &'static str = "makes the request";

    fn steps(&self) -> Vec<Step> {
        let has_reasons = !self.reasons.is_empty();
        STEPS.into_iter().filter(|step| *step != Step::Reason || has_reasons).collect()
    }

    fn prompt(&self, step: Step) -> (String, &'static str) {
        match step {
            Step::Credentials => (self.list(), "Credentials, by number or name"),
            Step::Justification => (String::new(), "Justification"),
            Step::Reason => (
                self.reasons.iter().enumerate().map(|(at, name)| format!("  {}  {name}\n", at + 1)).collect(),
                "Reason, by number or name",
            ),
            Step::Governance => (String::new(), "Governance code, if any"),
            Step::Change => (String::new(), "Change ID, if any"),
            Step::Start => (String::new(), "Start: 2026-12-24T18:00Z, +2h; empty for its approval"),
            Step::Duration => (String::new(), "Duration: 90m, 2h, 3d, 1 month"),
            Step::Days => (String::new(), "Days: mon,tue; empty for all"),
            Step::Times => (String::new(), "Times: 08:00-12:00,13:00-17:45; empty for all"),
            Step::Sessions => (String::new(), "Number of sessions; empty for any"),
        }
    }

    fn label(step: Step) -> &'static str {
        match step {
            Step::Credentials => "credentials",
            Step::Justification => "justification",
            Step::Reason => "reason",
            Step::Governance => "governance code",
            Step::Change => "change",
            Step::Start => "start",
            Step::Duration => "duration",
            Step::Days => "days",
            Step::Times => "times",
            Step::Sessions => "sessions",
        }
    }

    fn value(&self, step: Step) -> String {
        let said = &self.said;
        match step {
            Step::Credentials => joined(&said.credentials),
            Step::Justification => maybe(said.justification.as_ref()),
            Step::Reason => maybe(said.reason.as_ref()),
            Step::Governance => maybe(said.governance.as_ref()),
            Step::Change => maybe(said.change.as_ref()),
            Step::Start => maybe(said.start),
            Step::Duration => maybe(said.duration),
            Step::Days => joined(&said.days),
            Step::Times => joined(&said.times),
            Step::Sessions => maybe(said.sessions),
        }
    }

    fn needed(&self, step: Step) -> Option<&'static str> {
        (step == Step::Credentials).then_some("At least one credential is needed.")
    }

    fn answer(&mut self, step: Step, line: &str) -> Result<Then, String> {
        let said = &mut self.said;
        match step {
            Step::Credentials => {
                said.credentials = numbered(line, &self.reachable, |(name, _)| name.clone())?
            }
            Step::Justification => said.justification = Some(parsed(line)?),
            Step::Reason => {
                let mut chosen = numbered(line, &self.reasons, Clone::clone)?;
                match chosen.pop().filter(|one| chosen.is_empty() && self.reasons.contains(one)) {
                    Some(reason) => said.reason = Some(reason),
                    None => return Err(format!("Choose one of {}.", joined(&self.reasons))),
                }
            }
            Step::Governance => said.governance = Some(parsed(line)?),
            Step::Change => said.change = Some(parsed(line)?),
            Step::Start => said.start = Some(parsed(line)?),
            Step::Duration => said.duration = Some(parsed(line)?),
            Step::Days => said.days = words(line).map(parsed).collect::<Result<_, _>>()?,
            Step::Times => said.times = words(line).map(parsed).collect::<Result<_, _>>()?,
            Step::Sessions => {
                let number = line.parse().map_err(|_| format!("`{}` is no number", shown(line)))?;
                said.sessions = Some(number);
            }
        }
        Ok(Then::Next)
    }

    fn clear(&mut self, step: Step) {
        let said = &mut self.said;
        match step {
            Step::Credentials => said.credentials.clear(),
            Step::Justification => said.justification = None,
            Step::Reason => said.reason = None,
            Step::Governance => said.governance = None,
            Step::Change => said.change = None,
            Step::Start => said.start = None,
            Step::Duration => said.duration = None,
            Step::Days => said.days.clear(),
            Step::Times => said.times.clear(),
            Step::Sessions => said.sessions = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::form::{Form, Taken};

    fn form() -> Form<Wanted> {
        let reach = |name: &str| (name.parse().unwrap(), "1 approval".to_owned());
        let reachable = vec![reach("ops@db01"), reach("ops@db02")];
        let reasons = vec!["incident".parse().unwrap()];
        Form::new(Wanted { reachable, reasons, said: Create::default() })
    }

    #[test]
    fn steps_are_answered_gone_back_to_and_reviewed_before_it_is_made() {
        let mut form = form();
        assert!(form.text().contains("  2  ops@db02  (1 approval)\n1/10 Credentials"), "{}", form.text());
        assert_eq!(form.take(""), Taken::Wrong("At least one credential is needed.".to_owned()));
        assert_eq!(form.take("<"), Taken::Wrong("This is the first step.".to_owned()));
        assert_eq!(form.take("3"), Taken::Wrong("There is no 3 in the list.".to_owned()));
        for line in ["1, ops@db02", "a typo", "<"] {
            assert_eq!(form.take(line), Taken::Next, "{line}");
        }
        assert!(form.text().contains("2/10 Justification [a typo]: "), "{}", form.text());
        assert_eq!(form.take("ticket 4711"), Taken::Next);
        assert_eq!(form.take("boredom"), Taken::Wrong("Choose one of incident.".to_owned()));
        for line in ["1", "", "", "+2h", "3 days", "mon tue", "08:00-12:00", "2"] {
            assert_eq!(form.take(line), Taken::Next, "{line}");
        }
        let review = form.text();
        for part in ["ops@db01, ops@db02", "ticket 4711", "incident", "3d", "mon, tue", "08:00-12:00"] {
            assert!(review.contains(part), "no `{part}` in {review}");
        }
        assert!(matches!(form.take(""), Taken::Wrong(_)), "nothing is preselected");
        assert_eq!(form.take("10"), Taken::Next);
        assert_eq!(form.take("-"), Taken::Next);
        assert!(form.text().contains("This will be asked for"), "a step that was chosen leads back");
        assert_eq!((form.take("save"), form.said.said.sessions), (Taken::Save, None));
        assert_eq!(form.take("cancel"), Taken::Leave);
    }

    #[test]
    fn an_answer_that_is_out_of_shape_is_asked_again_with_the_reason() {
        for (step, line, sentence) in [
            (0, "nobody", "`nobody` is not a credential"),
            (5, "yesterday", "write it as"),
            (6, "2 fortnights", "is not a length of time"),
            (7, "someday", "is no weekday"),
            (8, "08:05-09:00", "steps of 15 minutes"),
            (9, "many", "`many` is no number"),
        ] {
            let mut form = form();
            form.go_to(step);
            let Taken::Wrong(why) = form.take(line) else { panic!("{line} was taken") };
            assert!(why.contains(sentence), "{line}: {why}");
            assert!(form.text().contains(&format!("{}/10 ", step + 1)), "{}", form.text());
        }
    }
}
