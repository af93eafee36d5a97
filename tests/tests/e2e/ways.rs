//! The ways a stock client reaches an account: past the gate, which proves the test
//! itself, and through it in each form. Every kind of session must do the same on all.

use std::path::PathBuf;
use std::sync::OnceLock;

use tidegate_tests::device::{ACCOUNT, Device};
use tidegate_tests::mmdb::{database, flat};
use tidegate_tests::pty::Pty;
use tidegate_tests::run::Run;
use tidegate_tests::world::{Options, World};

use crate::support::base;

/// The user of these sessions.
pub const USER: &str = "worker";

/// Where nobody is inside, and which is taken for Berlin.
pub const ELSEWHERE: &str = "127.0.0.3";

/// Past the gate, `user[target]@gate`, `user:target@gate`, and `ssh -J user@gate target`.
pub const WAYS: [&str; 4] = ["direct", "bracket", "colon", "jump"];

/// A device and a gate that lets [`USER`] in without conditions.
pub struct Street {
    pub world: World,
    pub device: Device,
}

/// One way to the account.
#[derive(Clone)]
pub struct Way {
    pub name: &'static str,
    config: PathBuf,
}

/// The street that the tests of this binary share; the guardians clear it at the end.
pub fn street() -> &'static Street {
    static STREET: OnceLock<Street> = OnceLock::new();
    STREET.get_or_init(|| {
        let device = Device::boot(&base(), "db01").unwrap();
        let geoip = base().join("street.mmdb");
        std::fs::write(&geoip, database(&[(&format!("{ELSEWHERE}/32"), flat("DE", "Berlin"))])).unwrap();
        // All but the one address is inside.
        let more = format!(
            "\n[remote_access]\ninside = [\"127.0.0.1\", \"198.18.0.0/15\"]\ngeoip = \"{}\"\n",
            geoip.display()
        );
        let world = World::start(Options { more, ..Options::default() }).unwrap();
        let client = world.client();
        device.authorize(ACCOUNT, &client.public_key(USER).unwrap()).unwrap();
        world
            .apply(&format!(
                r#"
                [[user]]
                name = "{USER}"
                keys = ["{key}"]

                [[device]]
                name = "db01"
                address = "{address}"

                [[credential]]
                name = "{ACCOUNT}@db01"

                [[access_group]]
                name = "workers"
                users = ["{USER}"]
                criteria = {{ devices = ["db01"], accounts = ["{ACCOUNT}"] }}
                session = {{}}
                "#,
                key = client.public_key(USER).unwrap(),
                address = device.address(),
            ))
            .unwrap();
        let key = client.key(USER).unwrap().display().to_string();
        let gate = world.ssh().unwrap();
        let through = |name: &str, login: &str| {
            format!(
                "Host {name}\n HostName {}\n Port {}\n User {login}\n IdentityFile {key}\n",
                gate.ip(),
                gate.port()
            )
        };
        let hosts = [
            through("hop", USER),
            through("bracket", &format!("{USER}[{ACCOUNT}@db01]")),
            through("colon", &format!("{USER}:{ACCOUNT}@db01")),
            format!("Host jump\n HostName db01\n User {ACCOUNT}\n IdentityFile {key}\n ProxyJump hop\n"),
            format!(
                "Host direct\n HostName {}\n User {ACCOUNT}\n IdentityFile {key}\n \
                 StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n",
                device.address()
            ),
        ];
        world.trust(&hosts.concat()).unwrap();
        world.enrol(&device).unwrap();
        Street { world, device }
    })
}

/// Runs the test once on each way; what fails says on which.
pub fn on_each_way(test: impl Fn(&Way)) {
    let config = street().world.client().config();
    for name in WAYS {
        eprintln!("on the way `{name}`:");
        test(&Way { name, config: config.clone() });
    }
}

impl Way {
    /// A client program with the way's settings.
    pub fn program(&self, program: &str) -> Run {
        Run::new(program).arg("-F").arg(&self.config).args(["-o", "BatchMode=yes"])
    }

    /// ssh with options and a command.
    pub fn ssh(&self, options: &[&str], command: &str) -> Run {
        self.program("ssh").args(options).arg(self.name).arg(command)
    }

    /// ssh on a terminal.
    pub fn terminal(&self, options: &[&str], command: &[&str]) -> Pty {
        let config = self.config.display().to_string();
        let words = [&["ssh", "-F", &config], options, &[self.name], command].concat();
        Pty::start(&words).unwrap()
    }

    /// The words of ssh as other programs take them.
    pub fn shell_words(&self) -> String {
        format!("ssh -F {} -o BatchMode=yes", self.config.display())
    }
}
