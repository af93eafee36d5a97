//! The manual page of a program: one page with all its commands, as an administrator
//! looks them up.

use anyhow::Result;

use super::title;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// A page.
pub struct Page<'a> {
    pub command: Command,
    /// The page's name.
    pub name: &'static str,
    /// 1 for what anybody runs, 8 for what administrators do.
    pub section: u8,
    /// What is typed before a command.
    pub calls: &'static str,
    /// Paragraphs.
    pub description: &'a [&'a str],
    /// Each with what it is for.
    pub files: &'a [(&'a str, &'a str)],
    pub see_also: &'a str,
}

impl Page<'_> {
    pub fn render(&self) -> Result<Vec<u8>> {
        let mut command =
            self.command.clone().bin_name(self.calls).display_name(self.name).disable_help_subcommand(true);
        command.build();
        let man = Man::new(command.clone());
        let mut page = title(self.name, self.section).into_bytes();
        man.render_name_section(&mut page)?;
        let mut head = Roff::new();
        head.control("SH", ["SYNOPSIS"]);
        head.text([bold(usage(&mut command))]);
        head.control("SH", ["DESCRIPTION"]);
        for paragraph in self.description {
            head.control("PP", []);
            head.text([roman(*paragraph)]);
        }
        page.extend(text(&head)?);
        man.render_options_section(&mut page)?;
        if command.has_subcommands() {
            page.extend(text(Roff::new().control("SH", ["COMMANDS"]))?);
        }
        for sub in command.get_subcommands() {
            add(&mut page, sub, self.calls)?;
        }
        let mut rest = Roff::new();
        after_help(&mut rest, &command, "SH");
        if !self.files.is_empty() {
            rest.control("SH", ["FILES"]);
        }
        for (path, what) in self.files {
            rest.control("TP", []);
            rest.text([bold(*path)]);
            rest.text([roman(*what)]);
        }
        rest.control("SH", ["SEE ALSO"]);
        rest.text([roman(self.see_also)]);
        page.extend(text(&rest)?);
        once(&String::from_utf8(page)?)
    }
}

/// Adds a command, or all those below it.
fn add(page: &mut Vec<u8>, command: &Command, calls: &str) -> Result<()> {
    let calls = format!("{calls} {}", command.get_name());
    if command.has_subcommands() {
        return command.get_subcommands().try_for_each(|sub| add(page, sub, &calls));
    }
    // What holds for every command stands under OPTIONS already.
    let mut own = command.clone().bin_name(&calls).mut_args(|argument| {
        let everywhere =
            argument.is_global_set() || ["help", "version"].contains(&argument.get_id().as_str());
        if everywhere { argument.hide(true) } else { argument }
    });
    let mut head = Roff::new();
    head.control("SS", [usage(&mut own).as_str()]);
    let about = command.get_long_about().or_else(|| command.get_about());
    head.text([roman(about.map(ToString::to_string).unwrap_or_default())]);
    page.extend(text(&head)?);
    let mut options = Vec::new();
    Man::new(own).render_options_section(&mut options)?;
    let options = String::from_utf8(options)?;
    page.extend(options.replacen(".SH OPTIONS\n", "", 1).into_bytes());
    let mut after = Roff::new();
    after_help(&mut after, command, "PP");
    page.extend(text(&after)?);
    Ok(())
}

/// How it is called, on one line.
fn usage(command: &mut Command) -> String {
    let usage = command.render_usage().to_string();
    usage.trim_start_matches("Usage:").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Examples and what else stands below a command's help, line by line.
fn after_help(roff: &mut Roff, command: &Command, heading: &str) {
    let Some(text) = command.get_after_help() else { return };
    match heading {
        "SH" => roff.control("SH", ["EXAMPLES"]),
        other => roff.control(other, []),
    };
    roff.control("nf", []);
    for line in text.to_string().lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

/// What defines the apostrophe stands at the head of the page, not of each part.
fn once(page: &str) -> Result<Vec<u8>> {
    let preamble = String::from_utf8(text(&Roff::new())?)?;
    Ok((preamble.clone() + &page.replace(&preamble, "")).into_bytes())
}

fn text(roff: &Roff) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    roff.to_writer(&mut text)?;
    Ok(text)
}
