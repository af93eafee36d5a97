//! An administrator's programs in a directory of the test's own.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::test::Scratch;

/// Keeps its state in a file named after the account.
const GRANT: &str = "#!/bin/sh\necho \"$TIDEGATE_VALUE_ROLE $(pwd)\" > STATE-$TIDEGATE_ACCOUNT\n";
const VERIFY: &str = "#!/bin/sh\ntest -e STATE-$TIDEGATE_ACCOUNT\n";
const REVOKE: &str = "#!/bin/sh\nrm -f STATE-$TIDEGATE_ACCOUNT\n";
const DECLARATION: &str = "[values.role]\none_of = [\"read\", \"write\"]\n";

struct Host {
    scratch: Scratch,
    custom: Custom,
    account: AccountName,
}

impl Host {
    /// `None`, and why, where the directory cannot be root's.
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            println!("SKIPPED: programs of custom privileges must be root's");
            return None;
        }
        let scratch = Scratch::new();
        let custom = serde_json::from_str(r#"{"name":"db-role","values":{"role":"read"}}"#).unwrap();
        let host = Self { scratch, custom, account: "ops".parse().unwrap() };
        std::fs::create_dir_all(host.place("")).unwrap();
        for (name, text) in [("grant", GRANT), ("verify", VERIFY), ("revoke", REVOKE)] {
            host.write(name, text);
        }
        host.write("privilege.toml", DECLARATION);
        Some(host)
    }

    fn place(&self, name: &str) -> PathBuf {
        self.scratch.paths().custom().join("db-role").join(name)
    }

    fn state(&self) -> PathBuf {
        self.scratch.path().join("state-of-ops")
    }

    fn write(&self, name: &str, text: &str) {
        let state = self.state().display().to_string();
        std::fs::write(self.place(name), text.replace("STATE-$TIDEGATE_ACCOUNT", &state)).unwrap();
        std::fs::set_permissions(self.place(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { account: &self.account, custom: &self.custom }
    }

    fn plan(&self) -> Result<Delta, String> {
        plan(self.scratch.paths(), &self.wanted(), SessionId::new(1, 1))
    }

    fn undo(&self, delta: &Delta) -> Result<Option<String>, String> {
        undo(self.scratch.paths(), &self.wanted(), delta, true)
    }
}

#[test]
fn grant_verify_and_revoke_run_with_the_values_and_nothing_else() {
    let Some(host) = Host::new() else { return };
    let paths = host.scratch.paths();
    let delta = host.plan().unwrap();
    apply(paths, &host.wanted(), &delta).unwrap();
    verify(paths, &host.wanted(), &delta).unwrap();
    assert_eq!(std::fs::read_to_string(host.state()).unwrap(), "read /\n");
    assert!(host.plan().unwrap().is_nothing(), "what is in force before is not granted, nor revoked");
    assert_eq!(host.undo(&delta), Ok(None));
    assert!(!host.state().exists());
    assert!(verify(paths, &host.wanted(), &delta).is_err());
}

#[test]
fn a_program_or_directory_that_others_may_write_is_not_run() {
    let Some(host) = Host::new() else { return };
    for name in ["", "grant", "revoke", "verify", "privilege.toml"] {
        let mode = |mode| std::fs::set_permissions(host.place(name), std::fs::Permissions::from_mode(mode));
        mode(0o775).unwrap();
        let why = host.plan().unwrap_err();
        assert!(why.contains("must belong to root and be writable by nobody else"), "{name}: {why}");
        mode(0o755).unwrap();
        assert!(host.plan().is_ok(), "{name}");
        std::os::unix::fs::chown(host.place(name), Some(65534), None).unwrap();
        assert!(host.plan().is_err(), "{name}");
        std::os::unix::fs::chown(host.place(name), Some(0), None).unwrap();
    }
}

#[test]
fn a_link_in_the_place_of_a_program_is_not_followed() {
    let Some(host) = Host::new() else { return };
    std::fs::rename(host.place("grant"), host.place("other")).unwrap();
    std::os::unix::fs::symlink(host.place("other"), host.place("grant")).unwrap();
    assert!(host.plan().unwrap_err().contains("grant could not be opened"));
}

#[test]
fn values_that_the_host_does_not_declare_are_refused() {
    let Some(mut host) = Host::new() else { return };
    for (values, why) in [
        (r#"{"role":"owner"}"#, "does not allow `owner`"),
        (r#"{"role":"read","more":"x"}"#, "declares no value `more`"),
        ("{}", "needs the value `role`"),
    ] {
        host.custom = serde_json::from_str(&format!(r#"{{"name":"db-role","values":{values}}}"#)).unwrap();
        let said = host.plan().unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    let field: Field = toml::from_str("letters = \"a-z-\"").unwrap();
    assert!(field.allows("a-b") && !field.allows("A") && !field.allows("") && !field.allows("a b"));
}

#[test]
fn a_program_that_hangs_is_ended_with_what_it_started() {
    let Some(host) = Host::new() else { return };
    let pid = host.scratch.path().join("pid");
    host.write("grant", &format!("#!/bin/sh\nsleep 1000 & echo $! > {}\nwait\n", pid.display()));
    host.write("privilege.toml", &format!("deadline_seconds = 1\n{DECLARATION}"));
    let delta = host.plan().unwrap();
    let why = apply(host.scratch.paths(), &host.wanted(), &delta).unwrap_err();
    assert!(why.contains("took longer than 1000 ms"), "{why}");
    let child = std::fs::read_to_string(pid).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    assert!(stat.is_err() || stat.unwrap().contains(") Z "), "its child still runs");
}

#[test]
fn a_failure_says_what_the_program_said_and_a_revoke_that_does_nothing_stands() {
    let Some(host) = Host::new() else { return };
    let delta = host.plan().unwrap();
    apply(host.scratch.paths(), &host.wanted(), &delta).unwrap();
    host.write("revoke", "#!/bin/sh\nexit 0\n");
    assert!(host.undo(&delta).unwrap_err().contains("still finds the privilege in force"));
    host.write("revoke", "#!/bin/sh\necho 'no such \x1b[2Jrole' >&2; exit 3\n");
    let why = host.undo(&delta).unwrap_err();
    assert!(why.contains("status 3 and said: no such [2Jrole"), "{why}");
    host.write("revoke", &format!("{REVOKE}# mended\n"));
    let drift = host.undo(&delta).unwrap().unwrap();
    assert!(drift.contains("`revoke` was changed since the grant"), "{drift}");
}
