//! An agent whose host is hostile: it has a good certificate, and connects again and again for
//! a new budget, tells long texts, and speaks for sessions, keys and devices that are not its
//! own. Nobody else notices, and what it had written down has a bound.

use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tidegate_common::grant::{Drift, Ended, Failure, PrivilegeKind, Standing};
use tidegate_common::id::SessionId;
use tidegate_common::residue::{Change, Finding, FindingKind, Residue};
use tidegate_common::wire::{FromAgent, Hello, Sight, Witnessed};
use tidegate_tests::agent::{self, Identity, Link};
use tidegate_tests::pty::PATIENCE;
use tidegate_tests::wait;
use tidegate_tests::world::World;
use tokio::runtime::{Builder, Runtime};

use crate::floods::{MOST_KIB, memory};
use crate::needs_devices;
use crate::scene::{Scene, Stand, leave, text};

/// What one device has of records that are not due, in an hour.
const RECORDS: usize = 1000;

/// How long it stays on one link: whoever is over the budget waits there, so it comes back.
const ON_A_LINK: Duration = Duration::from_secs(1);

/// How often it comes back; the first of these links uses up the hour's budget.
const LINKS: usize = 12;

/// A word in all that it makes up.
const FORGED: &str = "forged-by-the-liar";

struct Liar {
    proxy: SocketAddr,
    ca: CertificateDer<'static>,
    identity: Identity,
    /// The host key of another device.
    foreign: String,
    /// A session of another device that lives, and one that is over.
    others: [SessionId; 2],
    made_up: u64,
}

impl Liar {
    /// Long, and with what would move a cursor.
    fn long() -> String {
        format!("{FORGED}\u{1b}[2J\u{202e}\n{}", "x".repeat(30_000))
    }

    fn standing(session: SessionId) -> Standing {
        Standing {
            session: Some(session),
            account: "root".parse().unwrap(),
            kind: PrivilegeKind::Sudo,
            what: Self::long().as_str().into(),
            why: FORGED.into(),
        }
    }

    /// One lie of each kind about a session.
    fn lies(session: SessionId, number: u64) -> Vec<FromAgent> {
        let failure = Failure { kind: PrivilegeKind::Sudo, why: Self::long() };
        let drift = Drift { kind: PrivilegeKind::Sudo, found: FORGED.to_owned() };
        let ended = Ended { standing: vec![failure], drift: vec![drift], ..Ended::default() };
        let finding = Finding {
            kind: FindingKind::Cron,
            change: Change::New,
            what: FORGED.to_owned(),
            detail: Self::long(),
        };
        let residue = Residue { findings: vec![finding], ..Residue::default() };
        let remarks = vec![FORGED.into()];
        let seen = Witnessed { number, session, execs: Vec::new(), lost: 7, remarks, last: true };
        vec![
            FromAgent::Residue { session, residue },
            FromAgent::Witnessed(seen),
            FromAgent::Standing { standing: vec![Self::standing(session)] },
            FromAgent::Ended { session, ended },
            FromAgent::Ended { session, ended: Ended::default() },
        ]
    }

    fn hello(&self, foreign: bool) -> Hello {
        Hello {
            host_keys: if foreign { vec![self.foreign.clone()] } else { Vec::new() },
            live: self.others.to_vec(),
            standing: self.others.map(Self::standing).to_vec(),
            witness: Sight::Blind { why: FORGED.into() },
            ..Hello::new(Self::long())
        }
    }

    async fn link(&self, foreign: bool) -> anyhow::Result<Link> {
        agent::link(self.proxy, &self.ca, &self.identity, self.hello(foreign)).await
    }

    /// One link, and as many lies as the gate takes there.
    async fn lie(&mut self, foreign: bool) -> anyhow::Result<()> {
        let mut link = self.link(foreign).await?;
        loop {
            self.made_up += 1;
            let made_up = SessionId::new(self.made_up, 7);
            for session in [self.others[0], self.others[1], made_up] {
                for lie in Self::lies(session, self.made_up) {
                    link.say(&lie).await?;
                }
            }
        }
    }

    /// Lies until it is cut off, or has had enough of this link.
    fn come_back(&mut self, runtime: &Runtime, foreign: bool) {
        let _ = runtime.block_on(async { tokio::time::timeout(ON_A_LINK, self.lie(foreign)).await });
    }
}

fn liar_in(world: &World) -> Value {
    let agents = world.json(&["agent", "list"]).unwrap();
    agents.as_array().unwrap().iter().find(|agent| agent["device"] == "liar").unwrap().clone()
}

/// What the log has of the liar's, in all.
fn records(world: &World) -> Vec<Value> {
    let log = world.json(&["audit", "tail", "-n", "100000"]).unwrap();
    let by_liar = |record: &&Value| {
        let of = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
        of("/by/agent") == Some("liar") || of("/event/device") == Some("liar")
    };
    log.as_array().unwrap().iter().filter(by_liar).cloned().collect()
}

#[test]
fn an_agent_that_lies_and_reconnects_has_one_budget_and_tells_nothing_of_others_sessions() {
    needs_devices!();
    let stand = Stand::new("honest", 30);
    let world = &stand.world;
    let scene = Scene::set(world, &stand.device, "worker", "{}");
    world.apply("[[device]]\nname = \"liar\"\naddress = \"192.0.2.1\"\n").unwrap();
    let ca = agent::ca(world).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let token = world.token("liar").unwrap();
    let proxy = world.agents().unwrap();
    let identity = runtime.block_on(agent::enrol(proxy, &ca, &token)).unwrap();

    // A session of the honest device that is over, with its report, and one that lives.
    let mut over = scene.knock();
    scene.at_the_prompt(&mut over);
    over.send_line("sudo sh -c 'echo >/etc/cron.d/honestly'; echo was-\"written\"").unwrap();
    over.expect("was-written\r\n").unwrap();
    leave(&mut over);
    let id = |session: &Value| text(session, "id");
    let over = id(&scene.sessions()[0]);
    assert_eq!(scene.left_behind(&over).len(), 1);
    let mut pty = scene.knock();
    scene.at_the_prompt(&mut pty);
    let live = id(&scene.sessions()[1]);
    let foreign = stand.device.host_key().unwrap();
    let others = [live.parse().unwrap(), over.parse().unwrap()];
    let mut liar = Liar { proxy, ca, identity, foreign, others, made_up: 0 };

    let before = memory(world);
    for link in 0..LINKS {
        liar.come_back(&runtime, link % 3 == 0);
    }
    wait::until_true("the budget is used up", PATIENCE, || {
        liar.come_back(&runtime, false);
        liar_in(world)["over_now"].as_u64().is_some_and(|now| now > 0)
    })
    .unwrap();
    // From then on nothing more is logged of it.
    let told = records(world);
    // Beside the budget there is what an administrator did: a token and its use. What stands
    // is kept, not logged, and takes its part of the budget.
    assert!((RECORDS / 2..=RECORDS + 2).contains(&told.len()), "{} records", told.len());
    let longest = told.iter().map(|record| record.to_string().len()).max().unwrap();
    assert!(longest < 16 * 1024, "{longest} bytes");
    let after = memory(world);
    assert!(after < before + MOST_KIB, "{before} KiB became {after} KiB");
    let beyond = liar_in(world)["over_now"].as_u64().unwrap();
    assert!(beyond > 0, "{:#}", liar_in(world));

    // Another key for the same device is no new budget, nor is another link.
    let token = world.token("liar").unwrap();
    liar.identity = runtime.block_on(agent::enrol(proxy, &liar.ca, &token)).unwrap();
    liar.come_back(&runtime, false);
    wait::until_true("it is only counted", PATIENCE, || {
        liar_in(world)["over_now"].as_u64().is_some_and(|now| now > beyond)
    })
    .unwrap();
    assert_eq!(records(world).len(), told.len() + 2, "a token and its use");

    // Nobody else noticed: the session lives, and what is told of both is the honest agent's.
    scene.is_root(&mut pty);
    leave(&mut pty);
    assert_eq!(scene.left_behind(&live).len(), 0);
    assert_eq!(scene.left_behind(&over).len(), 1);
    for session in [&live, &over] {
        let page = world.json(&["session", "show", session]).unwrap().to_string();
        let commands = world.json(&["session", "commands", session]).unwrap().to_string();
        assert!(!page.contains(FORGED) && !commands.contains(FORGED), "{page}\n{commands}");
    }
    let grants = world.json(&["grant", "list"]).unwrap();
    let named = |grant: &&Value| [&live, &over].contains(&&text(grant, "session"));
    assert_eq!(grants.as_array().unwrap().iter().find(named), None, "{grants:#}");
    let log = world.json(&["audit", "tail", "-n", "100000"]).unwrap();
    let of_session = |record: &&Value| {
        let event = &record["event"];
        [&live, &over].contains(&&text(event, "session")) && record.to_string().contains(FORGED)
    };
    assert_eq!(log.as_array().unwrap().iter().find(of_session), None);
    scene.works_within(PATIENCE);
    world.admin(&["audit", "verify"]).unwrap().ok().unwrap();
}
