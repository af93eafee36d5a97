//! A person whose access group allows forwards, and what the log and the recording say
//! of them.

use serde_json::Value;
use tidegate_tests::client::run_of;
use tidegate_tests::host::Host;
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::run::{Run, Running};
use tidegate_tests::wait;

use crate::scene::text;
use crate::ways::{Street, street};

/// On the device: says where it listens, then sends back what it is sent, to the end.
const ECHO: &str = r#"
use IO::Socket::INET; use IO::Socket::UNIX; $| = 1; $SIG{CHLD} = "IGNORE";
my $path = shift;
my $at = $path ? IO::Socket::UNIX->new(Local => $path, Listen => 128)
               : IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 128, ReuseAddr => 1);
die $! unless $at;
print $path ? "ready\n" : $at->sockport . "\n";
while (my $one = $at->accept) {
    next if fork;
    while (sysread($one, my $bytes, 65536)) {
        while (length $bytes) { my $n = syswrite($one, $bytes) // exit 1; substr($bytes, 0, $n) = ""; }
    }
    exit 0;
}
"#;

/// A person whose group allows these forwards, on an account of their own.
pub struct Pier {
    pub street: &'static Street,
    pub name: &'static str,
    pub forwards: &'static str,
}

impl Pier {
    pub fn new(name: &'static str, forwards: &'static str) -> Self {
        let street = street();
        street.device.add_account(name).unwrap();
        let pier = Self { street, name, forwards };
        pier.allow(forwards);
        pier
    }

    pub fn allow(&self, forwards: &str) {
        let name = self.name;
        let key = self.street.world.client().public_key(name).unwrap();
        self.street
            .world
            .apply(&format!(
                "[[user]]\nname = \"{name}\"\nkeys = [\"{key}\"]\n\n[[credential]]\nname = \"{name}@db01\"\n\n\
                 [[access_group]]\nname = \"{name}\"\nusers = [\"{name}\"]\nsession = {{}}\n\
                 criteria = {{ devices = [\"db01\"], accounts = [\"{name}\"] }}\n\
                 conditions = {{ forwards = [{forwards}] }}\n"
            ))
            .unwrap();
    }

    /// ssh through the gate, to an account of the person's name.
    pub fn ssh(&self, options: &[&str], rest: &[&str]) -> Run {
        let login = format!("{}[{}@db01]", self.name, self.name);
        let words = [&["-o", "BatchMode=yes", "-l", &login][..], options, &["gate"], rest].concat();
        run_of(&self.street.world.client().words("ssh", self.name, &words).unwrap())
            .env("DISPLAY", "127.0.0.1:99")
            .within(PATIENCE * 3)
    }

    /// The same by `ssh -J`.
    pub fn jump(&self, options: &[&str], rest: &[&str]) -> Run {
        let client = self.street.world.client();
        let hop = format!(
            "ProxyCommand=ssh -F {} -i {} -o BatchMode=yes -W %h:22 -l {} gate",
            client.config().display(),
            client.key(self.name).unwrap().display(),
            self.name
        );
        let words = ["-o", "BatchMode=yes", "-o", &hop, "-o", "HostName=db01", "-l", self.name];
        let words = [&words[..], options, &["there"], rest].concat();
        run_of(&client.words("ssh", self.name, &words).unwrap()).within(PATIENCE * 3)
    }

    /// A service on the device that sends back what it is sent, and where it listens.
    pub fn echo(&self, path: &[&str]) -> (Running, String) {
        let words = [&["runuser", "-u", self.name, "--", "perl", "-e", ECHO], path].concat();
        let service = self.street.device.command(&words).unwrap().start().unwrap();
        let at = wait::until("the service listens", PATIENCE, || {
            let said = service.stdout_so_far();
            said.ends_with('\n').then(|| said.trim().to_owned())
        });
        (service, at.unwrap())
    }

    /// What the log says of the person's sessions about forwards.
    fn events(&self) -> Vec<Value> {
        let world = &self.street.world;
        let sessions = world.json(&["session", "list", "--user", self.name]).unwrap();
        let own: Vec<String> = sessions
            .as_array()
            .unwrap()
            .iter()
            .filter(|session| text(session, "user") == self.name)
            .map(|session| text(session, "id"))
            .collect();
        let log = world.json(&["audit", "tail", "-n", "10000"]).unwrap();
        let events = log.as_array().unwrap().iter().filter_map(|record| {
            let mut event = record.get("event")?.clone();
            // Who did it stands beside what was done.
            event.as_object_mut()?.insert("actor".to_owned(), record.get("actor")?.clone());
            Some(event)
        });
        events
            .filter(|event| {
                // A client that leaves at once may have had no session yet.
                let of_group = text(event, "why").contains(&format!("`{}`", self.name));
                let ours = of_group || own.contains(&text(event, "session"));
                ours && text(event, "type").starts_with("forward")
            })
            .collect()
    }

    /// Waits until the log says this of a forward, as the person's doing; an empty word
    /// matches any.
    pub fn logged(&self, kind: &str, what: &str, to: &str) -> Value {
        let matches = |event: &Value| {
            text(event, "type") == what && text(event, "kind") == kind && text(event, "to").contains(to)
        };
        let event = wait::until("the log tells of the forward", PATIENCE, || {
            self.events().into_iter().rfind(matches)
        })
        .unwrap_or_else(|error| panic!("{error}: {what} {kind} {to}: {:#?}", self.events()));
        assert_eq!(event["actor"], serde_json::json!({ "user": self.name }), "{event}");
        event
    }

    /// The newest session's recording, as lines of JSON.
    pub fn recording(&self) -> String {
        let world = &self.street.world;
        let sessions = world.json(&["session", "list", "--user", self.name]).unwrap();
        let ids = sessions.as_array().unwrap().iter().filter(|session| text(session, "user") == self.name);
        let id = ids.map(|session| text(session, "id")).max().unwrap();
        wait::until_true("the recording is sealed", PATIENCE, || {
            world.admin(&["session", "verify", &id]).unwrap().run().unwrap().success()
        })
        .unwrap();
        world.unpack(&id).unwrap().ok().unwrap().out()
    }
}
