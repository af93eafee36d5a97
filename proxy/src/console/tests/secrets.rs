//! Secrets and passwords at the console.

use tidegate_common::audit::Event;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;

use super::world::World;
use crate::console::{Size, run, takes_keys, words};

const VIEWS: &str = "[[access_group]]\nname = \"views\"\nusers = [\"operator\"]\napprovers = [\"approver\"]\n\
                     criteria = { devices = [\"db01\"] }\n\
                     password = { justification = true, approval = { needed = 1 } }\n";

/// One of the streams that a command shows.
struct Stream {
    from: DuplexStream,
    text: String,
}

impl Stream {
    fn new() -> (DuplexStream, Self) {
        let (to, from) = tokio::io::duplex(1 << 16);
        (to, Self { from, text: String::new() })
    }

    /// Waits until it shows this, behind what was waited for before; gives all up to that.
    async fn shows(&mut self, words: &str) -> String {
        loop {
            if let Some(at) = self.text.find(words) {
                let rest = self.text.split_off(at + words.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let mut piece = [0; 1024];
            let count = self.from.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "never shows {words:?}: {:?}", self.text);
            self.text.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
    }

    async fn rest(&mut self) -> String {
        self.from.read_to_string(&mut self.text).await.unwrap();
        std::mem::take(&mut self.text)
    }
}

/// A terminal where somebody sits.
struct Seat {
    keys: DuplexStream,
    out: Stream,
    err: Stream,
}

impl Seat {
    async fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
    }
}

impl World {
    /// Runs a command on a terminal where somebody sits.
    async fn sits<T>(&self, who: &str, line: &str, sitting: impl AsyncFnOnce(Seat) -> T) -> (u8, T) {
        let (actor, words) = (self.actor(who), words(line).unwrap());
        assert!(takes_keys(&words), "{line}");
        let (_resized, terminal) = watch::channel(Size { columns: 80, rows: 25 });
        let (keys, stdin) = tokio::io::duplex(4096);
        let ((to_out, out), (to_err, err)) = (Stream::new(), Stream::new());
        let running = run(&self.services, &actor, Some(terminal), &words, stdin, to_out, to_err);
        tokio::join!(running, sitting(Seat { keys, out, err }))
    }

    async fn has(&self, secret: &str) {
        let set = self.says_with("admin", "credential secret set ops@db01", secret).await;
        assert_eq!(set.status, 0, "{}", set.err);
    }
}

#[tokio::test]
async fn a_secret_is_set_by_a_pipe_listed_without_its_value_and_forgotten() {
    let world = World::new().await;
    let none = world.says("admin", "credential secret list").await;
    assert_eq!(none.err, "No credential has a secret in the vault.\n");
    let set = world.says_with("admin", "credential secret set ops@db01", "hunter2\n").await;
    assert_eq!(
        set.out,
        "the password of ops@db01 is in the vault; its device has an agent, so sessions log in with certificates, \
         and it is there to be viewed\n",
        "{}",
        set.err
    );
    world.says_with("admin", "apply -f -", "[[device]]\nname = \"db01\"\nagent = false\n").await;
    let set = world.says_with("root", "credential secret set ops@db01 -o json", "hunter2").await;
    let set: serde_json::Value = serde_json::from_str(&set.out).unwrap();
    assert_eq!(
        (&set["kind"], &set["by"], &set["logs_in"]),
        (&"password".into(), &"local admin".into(), &true.into())
    );
    let list = world.says("admin", "credential secret list").await.out;
    assert!(list.contains("ops@db01") && list.contains("password") && list.contains("local admin"), "{list}");
    for line in
        ["credential secret list -o json", "audit tail", "audit tail -o json", "export", "get credential"]
    {
        let said = world.says("admin", line).await;
        assert!(said.status == 0 && !said.out.contains("hunter2"), "{line}: {}", said.out);
    }
    let log = world.says("auditor", "audit tail").await.out;
    assert!(log.contains("admin from 192.0.2.7: the password of ops@db01 was put into the vault"), "{log}");
    let gone = world.says("admin", "credential secret forget ops@db01").await.out;
    assert_eq!(gone, "the secret of ops@db01 is forgotten\n");
    let again = world.says("admin", "credential secret forget ops@db01").await;
    assert!(
        again.status == 1 && again.err.contains("there is no secret of ops@db01 in the vault"),
        "{}",
        again.err
    );
}

#[tokio::test]
async fn what_is_no_secret_is_refused_and_none_of_it_said_again() {
    let world = World::new().await;
    let line = "credential secret set ops@db01";
    for (input, told) in [
        ("", "it is empty, so nothing was set"),
        ("hunter2\nhunter3\n", "neither one line of characters that show"),
        ("-----BEGIN RSA PRIVATE KEY-----\nhunter2\n", "not in OpenSSH's format"),
        (
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 hunter2\n",
            "that is a public key or a certificate, which logs nobody in",
        ),
        (&"hunter2".repeat(3000), "it is too long"),
    ] {
        let done = world.says_with("admin", line, input).await;
        assert!(done.status == 1 && done.err.contains(told) && !done.err.contains("hunter"), "{}", done.err);
    }
    let unknown = world.says_with("admin", "credential secret set ops@db02", "hunter2").await;
    assert!(unknown.err.contains("there is no credential `ops@db02`"), "{}", unknown.err);
    let argument = world.says("admin", "credential secret set ops@db01 hunter2").await;
    assert_eq!(argument.status, 2, "a secret is no word of a command line");
    let log = world.says("auditor", "audit tail -n 1000").await.out;
    assert!(!log.contains("hunter2"), "{log}");
    let refused = world.says_with("auditor", line, "hunter2").await;
    assert_eq!(refused.err, "tidegate: this needs an administrator\n");
    assert_eq!(world.says("admin", "credential secret list -o json").await.out, "[]\n");
}

#[tokio::test]
async fn a_terminal_shows_nothing_of_a_secret_and_wants_it_twice() {
    let world = World::new().await;
    let line = "credential secret set ops@db01";
    let prompt = "Password or private key of ops@db01 (nothing is shown): ";
    for (second, status, ends) in [
        ("hunter2\r", 0, ""),
        ("hunter3\r", 1, "tidegate: the two are not the same\nNothing was set.\n"),
        ("hun\u{3}", 1, "Nothing was set.\n"),
    ] {
        let (done, (out, err)) = world
            .sits("admin", line, async |mut seat: Seat| {
                assert_eq!(seat.err.shows(": ").await, prompt);
                seat.types("hunter2\r").await;
                assert_eq!(seat.err.shows(": ").await, "\nThe same again: ");
                seat.types(second).await;
                (seat.out.rest().await, seat.err.rest().await)
            })
            .await;
        assert_eq!((done, err.trim_start_matches('\n')), (status, ends));
        assert!(!out.contains("hunter") && !err.contains("hunter"), "{out} {err}");
    }
    let (done, err) = world
        .sits("admin", line, async |mut seat: Seat| {
            seat.err.shows(": ").await;
            seat.types("\u{3}").await;
            seat.err.rest().await
        })
        .await;
    assert_eq!((done, err.as_str()), (1, "\nNothing was set.\n"));
    let (done, err) = world.sits("auditor", line, async |mut seat: Seat| seat.err.rest().await).await;
    assert_eq!((done, err.as_str()), (1, "tidegate: this needs an administrator\n"), "nothing is asked");
    // A key that is public is not asked for once more.
    let (done, err) = world
        .sits("admin", line, async |mut seat: Seat| {
            seat.err.shows(": ").await;
            seat.types("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 operator@laptop\r").await;
            seat.err.rest().await
        })
        .await;
    let told = "\ntidegate: that is a public key or a certificate, which logs nobody in, so nothing was set; give \
                the private key: the file of the same name without .pub\n";
    assert_eq!((done, err.as_str()), (1, told));
}

#[tokio::test]
async fn a_password_is_viewed_under_terms_of_its_own_after_approval_and_the_log_has_it_first() {
    let world = World::new().await;
    world.has("hunter2").await;
    let line = "credential show-password ops@db01";
    let terminal = world.says("operator", line).await;
    assert_eq!(terminal.status, 2);
    assert!(terminal.err.contains("use a terminal (ssh -t), or say --yes"), "{}", terminal.err);
    let line = format!("{line} --yes");
    // A session may be asked for; to view is another right.
    let refused = world.says("operator", &line).await;
    let sentence =
        "viewing the password of ops@db01 is not given to you; `access list` shows what you may reach";
    assert_eq!((refused.out.as_str(), refused.err), ("", format!("tidegate: {sentence}\n")));
    let log = world.says("auditor", "audit tail -n 1").await.out;
    assert!(log.contains(sentence), "the refusal is logged: {log}");

    world.says_with("admin", "apply -f -", VIEWS).await;
    let asks = world.says("operator", &line).await;
    assert!(
        asks.out.is_empty() && asks.err.contains("`request create ops@db01 --view-password` asks for it")
    );
    // An approved session opens no view.
    world.says("operator", "request create ops@db01 -j x").await;
    world.says("approver", "request approve 1").await;
    assert_eq!(world.says("operator", &line).await.out, "");
    world.says("operator", "request create ops@db01 -j 'ticket 7' --view-password --sessions 2").await;
    let waits = world.says("operator", &line).await;
    assert!(waits.err.contains("request 2 for ops@db01 waits already"), "{}", waits.err);
    world.says("approver", "request approve 2").await;
    for who in ["approver", "admin", "root"] {
        assert_eq!(world.says(who, &line).await.out, "", "{who}");
    }

    let shown = world.says("operator", &line).await;
    assert_eq!((shown.status, shown.out.as_str(), shown.err.as_str()), (0, "hunter2\n", ""));
    let log = world.says("auditor", "audit tail").await.out;
    let told = "operator from 192.0.2.7: the password of ops@db01 is shown to operator by group views, request: 2, \
                justification: ticket 7";
    assert!(log.contains(told) && !log.contains("hunter2"), "{log}");
    let json = world.says("operator", &format!("{line} -o json")).await.out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["password"], &json["request"]), (&"hunter2".into(), &2.into()));
    let spent = world.says("operator", &line).await;
    assert!(
        spent.out.is_empty() && spent.err.contains("request 2 is approved, but its 2 sessions are used up")
    );
}

#[tokio::test]
async fn a_code_that_nobody_could_be_asked_of_is_in_the_log_with_the_password_it_was_typed_for() {
    let world = World::new().await;
    let _ = world.services.access.clone().with_codes(crate::governance::silent());
    world.has("hunter2").await;
    world.says_with("admin", "apply -f -", VIEWS).await;
    world.says("operator", "request create ops@db01 -j x --governance CHG-1 --view-password").await;
    world.says("approver", "request approve 1").await;
    // None is typed, or the one that the request has told of.
    for typed in ["", " --governance CHG-1", " --governance CHG-2"] {
        let shown = world.says("operator", &format!("credential show-password ops@db01 --yes{typed}")).await;
        assert_eq!((shown.out.as_str(), shown.err.as_str()), ("hunter2\n", ""), "{typed}");
    }
    let told = world.services.audit.last(100).await.into_iter().filter_map(|record| match record.event {
        Event::GovernanceUnchecked { code, taken_for, .. } => Some(format!("{code} for {taken_for}")),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, ["CHG-1 for request 1", "CHG-2 for the password of ops@db01"]);
}

#[tokio::test]
async fn a_password_on_a_terminal_goes_with_a_key_and_at_once_when_its_approval_is_revoked() {
    let world = World::new().await;
    world.has("hunter2").await;
    world.says_with("admin", "apply -f -", VIEWS).await;
    world.says("operator", "request create ops@db01 -j 'ticket 7' --view-password").await;
    world.says("approver", "request approve 1").await;
    let line = "credential show-password ops@db01";
    let end = "\u{1b}[2J\u{1b}[H\u{1b}[?1049l";
    let (done, (before, after)) = world
        .sits("operator", line, async |mut seat: Seat| {
            let before = seat.out.shows("  hunter2\n").await;
            seat.types("x").await;
            (before, seat.out.rest().await)
        })
        .await;
    assert_eq!(done, 0);
    assert!(before.starts_with("\u{1b}[?1049h") && after.ends_with(end), "{before:?} {after:?}");

    let (done, (out, err)) = world
        .sits("operator", line, async |mut seat: Seat| {
            seat.out.shows("  hunter2\n").await;
            world.says("approver", "request revoke 1 -m 'it is settled'").await;
            (seat.out.rest().await, seat.err.rest().await)
        })
        .await;
    assert!(out.ends_with(end), "{out:?}");
    assert_eq!((done, err.as_str()), (1, "tidegate: request 1 was revoked by approver: it is settled\n"));
}

#[tokio::test]
async fn who_loses_their_log_in_while_a_password_is_shown_has_it_cleared_first() {
    let world = World::new().await;
    world.has("hunter2").await;
    world.says_with("admin", "apply -f -", VIEWS).await;
    world.says("operator", "request create ops@db01 -j 'ticket 7' --view-password").await;
    world.says("approver", "request approve 1").await;
    let off = "[[user]]\nname = \"operator\"\nenabled = false\n";
    let (done, (out, err)) = world
        .sits("operator", "credential show-password ops@db01", async |mut seat: Seat| {
            seat.out.shows("  hunter2\n").await;
            world.says_with("root", "apply -f -", off).await;
            (seat.out.rest().await, seat.err.rest().await)
        })
        .await;
    assert!(out.ends_with("\u{1b}[2J\u{1b}[H\u{1b}[?1049l"), "{out:?}");
    assert_eq!(done, 1);
    assert!(err.starts_with("tidegate: "), "{err:?}");
}

#[tokio::test]
async fn a_private_key_is_used_and_shown_to_nobody() {
    let world = World::new().await;
    let key = russh::keys::PrivateKey::random(&mut rand::rng(), russh::keys::Algorithm::Ed25519).unwrap();
    let text = key.to_openssh(russh::keys::ssh_key::LineEnding::LF).unwrap();
    world.has(&text).await;
    assert!(world.says("admin", "credential secret list").await.out.contains("private key"));
    world
        .says_with(
            "admin",
            "apply -f -",
            &VIEWS.replace("{ justification = true, approval = { needed = 1 } }", "{}"),
        )
        .await;
    let shown = world.says("operator", "credential show-password ops@db01 --yes").await;
    let told =
        "tidegate: the secret of ops@db01 is a private key, which logs the gate in and is shown to nobody\n";
    assert_eq!((shown.status, shown.out.as_str(), shown.err.as_str()), (1, "", told));
    world.says("admin", "credential secret forget ops@db01").await;
    let none = world.says("operator", "credential show-password ops@db01 --yes").await;
    assert_eq!(none.err, "tidegate: there is no password of ops@db01 in the vault\n");
}

#[tokio::test]
async fn the_master_key_is_followed_by_another_at_the_console() {
    let world = World::new().await;
    world.has("hunter2").await;
    let shows = world.says("admin", "vault show").await.out;
    assert!(
        shows.starts_with("1 secrets are under the master key ") && shows.contains("vault.key"),
        "{shows}"
    );
    let key = world.temporary.directory().join("vault.key");
    std::fs::rename(&key, key.with_extension("key.old")).unwrap();
    crate::files::write_new(&key, &[8; 32], 0o400).unwrap();
    let between = world.says("admin", "vault show").await.out;
    assert!(
        between.contains("1 are under the one before") && between.contains("`vault rotate` moves them"),
        "{between}"
    );
    let rotated = world.says("root", "vault rotate").await;
    assert!(
        rotated.out.starts_with("1 secret is under the master key ") && rotated.out.contains("vault.key.old")
    );
    std::fs::remove_file(key.with_extension("key.old")).unwrap();
    let again = world.says("root", "vault rotate -o json").await.out;
    let again: serde_json::Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["secrets"], &again["failed"]), (&0.into(), &serde_json::json!([])));
    let log = world.says("auditor", "audit tail").await.out;
    assert!(log.contains("1 secrets are under the master key "), "{log}");
}
