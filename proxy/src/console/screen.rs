//! Where answers go: lines and tables for people, JSON for machines.

use clap::error::{ContextKind, ContextValue};
use serde::Serialize;
use tidegate_common::unseen::{printable, printable_lines, quoted};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::table::{Table, printable_json};
use super::{Failure, Terminal};
use crate::service::Each;

type Stream<'a> = &'a mut (dyn AsyncWrite + Unpin + Send);

/// Standard output and error of one command.
pub(super) struct Screen<'a> {
    pub out: Stream<'a>,
    pub err: Stream<'a>,
    /// The terminal's width; none without one.
    pub columns: Option<usize>,
    /// The terminal, where there is one.
    pub terminal: Option<Terminal>,
    pub json: bool,
    /// Lists are written as CSV.
    pub csv: bool,
}

/// So many letters of a word that is not understood are said again.
const LONGEST_WORD: usize = 64;

/// What clap says: help as it is, also where a word is missing; a mistake in one sentence.
pub(super) fn sentence(told: &clap::Error) -> String {
    use clap::error::ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand};
    // It says again what was typed.
    let text = cut_words(told, printable_lines(&told.render().to_string()));
    let shows = [DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand].contains(&told.kind());
    if shows || !told.use_stderr() {
        return text;
    }
    let said = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let said = said.filter(|line| !line.starts_with("For more information"));
    let said: Vec<_> = said.map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = match said.split_first() {
        // Below it stand the words that it is about.
        Some((first, words)) if first.ends_with(':') => format!("{first} {}", words.join(", ")),
        _ => said.join("; "),
    };
    format!("tidegate: {}; --help tells how to write it\n", said.strip_prefix("error: ").unwrap_or(&said))
}

/// Cuts the words that clap says again.
fn cut_words(told: &clap::Error, text: String) -> String {
    let kinds = [ContextKind::InvalidValue, ContextKind::InvalidArg, ContextKind::InvalidSubcommand];
    kinds.into_iter().fold(text, |text, kind| match told.get(kind) {
        Some(ContextValue::String(word)) if word.chars().count() > LONGEST_WORD => {
            text.replace(&printable_lines(word), &quoted(word, LONGEST_WORD))
        }
        _ => text,
    })
}

impl Screen<'_> {
    /// One or more lines.
    pub async fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).await?;
        Ok(self.out.write_all(b"\n").await?)
    }

    /// A piece of a line.
    pub async fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes()).await?)
    }

    /// A remark that is no part of the answer; it may say again what somebody wrote.
    pub async fn remark(&mut self, text: &str) -> Result<(), Failure> {
        self.err.write_all(printable_lines(text).as_bytes()).await?;
        Ok(self.err.write_all(b"\n").await?)
    }

    /// Why it did not work.
    pub async fn complain(&mut self, text: &str) -> Result<(), Failure> {
        self.remark(&format!("tidegate: {text}")).await
    }

    /// What clap says: help on standard output, a mistake on standard error.
    pub async fn usage(&mut self, told: &clap::Error) -> u8 {
        let stream = if told.use_stderr() { &mut self.err } else { &mut self.out };
        let _ = stream.write_all(sentence(told).as_bytes()).await;
        let _ = self.flush().await;
        if told.use_stderr() { 2 } else { 0 }
    }

    /// What came of each, a sentence for people; one that was asked for alone fails alone.
    pub async fn each<T: Serialize>(
        &mut self,
        each: Each<T>,
        sentence: impl Fn(&T) -> String,
    ) -> Result<u8, Failure> {
        let Each { done, mut failed } = each;
        if done.is_empty()
            && failed.len() == 1
            && let Some(alone) = failed.pop()
        {
            return Err(alone.into());
        }
        if self.json {
            self.list(&done, || Table::new([])).await?;
        } else {
            for one in &done {
                self.plain(&sentence(one)).await?;
            }
        }
        for failure in &failed {
            self.complain(&failure.to_string()).await?;
        }
        Ok(u8::from(!failed.is_empty()))
    }

    /// A list: a table for people, an array for machines.
    pub async fn list<T: Serialize>(
        &mut self,
        items: &[T],
        table: impl FnOnce() -> Table,
    ) -> Result<(), Failure> {
        self.list_or(items, table, "There is nothing to show.").await
    }

    /// A list, and what people read where it is empty.
    pub async fn list_or<T: Serialize>(
        &mut self,
        items: &[T],
        table: impl FnOnce() -> Table,
        empty: &str,
    ) -> Result<(), Failure> {
        if self.json {
            return self.json(items).await;
        }
        let table = table();
        if self.csv {
            return self.text(&table.csv()).await;
        }
        if table.is_empty() {
            return self.remark(empty).await;
        }
        self.line(&table.render(self.columns)).await
    }

    /// Sentences below a list that its table has no room for; machines find them in the
    /// list itself. What could move the cursor is escaped, whoever wrote it.
    pub async fn notes(&mut self, notes: &[String]) -> Result<(), Failure> {
        if self.json || notes.is_empty() {
            return Ok(());
        }
        let plain = |note: &String| note.chars().map(printable).collect::<String>();
        let lines: Vec<String> = notes.iter().map(plain).collect();
        self.line(&format!("\n{}", lines.join("\n"))).await
    }

    /// One thing: lines for people, an object for machines.
    pub async fn one<T: Serialize>(
        &mut self,
        item: &T,
        lines: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { self.json(item).await } else { self.line(lines().trim_end()).await }
    }

    /// The same where somebody else's words stand in the lines.
    pub async fn one_told<T: Serialize>(
        &mut self,
        item: &T,
        lines: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { self.json(item).await } else { self.plain(lines().trim_end()).await }
    }

    async fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(&printable_json(&text)).await
    }

    /// A value on one line.
    pub async fn json_text<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string(value)?;
        self.text(&printable_json(&text)).await
    }

    /// One or more lines in which somebody else's words stand.
    pub async fn plain(&mut self, text: &str) -> Result<(), Failure> {
        self.line(&printable_lines(text)).await
    }

    pub async fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush().await?;
        self.err.flush().await
    }
}
