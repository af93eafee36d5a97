//! Secrets of the vault: they log in to a device without an agent, are viewed under terms of their own, and
//! lie nowhere in the clear.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tidegate_tests::device::Device;
use tidegate_tests::host::Host;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::run::{Done, Run};
use tidegate_tests::world::{Options, World};

use crate::needs_devices;
use crate::support::{Scratch, base};

const PASSWORD: &str = "Gezeiten-7-Tor grun";

/// A device without an agent, and a gate with a vault.
struct Stand {
    world: World,
    device: Device,
    scratch: Scratch,
}

fn write_key(path: &Path, byte: u8) {
    fs::write(path, [byte; 32]).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
}

impl Stand {
    /// The accounts `clerk`, with a password, and `keeper`, with a key, for the user `olga`.
    fn new(name: &str) -> Self {
        let device = Device::boot(&base(), name).unwrap();
        for account in ["clerk", "keeper"] {
            device.add_account(account).unwrap();
        }
        device.command(&["chpasswd"]).unwrap().stdin(format!("clerk:{PASSWORD}\n")).ok().unwrap();
        let scratch = Scratch::new("secrets");
        let key = scratch.path("key");
        Run::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).ok().unwrap();
        device.authorize("keeper", &fs::read_to_string(scratch.path("key.pub")).unwrap()).unwrap();
        write_key(&scratch.path("vault.key"), 1);
        let more = format!("[vault]\nkey = \"{}\"\n", scratch.path("vault.key").display());
        let world = World::start(Options { more, ..Options::default() }).unwrap();
        let stand = Self { world, device, scratch };
        stand.applies(&stand.device.host_key().unwrap());
        stand
    }

    fn applies(&self, host_key: &str) {
        let key = |user: &str| self.world.client().public_key(user).unwrap();
        let (name, address) = (self.device.name(), self.device.address());
        self.world
            .apply(&format!(
                r#"
                [[user]]
                name = "olga"
                keys = ["{}"]
                [[user]]
                name = "anna"
                keys = ["{}"]
                [[user]]
                name = "boss"
                roles = ["admin"]
                keys = ["{}"]
                [[device]]
                name = "{name}"
                address = "{address}"
                agent = false
                host_keys = ["{host_key}"]
                [[credential]]
                name = "clerk@{name}"
                [[credential]]
                name = "keeper@{name}"
                [[access_group]]
                name = "clerks"
                users = ["olga"]
                approvers = ["anna"]
                criteria = {{ devices = ["{name}"] }}
                session = {{}}
                password = {{ approval = {{ needed = 1 }} }}
                "#,
                key("olga"),
                key("anna"),
                key("boss"),
            ))
            .unwrap();
    }

    fn target(&self, account: &str) -> String {
        format!("{account}@{}", self.device.name())
    }

    fn sets(&self, account: &str, secret: &str) {
        let words = ["credential", "secret", "set", &self.target(account)];
        self.world.admin(&words).unwrap().stdin(secret).ok().unwrap();
    }

    fn runs(&self, account: &str, command: &str) -> Done {
        self.world.client().ssh("olga", &self.target(account), &[command]).unwrap().run().unwrap()
    }

    fn says(&self, user: &str, words: &[&str]) -> Done {
        self.world.client().console(user, words).unwrap().run().unwrap()
    }

    /// A line of the private key that is nothing but the key.
    fn line_of_key(&self) -> String {
        let key = fs::read_to_string(self.scratch.path("key")).unwrap();
        key.lines().nth(3).unwrap().to_owned()
    }

    /// Where in what the gate keeps and says the text stands.
    fn places_of(&self, text: &str) -> Vec<String> {
        let mut places = Vec::new();
        let mut look = |place: &str, bytes: &[u8]| {
            if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                places.push(place.to_owned());
            }
        };
        let mut read = 0;
        for file in files(self.world.dir()) {
            look(&file.display().to_string(), &fs::read(&file).unwrap_or_default());
            if file.to_string_lossy().ends_with(".cast.zst") {
                let shown = Run::new("zstd").arg("-dcq").arg(&file).run().unwrap();
                look(&format!("{} unpacked", file.display()), &shown.stdout);
            }
            read += usize::from(
                file.starts_with(self.world.state()) || file.starts_with(self.world.recordings()),
            );
        }
        assert!(read > 5, "there is too little to look at");
        look("its log", self.world.log().as_bytes());
        look("its output", self.world.said().as_bytes());
        for words in [
            &["export"][..],
            &["get", "credentials", "-o", "json"],
            &["audit", "tail", "-n", "10000", "-o", "json"],
            &["credential", "secret", "list", "-o", "json"],
            &["session", "list", "-o", "json"],
            &["request", "list", "-o", "json"],
        ] {
            look(&words.join(" "), &self.world.admin(words).unwrap().ok().unwrap().stdout);
        }
        places
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path)
            } else if path.is_file() {
                found.push(path)
            }
        }
    }
    found
}

#[test]
fn a_device_without_an_agent_is_entered_with_secrets_of_the_vault_and_they_lie_nowhere_in_the_clear() {
    needs_devices!();
    let stand = Stand::new("nas1");
    let before = stand.runs("clerk", "id -un");
    assert!(!before.success() && before.err().contains("does not let clerk in"), "{}", before.all());

    stand.sets("clerk", "not-that-one");
    let wrong = stand.runs("clerk", "id -un");
    assert!(wrong.err().contains("it does not take the password that the vault has"), "{}", wrong.all());

    // An administrator types it on a terminal, which shows nothing of it.
    let words = ["credential", "secret", "set", &stand.target("clerk")];
    let mut pty = stand.world.client().terminal("boss", "", &["-t"], &words).unwrap();
    pty.expect("(nothing is shown): ").unwrap();
    pty.send_line(PASSWORD).unwrap();
    pty.expect("The same again: ").unwrap();
    pty.send_line(PASSWORD).unwrap();
    pty.expect("is in the vault; sessions log in with it").unwrap();
    assert!(pty.end(PATIENCE).unwrap().success());
    assert!(!pty.screen().contains("Gezeiten"), "{}", pty.screen());
    stand.sets("keeper", &fs::read_to_string(stand.scratch.path("key")).unwrap());

    for account in ["clerk", "keeper"] {
        let done = stand.runs(account, "id -un");
        assert_eq!(done.out(), format!("{account}\n"), "{}", done.all());
    }
    let mut pty = stand.world.client().terminal("olga", &stand.target("clerk"), &[], &[]).unwrap();
    pty.expect("$ ").unwrap();
    pty.send_line("exit").unwrap();
    pty.end(PATIENCE).unwrap();

    // Another master key follows while all goes on, and after a start with it as well.
    let key = stand.scratch.path("vault.key");
    fs::rename(&key, stand.scratch.path("vault.key.old")).unwrap();
    write_key(&key, 2);
    let rotated = stand.says("boss", &["vault", "rotate"]);
    assert!(rotated.out().starts_with("2 secrets are under the master key "), "{}", rotated.all());
    fs::remove_file(stand.scratch.path("vault.key.old")).unwrap();
    stand.world.stop_proxy().unwrap().ok().unwrap();
    stand.world.start_proxy().unwrap();
    for account in ["clerk", "keeper"] {
        assert_eq!(stand.runs(account, "id -un").out(), format!("{account}\n"));
    }

    assert_eq!(stand.places_of(PASSWORD), Vec::<String>::new());
    assert_eq!(stand.places_of(&stand.line_of_key()), Vec::<String>::new());
    // The comparison sees what is there.
    assert_ne!(stand.places_of(&stand.target("clerk")), Vec::<String>::new());

    // What is not the pinned key is sent nothing.
    let other = fs::read_to_string(stand.scratch.path("key.pub")).unwrap();
    stand.applies(&other.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    let refused = stand.runs("clerk", "id -un");
    assert!(refused.err().contains("host key that"), "{}", refused.all());
}

#[test]
fn a_password_is_viewed_after_approval_and_leaves_the_terminal_and_no_trace() {
    needs_devices!();
    let stand = Stand::new("nas2");
    stand.sets("clerk", PASSWORD);
    let target = stand.target("clerk");
    let view = ["credential", "show-password", &target, "--yes"];
    let refused = stand.says("olga", &view);
    assert!(!refused.success() && refused.out().is_empty(), "{}", refused.all());
    assert!(refused.err().contains("--view-password` asks for it"), "{}", refused.all());
    stand.says("olga", &["request", "create", &target, "--view-password"]).ok().unwrap();
    stand.says("anna", &["request", "approve", "1"]).ok().unwrap();
    assert_eq!(stand.says("olga", &view).ok().unwrap().out(), format!("{PASSWORD}\n"));
    for other in ["anna", "boss"] {
        let refused = stand.says(other, &view);
        assert!(
            refused.out().is_empty() && refused.err().contains("is not given to you"),
            "{}",
            refused.all()
        );
    }

    let words = ["credential", "show-password", &target];
    let mut pty: Pty = stand.world.client().terminal("olga", "", &["-t"], &words).unwrap();
    pty.expect("\u{1b}[?1049h").unwrap();
    pty.expect(PASSWORD).unwrap();
    pty.send("q").unwrap();
    pty.expect("\u{1b}[2J\u{1b}[H\u{1b}[?1049l").unwrap();
    assert!(pty.end(PATIENCE).unwrap().success());

    let log = stand.world.admin(&["audit", "tail", "-n", "1000"]).unwrap().ok().unwrap().out();
    let told = format!("the password of {target} is shown to olga by group clerks, request: 1");
    assert_eq!(log.matches(&told).count(), 2, "{log}");
    assert_eq!(stand.places_of(PASSWORD), Vec::<String>::new());
}

#[test]
fn a_gate_whose_master_key_others_may_read_does_not_start_and_says_what_to_do() {
    let scratch = Scratch::new("master-key");
    let key = scratch.file("vault.key", &[1; 32]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
    let more = format!("[vault]\nkey = \"{}\"\n", key.display());
    let told = format!("{:#}", World::start(Options { more, ..Options::default() }).unwrap_err());
    let sentence = format!("has mode 0440; nobody may do more than read it: chmod 0400 {}", key.display());
    assert!(told.contains(&sentence), "{told}");
}
