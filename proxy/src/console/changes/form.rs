//! What a planned change says, step by step.

use super::super::form::{Asks, Then, each, joined, parsed, shown};
use super::super::grammar::CreateChange;
use super::super::show::maybe;

/// What there is to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::console) enum Step {
    Id,
    Title,
    Description,
    Group,
    Devices,
    Start,
    Due,
    Expected,
    Allowed,
    Ordered,
    Responsible,
    Interrupt,
}

const STEPS: [Step; 12] = [
    Step::Id,
    Step::Title,
    Step::Description,
    Step::Group,
    Step::Devices,
    Step::Start,
    Step::Due,
    Step::Expected,
    Step::Allowed,
    Step::Ordered,
    Step::Responsible,
    Step::Interrupt,
];

impl Asks for CreateChange {
    type Step = Step;

    const WELCOME: &'static str = "A planned change, step by step. Enter keeps what stands in [ ], - takes it out, \
         < goes back, Ctrl-C leaves.\n";
    const REVIEW: &'static str = "This will be planned";
    const MAKES: &'static str = "makes the change, which somebody else approves";

    fn steps(&self) -> Vec<Step> {
        STEPS.to_vec()
    }

    fn prompt(&self, step: Step) -> (String, &'static str) {
        let prompt = match step {
            Step::Id => "ID, as your organisation writes it",
            Step::Title => "Title",
            Step::Description => "Description, if any",
            Step::Group => "Access group",
            Step::Devices => "Devices: db01,db02",
            Step::Start => "Start: 2026-12-24T18:00Z, +2h; empty for now",
            Step::Due => "Due: 2026-12-24T22:00Z, +4h",
            Step::Expected => "A command that has to run, * for anything; one at a time, Enter goes on",
            Step::Allowed => "A command that may run; one at a time, Enter goes on",
            Step::Ordered => "In this order? yes or no",
            Step::Responsible => "Responsible, who are told of what is not expected: olga,adam",
            Step::Interrupt => "End a session in which something else runs? yes or no",
        };
        (String::new(), prompt)
    }

    fn label(step: Step) -> &'static str {
        match step {
            Step::Id => "id",
            Step::Title => "title",
            Step::Description => "description",
            Step::Group => "access group",
            Step::Devices => "devices",
            Step::Start => "start",
            Step::Due => "due",
            Step::Expected => "has to run",
            Step::Allowed => "may run",
            Step::Ordered => "in order",
            Step::Responsible => "responsible",
            Step::Interrupt => "interrupts",
        }
    }

    fn value(&self, step: Step) -> String {
        let lines = |commands: &[_]| commands.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        match step {
            Step::Id => maybe(self.id.as_ref()),
            Step::Title => maybe(self.title.as_ref()),
            Step::Description => maybe(self.description.as_ref()),
            Step::Group => maybe(self.group.as_ref()),
            Step::Devices => joined(&self.device),
            Step::Start => maybe(self.start),
            Step::Due => maybe(self.due),
            Step::Expected => lines(&self.expect),
            Step::Allowed => lines(&self.allow),
            Step::Ordered => yes(self.ordered),
            Step::Responsible => joined(&self.responsible),
            Step::Interrupt => yes(self.interrupt),
        }
    }

    fn needed(&self, step: Step) -> Option<&'static str> {
        match step {
            Step::Id => Some("A change has an id."),
            Step::Title => Some("A change has a title."),
            Step::Group => Some("A change is under an access group."),
            Step::Devices => Some("At least one device is needed."),
            Step::Due => Some("A change has an end."),
            Step::Responsible => Some("At least one person is responsible."),
            _ => None,
        }
    }

    fn answer(&mut self, step: Step, line: &str) -> Result<Then, String> {
        match step {
            Step::Id => self.id = Some(parsed(line)?),
            Step::Title => self.title = Some(parsed(line)?),
            Step::Description => self.description = Some(parsed(line)?),
            Step::Group => self.group = Some(parsed(line)?),
            Step::Devices => self.device = each(line)?,
            Step::Start => self.start = Some(parsed(line)?),
            Step::Due => self.due = Some(parsed(line)?),
            Step::Expected => {
                self.expect.push(parsed(line)?);
                return Ok(Then::More);
            }
            Step::Allowed => {
                self.allow.push(parsed(line)?);
                return Ok(Then::More);
            }
            Step::Ordered => self.ordered = yes_or_no(line)?,
            Step::Responsible => self.responsible = each(line)?,
            Step::Interrupt => self.interrupt = yes_or_no(line)?,
        }
        Ok(Then::Next)
    }

    fn clear(&mut self, step: Step) {
        match step {
            Step::Id => self.id = None,
            Step::Title => self.title = None,
            Step::Description => self.description = None,
            Step::Group => self.group = None,
            Step::Devices => self.device.clear(),
            Step::Start => self.start = None,
            Step::Due => self.due = None,
            Step::Expected => self.expect.clear(),
            Step::Allowed => self.allow.clear(),
            Step::Ordered => self.ordered = false,
            Step::Responsible => self.responsible.clear(),
            Step::Interrupt => self.interrupt = false,
        }
    }
}

fn yes_or_no(line: &str) -> Result<bool, String> {
    match line.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err(format!("`{}` is neither yes nor no", shown(line))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::form::{Form, Taken};

    #[test]
    fn a_change_is_asked_for_line_by_line_and_reviewed_before_it_is_made() {
        let mut form = Form::new(CreateChange::default());
        assert!(form.text().contains("1/12 ID"), "{}", form.text());
        assert_eq!(form.take(""), Taken::Wrong("A change has an id.".to_owned()));
        assert!(matches!(form.take("no id"), Taken::Wrong(_)));
        for line in ["CHG-1", "Restart the database", "", "dba", "db01,db02 db01", "", "+2h"] {
            assert_eq!(form.take(line), Taken::Next, "{line}");
        }
        for line in ["stop", "start *"] {
            assert_eq!(form.take(line), Taken::Next);
            assert!(form.text().contains("8/12 "), "it takes more: {}", form.text());
        }
        assert!(form.text().contains("[stop | start *]"), "{}", form.text());
        let Taken::Wrong(_) = form.take("*") else { panic!("anything was taken") };
        for line in ["", "df *", "", "yes"] {
            assert_eq!(form.take(line), Taken::Next, "{line}");
        }
        assert_eq!(form.take("-"), Taken::Wrong("At least one person is responsible.".to_owned()));
        assert_eq!(form.take("olga"), Taken::Next);
        assert_eq!(form.take("perhaps"), Taken::Wrong("`perhaps` is neither yes nor no".to_owned()));
        assert_eq!(form.take(""), Taken::Next);
        let review = form.text();
        for part in ["CHG-1", "db01, db02", "stop | start *", "df *", "olga", "+2h"] {
            assert!(review.contains(part), "no `{part}` in {review}");
        }
        // A step that is chosen leads back; - takes out all of its lines.
        assert_eq!((form.take("8"), form.take("-")), (Taken::Next, Taken::Next));
        assert!(form.text().contains("This will be planned") && form.said.expect.is_empty());
        assert_eq!(form.take("save"), Taken::Save);
        assert!(form.said.ordered && !form.said.interrupt);
    }
}
