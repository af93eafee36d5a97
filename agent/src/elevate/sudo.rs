//! A sudo rule as a drop-in file, which sudo reads through one `@includedir` that
//! `tidegate-agent install` placed. The directory is below /run: a reboot clears it.
//!
//! The text is written from typed fields only. The host's own visudo checks it
//! before sudo can see it, and the host's own sudo says afterwards whether the rule
//! is in force, no later one does otherwise and no setting has its commands run elsewhere
//! (`sudo -ll -U account`).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tidegate_common::grant::{SudoRule, SudoTag};
use tidegate_common::id::SessionId;
use tidegate_common::name::AccountName;

use super::defaults::{self, Whose};
use super::listing::{self, Granted, Standing};
use super::sudoers::Policy;
use super::{account, groups};
use crate::core::Delta;
use crate::files::replace;
use crate::paths::Paths;
use crate::program::{self, Answer, run, run_on_terminal, run_with};
use crate::text::shown;

/// How long visudo or sudo may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// sudo asks for its host's full name, so where no server of names answers it waits; root's is
/// told not to wait long (resolv.conf(5)).
const PATIENCE: Duration = Duration::from_secs(8);
const NAMES: (&str, &str) = ("RES_OPTIONS", "timeout:1 attempts:1");

/// The most that is kept of a drop-in that someone else wrote into.
const MOST_KEPT: u64 = 64 * 1024;

/// What the host's sudo can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SudoVersion {
    /// sudo since 1.8.20: knows `NOTAFTER`.
    Dated,
    /// An older one, or sudo-rs: the rule ends only when it is removed.
    Undated,
}

impl SudoVersion {
    /// Asks the host's visudo, which is of the same version and asks nobody else; `None` when
    /// there is no sudo.
    ///
    /// # Errors
    /// When it does not answer now, which says nothing of whether there is one.
    pub fn of_host() -> Result<Option<Self>, String> {
        if !program::is_there("sudo") {
            return Ok(None);
        }
        let answer = run("visudo", &["-V"], DEADLINE);
        let answer = answer.map_err(|error| format!("which sudo the host has is not known now: {error}"))?;
        Ok(Some(Self::read(&answer.text)))
    }

    fn read(text: &str) -> Self {
        let version = text.lines().next().and_then(|line| line.strip_prefix("visudo version "));
        let mut numbers = version
            .unwrap_or_default()
            .split(|letter: char| !letter.is_ascii_digit())
            .map(|number| number.parse().unwrap_or(0u32));
        let mut next = || numbers.next().unwrap_or(0);
        if (next(), next(), next()) >= (1, 8, 20) { Self::Dated } else { Self::Undated }
    }
}

/// One unit's fields.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    pub account: &'a AccountName,
    pub rule: &'a SudoRule,
    pub not_after: Option<jiff::Timestamp>,
}

impl Rule<'_> {
    /// What its file is called: one of the same session with another end has another name.
    pub fn file(&self, session: SessionId, index: usize) -> String {
        match self.not_after {
            Some(end) => format!("{session}-{index}-{}", end.as_nanosecond()),
            None => format!("{session}-{index}"),
        }
    }

    fn run_as(&self) -> String {
        let names: Vec<&str> = self.rule.run_as.iter().map(AccountName::as_str).collect();
        if names.is_empty() { "root".to_owned() } else { names.join(", ") }
    }

    /// The end as sudoers(5) writes it, always in UTC: without the `Z` sudo would
    /// read it in the caller's own time zone (CVE-2026-96512).
    fn not_after(&self, sudo: Option<SudoVersion>) -> Option<String> {
        let end = self.not_after.filter(|_| sudo == Some(SudoVersion::Dated))?;
        Some(end.strftime("%Y%m%d%H%M%SZ").to_string())
    }

    /// As sudo lists it.
    fn granted(&self, sudo: Option<SudoVersion>, asks_by_default: bool) -> Granted<'_> {
        let names: Vec<&str> = self.rule.run_as.iter().map(AccountName::as_str).collect();
        Granted {
            run_as: if names.is_empty() { vec!["root"] } else { names },
            commands: self.rule.commands.iter().map(|command| command.as_str()).collect(),
            asks_password: !self.rule.tags.contains(&SudoTag::NoPasswd),
            not_after: self.not_after(sudo),
            asks_by_default,
        }
    }

    /// The drop-in, or why a field cannot be written as a rule.
    fn text(&self, sudo: Option<SudoVersion>) -> Result<String, String> {
        if is_alias(self.account.as_str()) {
            return Err(format!("the account `{}` reads as an alias in sudoers; rename it", self.account));
        }
        if let Some(name) =
            self.rule.run_as.iter().find(|name| is_alias(name.as_str()) && name.as_str() != "ALL")
        {
            return Err(format!("`{name}` in run_as reads as an alias in sudoers; name an account"));
        }
        if self.rule.commands.is_empty() {
            return Err("the sudo rule names no command; name at least one".to_owned());
        }
        let mut text = String::from("# Tidegate: for one session, removed when it ends.\n");
        text.push_str(&format!("{} ALL=({})", self.account, self.run_as()));
        if let Some(end) = self.not_after(sudo) {
            text.push_str(&format!(" NOTAFTER={end}"));
        }
        // Whatever the host's settings say of a password.
        if !self.rule.tags.iter().any(|tag| matches!(tag, SudoTag::NoPasswd | SudoTag::Passwd)) {
            text.push_str(" PASSWD:");
        }
        for tag in &self.rule.tags {
            text.push_str(&format!(" {}:", tag.as_str()));
        }
        let commands: Vec<&str> = self.rule.commands.iter().map(|command| command.as_str()).collect();
        text.push_str(&format!(" {}\n", commands.join(", ")));
        Ok(text)
    }
}

/// sudoers(5) takes a word of capitals, digits and underscores for an alias.
fn is_alias(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
}

/// What the rule will be written as. The account may be one that is only about to be created.
pub fn plan(
    paths: &Paths,
    sudo: Option<SudoVersion>,
    rule: &Rule<'_>,
    file: &str,
    coming: bool,
) -> Result<Delta, String> {
    if sudo.is_none() {
        return Err("sudo is not installed on this host; install it or take the rule away".to_owned());
    }
    if !coming {
        account::find(paths, rule.account)?;
    }
    if let Some(effect) = effects(paths, rule).into_iter().find(|effect| effect.refuses && effect.certain) {
        return Err(format!(
            "{}; take that line away or have it not count for `{}`",
            effect.said, rule.account
        ));
    }
    let text = rule.text(sudo)?;
    Ok(Delta::Sudo { file: file.to_owned(), blake3: blake3::hash(text.as_bytes()).to_hex().to_string() })
}

/// What the host's settings do to it, as far as its files tell.
pub fn effects(paths: &Paths, rule: &Rule<'_>) -> Vec<defaults::Effect> {
    let Some(policy) = policy(paths) else { return Vec::new() };
    let is_in = |group: &str| groups::is_in(paths, rule.account, group);
    let mut effects =
        defaults::effects(&policy, &Whose { account: rule.account, rule: rule.rule, is_in: &is_in });
    let kept_out = defaults::root_kept_out(&policy).map(|(place, setting)| defaults::Effect {
        said: format!(
            "sudo does not answer root (`{setting}`, {place}), so that the agent cannot see what it would do"
        ),
        refuses: true,
        certain: true,
    });
    effects.extend(kept_out);
    effects
}

fn policy(paths: &Paths) -> Option<Policy> {
    Policy::read(&paths.etc.join("sudoers"), &paths.sudoers_d()).ok()
}

/// Writes the rule where sudo reads it, once visudo has found it right.
pub fn apply(paths: &Paths, sudo: Option<SudoVersion>, rule: &Rule<'_>, file: &str) -> Result<(), String> {
    let directory = paths.sudoers_d();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&directory)
        .map_err(|error| format!("{} could not be made: {error}", directory.display()))?;
    // sudo skips names with a dot in them, so it never reads what is not checked yet.
    let fresh = directory.join(format!(".{file}"));
    let checked = write_checked(&fresh, &rule.text(sudo)?).and_then(|()| {
        let place = directory.join(file);
        std::fs::rename(&fresh, &place)
            .map_err(|error| format!("{} could not be put in place: {error}", place.display()))
    });
    if checked.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    checked
}

fn write_checked(fresh: &Path, text: &str) -> Result<(), String> {
    let wrong = |error: io::Error| format!("{} could not be written: {error}", fresh.display());
    let _ = std::fs::remove_file(fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o440).open(fresh).map_err(wrong)?;
    file.write_all(text.as_bytes()).map_err(wrong)?;
    // Whatever the umask says: sudo insists on its own mode.
    file.set_permissions(std::fs::Permissions::from_mode(0o440)).map_err(wrong)?;
    drop(file);
    let path = fresh.to_string_lossy();
    let words = ["-cf", &path];
    let answer = run_with("visudo", "visudo", &words, &names(), Stdio::null(), PATIENCE);
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status.success() { Ok(()) } else { Err(format!("visudo refuses the rule: {}", answer.line())) }
}

/// Whether sudo itself finds the rule in force, and goes by it.
pub fn verify(paths: &Paths, sudo: Option<SudoVersion>, rule: &Rule<'_>) -> Result<(), String> {
    let account = rule.account.as_str();
    let answer = ask(account)?;
    if answer.text.contains(KEPT_OUT) {
        let policy = policy(paths);
        let line = policy.as_ref().and_then(defaults::root_kept_out);
        let line = line.map_or_else(String::new, |(place, setting)| format!("`{setting}` in {place}: "));
        return Err(format!(
            "{line}sudo does not answer root, so that the agent cannot see what it would do"
        ));
    }
    let settings = listing::settings(&answer.text);
    let elsewhere = |setting: &&String| setting.starts_with("runchroot=") && *setting != "runchroot=*";
    if let Some(setting) = settings.iter().find(elsewhere) {
        let policy = policy(paths);
        let line = policy.as_ref().and_then(|policy| defaults::line_of(policy, "runchroot", true));
        let line =
            line.map_or_else(|| "its policy".to_owned(), |(place, setting)| format!("`{setting}`, {place}"));
        return Err(format!("sudo would run what is granted in another root, by {setting} ({line})"));
    }
    let asks_by_default = !settings.iter().any(|setting| setting == "!authenticate");
    match listing::standing(&listing::entries(&answer.text), &rule.granted(sudo, asks_by_default)) {
        Standing::Decides => Ok(()),
        Standing::Missing => {
            let hint = "is `tidegate-agent install` done, so that sudo reads the agent's directory?";
            Err(format!("sudo does not find the new rule in force; {hint} It says: {}", answer.line()))
        }
        Standing::Overridden(entry) => {
            let place =
                entry.place.clone().or_else(|| later(paths)).unwrap_or_else(|| "its policy".to_owned());
            Err(format!(
                "sudo goes by another rule for `{account}`, which comes after the new one: `{entry}` in {place}; \
                 have sudo read that before the rules of sessions, or take it away (tidegate-agent doctor)"
            ))
        }
    }
}

/// What sudo says where `requiretty` is set and nobody has one, and where `root_sudo` is not.
const NO_TERMINAL: &str = "must have a tty";
const KEPT_OUT: &str = "root is not allowed to";

/// What sudo lists for an account; on a terminal where it insists on one.
fn ask(account: &str) -> Result<Answer, String> {
    let words = ["-n", "-ll", "-U", account];
    let late = |error: program::ProgramError| match error {
        program::ProgramError::Late { .. } => {
            format!(
                "{error}; does this host know its own name (/etc/hosts, DNS)? It is asked again with the next session"
            )
        }
        error => error.to_string(),
    };
    let answer = run_with("sudo", "sudo", &words, &names(), Stdio::null(), PATIENCE).map_err(late)?;
    match answer.text.contains(NO_TERMINAL) {
        true => run_on_terminal("sudo", &words, &names(), PATIENCE).map_err(late),
        false => Ok(answer),
    }
}

fn names() -> [(String, String); 1] {
    [(NAMES.0.to_owned(), NAMES.1.to_owned())]
}

/// Where rules are that sudo reads after those of sessions, where it does not tell by itself.
fn later(paths: &Paths) -> Option<String> {
    let policy = policy(paths)?;
    let mut files: Vec<String> =
        policy.later.iter().map(|place| shown(place.file.as_os_str().as_bytes())).collect();
    files.dedup();
    (!files.is_empty()).then(|| files.join(" or "))
}

/// Removes the drop-in and looks that it is gone. One that someone else wrote into
/// is kept for its owner to see, out of sudo's sight.
pub fn undo(paths: &Paths, file: &str, blake3: &str, applied: bool) -> Result<Option<String>, String> {
    if file.contains(['/', '\0']) || file.starts_with('.') {
        return Err(format!("the journal names `{file}`, which is no file of the agent's directory"));
    }
    let directory = paths.sudoers_d();
    let _ = std::fs::remove_file(directory.join(format!(".{file}")));
    let path = directory.join(file);
    let content = match File::open(&path) {
        Ok(open) => {
            let mut content = Vec::new();
            let _ = open.take(MOST_KEPT).read_to_end(&mut content);
            Some(content)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => Some(Vec::new()),
    };
    let Some(content) = content else {
        return Ok(
            applied.then(|| format!("{} was gone already, though the agent had placed it", path.display()))
        );
    };
    let found = if blake3::hash(&content).to_hex().as_str() == blake3 {
        None
    } else {
        let kept = paths.state.join(format!("changed-{file}"));
        let saved = replace(&kept, &content, 0o600).is_ok();
        let place = if saved { format!("; what it held is in {}", kept.display()) } else { String::new() };
        Some(format!("{} had been changed by someone else and was taken away{place}", path.display()))
    };
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(format!("{} could not be removed: {error}", path.display()))
        }
        Ok(()) | Err(_) if path.symlink_metadata().is_ok() => {
            Err(format!("{} is still there after it was removed", path.display()))
        }
        Ok(()) | Err(_) => Ok(found),
    }
}

#[cfg(test)]
#[path = "sudo_tests.rs"]
mod tests;
