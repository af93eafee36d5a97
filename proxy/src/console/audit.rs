//! `audit …`

use tidegate_common::audit::Record;
use tidegate_common::name::GateName;

use super::grammar::Audit;
use super::screen::Screen;
use super::{Actor, Failure, Services};
use crate::service::audit::{self, Part, Records, Verified};

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: Audit,
    screen: &mut Screen<'_>,
) -> Result<u8, Failure> {
    match asked {
        Audit::Tail { count, follow } => {
            let mut printer = Printer { screen, follow, before: "[\n" };
            audit::tail(services, actor, count, follow, &mut printer).await?;
            printer.end().await?;
            Ok(0)
        }
        Audit::Verify => {
            let found = audit::verify(services, actor).await?;
            let text = match &found {
                Verified::Whole { link, records, others, .. } => {
                    let mut text =
                        format!("the audit log is whole: {records} records, the last link is {link}");
                    for (gate, Part { link, records }) in others {
                        text.push_str(&format!(
                            "\nof gate {gate}: {records} records, the last link is {link}"
                        ));
                    }
                    text
                }
                Verified::Copy { why, .. } | Verified::Broken { why, .. } => why.clone(),
            };
            screen.one(&found, || text).await?;
            Ok(u8::from(!matches!(found, Verified::Whole { .. })))
        }
    }
}

/// Prints each record as it comes: a long log needs no memory for it.
struct Printer<'a, 'b> {
    screen: &'a mut Screen<'b>,
    follow: bool,
    /// What stands before the next record of an array.
    before: &'static str,
}

impl Printer<'_, '_> {
    async fn print(&mut self, gate: Option<&GateName>, record: &Record) -> Result<(), Failure> {
        match (self.screen.json, self.follow) {
            // An array has no end while one follows: a line for each record then.
            (true, true) => {
                self.screen.json_text(record).await?;
                self.screen.text("\n").await?;
            }
            (true, false) => {
                self.screen.text(std::mem::replace(&mut self.before, ",\n")).await?;
                self.screen.json_text(record).await?;
            }
            (false, _) => match gate {
                Some(gate) => self.screen.plain(&format!("{gate}: {record}")).await?,
                None => self.screen.plain(&record.to_string()).await?,
            },
        }
        if self.follow {
            self.screen.flush().await?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Failure> {
        match (self.screen.json && !self.follow, self.before) {
            (false, _) => Ok(()),
            (true, "[\n") => self.screen.text("[]\n").await,
            (true, _) => self.screen.text("\n]\n").await,
        }
    }
}

impl Records for Printer<'_, '_> {
    async fn record(&mut self, gate: Option<&GateName>, record: Record) -> std::io::Result<()> {
        match self.print(gate, &record).await {
            Err(Failure::Stream(error)) => Err(error),
            other => other.map_err(std::io::Error::other),
        }
    }
}
