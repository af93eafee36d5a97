//! A request asked for step by step on a terminal: what was said can be gone back to, and all of it
//! is shown before anything is made. Pure: lines in, texts out.

use std::fmt::Display;
use std::str::FromStr;

use tidegate_common::name::{CredentialName, ReasonName};

use super::super::grammar::Create;
use super::super::show::{maybe, sheet};

/// What there is to ask, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
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

/// What came of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The next text is to be shown.
    Next,
    /// The same again, after this sentence.
    Wrong(String),
    /// It is to be made.
    Save,
    /// Nothing is to be made.
    Leave,
}

/// See the module.
pub(super) struct Form {
    reachable: Vec<(CredentialName, String)>,
    reasons: Vec<ReasonName>,
    steps: Vec<Step>,
    /// Which step is asked; none while all of it is shown.
    at: Option<usize>,
    /// Whether the step was chosen in the review, which follows then.
    chosen: bool,
    /// What was said so far.
    pub said: Create,
}

impl Form {
    /// With what may be reached, and what that asks for, and the reasons to choose from.
    pub fn new(reachable: Vec<(CredentialName, String)>, reasons: Vec<ReasonName>, said: Create) -> Self {
        let has_reasons = !reasons.is_empty();
        let steps = STEPS.into_iter().filter(|step| *step != Step::Reason || has_reasons).collect();
        Self { reachable, reasons, steps, at: Some(0), chosen: false, said }
    }

    /// The first text.
    pub fn welcome() -> &'static str {
        "A request for access, step by step. Enter keeps what stands in [ ], - takes it out, < goes back, \
         Ctrl-C leaves.\n"
    }

    /// What is shown before the place to type.
    pub fn text(&self) -> String {
        let Some(step) = self.at.and_then(|at| self.steps.get(at)) else { return self.review() };
        let now = self.value(*step);
        let kept = if now.is_empty() { String::new() } else { format!(" [{now}]") };
        let (about, prompt) = match step {
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
        };
        format!("\n{about}{}/{} {prompt}{kept}: ", self.at.unwrap_or_default() + 1, self.steps.len())
    }

    fn list(&self) -> String {
        let line = |(at, (name, asks)): (usize, &(CredentialName, String))| {
            format!("  {}  {name}  ({asks})\n", at + 1)
        };
        self.reachable.iter().enumerate().map(line).collect()
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

    fn review(&self) -> String {
        let lines = self.steps.iter().enumerate().map(|(at, step)| {
            let value = self.value(*step);
            let value = if value.is_empty() { "-".to_owned() } else { value };
            sheet([(format!("{:>2}  {:<15}", at + 1, Self::label(*step)).as_str(), value)])
        });
        format!(
            "\nThis will be asked for:\n{}\nsave makes the request, a number changes that step, < goes back, \
             cancel leaves: ",
            lines.collect::<String>()
        )
    }

    /// Takes what was typed.
    pub fn take(&mut self, line: &str) -> Taken {
        let line = line.trim();
        let Some(at) = self.at else { return self.choose(line) };
        if line == "<" {
            let first = at == 0;
            self.at = Some(at.saturating_sub(1));
            self.chosen = false;
            return if first { Taken::Wrong("This is the first step.".to_owned()) } else { Taken::Next };
        }
        let Some(step) = self.steps.get(at).copied() else { return Taken::Leave };
        if let Err(why) = self.answer(step, line) {
            return Taken::Wrong(why);
        }
        let next = at + 1;
        self.at = (!self.chosen && next < self.steps.len()).then_some(next);
        self.chosen = false;
        Taken::Next
    }

    fn choose(&mut self, line: &str) -> Taken {
        let steps = self.steps.len();
        match (line, line.parse::<usize>()) {
            ("save", _) => Taken::Save,
            ("cancel", _) => Taken::Leave,
            ("<", _) => {
                self.at = Some(steps.saturating_sub(1));
                Taken::Next
            }
            (_, Ok(number)) if (1..=steps).contains(&number) => {
                (self.at, self.chosen) = (Some(number - 1), true);
                Taken::Next
            }
            _ => Taken::Wrong(format!("Write save, cancel, < or a number from 1 to {steps}.")),
        }
    }

    fn answer(&mut self, step: Step, line: &str) -> Result<(), String> {
        let needs = matches!(step, Step::Credentials);
        if line.is_empty() || line == "-" {
            let missing = needs && (line == "-" || self.said.credentials.is_empty());
            if missing {
                return Err("At least one credential is needed.".to_owned());
            }
            if line == "-" {
                self.clear(step);
            }
            return Ok(());
        }
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
        Ok(())
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

    /// All of it is shown again: it could not be made as it is.
    pub fn again(&mut self) {
        self.at = None;
    }
}

fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_default).collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', ',']).filter(|word| !word.is_empty())
}

fn parsed<T: FromStr<Err: Display>>(word: &str) -> Result<T, String> {
    word.parse().map_err(|error: T::Err| error.to_string())
}

/// Things by their number in a list, or by name.
fn numbered<T, N: FromStr<Err: Display> + PartialEq>(
    line: &str,
    list: &[T],
    name: impl Fn(&T) -> N,
) -> Result<Vec<N>, String> {
    let mut all = Vec::new();
    for word in words(line) {
        let one = match word.parse::<usize>() {
            Ok(number) => match list.get(number.wrapping_sub(1)) {
                Some(one) => name(one),
                None => return Err(format!("There is no {number} in the list.")),
            },
            Err(_) => parsed(word)?,
        };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let reach = |name: &str| (name.parse().unwrap(), "1 approval".to_owned());
        Form::new(
            vec![reach("ops@db01"), reach("ops@db02")],
            vec!["incident".parse().unwrap()],
            Create::default(),
        )
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
        assert_eq!((form.take("save"), form.said.sessions), (Taken::Save, None));
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
            form.at = Some(step);
            let Taken::Wrong(why) = form.take(line) else { panic!("{line} was taken") };
            assert!(why.contains(sentence), "{line}: {why}");
            assert_eq!(form.at, Some(step));
        }
    }
}
