//! The whole fleet at a glance: what lives, what outlived its session and why, what
//! somebody else changed, and what is still known when an agent or the proxy was away.

use std::time::Duration;

use serde_json::Value;
use tidegate_tests::host::Host;
use tidegate_tests::pty::{PATIENCE, Pty};
use tidegate_tests::wait;

use crate::needs_devices;
use crate::scene::{Scene, Stand, text};

/// Until a failed undo is tried again, at the most.
const RETRY: Duration = Duration::from_secs(180);

struct Fleet<'a> {
    scene: Scene<'a>,
}

impl Fleet<'_> {
    /// The lines of `grant list`, as the local administrator has them.
    fn grants(&self) -> Vec<Value> {
        self.scene.world.json(&["grant", "list"]).unwrap().as_array().unwrap().clone()
    }

    /// The only device's line of `agent list`.
    fn agent(&self) -> Value {
        self.scene.world.json(&["agent", "list"]).unwrap()[0].clone()
    }

    /// What somebody reads of the grants.
    fn read_by(&self, user: &str) -> Vec<Value> {
        let console = self.scene.world.client().console(user, &["grant", "list", "-o", "json"]);
        serde_json::from_slice(&console.unwrap().ok().unwrap().stdout).unwrap()
    }

    fn in_session(&self) -> (Pty, String) {
        let mut pty = self.scene.knock();
        self.scene.at_the_prompt(&mut pty);
        (pty, text(self.scene.sessions().last().unwrap(), "id"))
    }

    /// The session is over and the agent has said what became of its grant.
    fn leave(&self, mut pty: Pty) {
        pty.send_line("exit").unwrap();
        pty.end(PATIENCE).unwrap();
        wait::until_true("the grant has ended", PATIENCE, || {
            self.grants().iter().all(|grant| !["active", "ending"].contains(&text(grant, "state").as_str()))
        })
        .unwrap();
    }
}

#[test]
fn the_fleet_shows_what_lives_what_stands_and_why_and_what_drifted_also_after_a_restart() {
    needs_devices!();
    let stand = Stand::new("tide", 30);
    let fleet = Fleet { scene: Scene::set(&stand.world, &stand.device, "tide-ops", "{}") };
    assert_eq!(fleet.grants(), [Value::Null; 0]);

    // One grant, from its session's beginning to its end.
    let (pty, session) = fleet.in_session();
    let grants = fleet.grants();
    let [grant] = &grants[..] else { panic!("{grants:#?}") };
    let field = |name: &str| text(grant, name);
    assert_eq!((field("session"), field("state")), (session.clone(), "active".to_owned()), "{grant:#}");
    assert_eq!((field("user"), field("credential")), (fleet.scene.operator.clone(), fleet.scene.target()));
    assert_eq!((field("device"), field("account")), ("tide".to_owned(), "tide-ops".to_owned()));
    assert_eq!(grant["privileges"].as_array().unwrap().len(), 2, "{grant:#}");
    assert_eq!(grant["applied"].as_array().unwrap().len(), 2, "{grant:#}");
    assert!((1..=30).contains(&grant["lease_left_seconds"].as_u64().unwrap()), "{grant:#}");
    assert_eq!(fleet.read_by(&fleet.scene.operator).len(), 1);
    assert_eq!(fleet.read_by(&fleet.scene.approver).len(), 0, "it is not theirs");

    // Somebody edits the rule meanwhile: it goes all the same, and is told as drift.
    let edit = "for rule in /run/tidegate/sudoers.d/*; do echo '# mine' >>\"$rule\"; done";
    stand.device.ok(&["sh", "-c", edit]).unwrap();
    fleet.leave(pty);
    assert_eq!(fleet.grants(), [Value::Null; 0]);
    let drift = wait::until("drift is told", PATIENCE, || {
        Some(fleet.agent()["drift"].clone()).filter(|drift| !drift.is_null())
    })
    .unwrap();
    assert_eq!((&drift["count"], text(&drift, "session")), (&1.into(), session), "{drift:#}");

    // A membership that cannot be taken back: nobody can rename over a mount point.
    let (pty, session) = fleet.in_session();
    stand.device.ok(&["mount", "--bind", "/etc/group", "/etc/group"]).unwrap();
    fleet.leave(pty);
    let standing = |grants: &[Value]| {
        let [grant] = grants else { panic!("{grants:#?}") };
        assert_eq!((text(grant, "state"), text(grant, "session")), ("standing".to_owned(), session.clone()));
        assert!(text(grant, "why").contains("busy"), "{grant:#}");
        assert!(grant["privileges"][0].as_str().unwrap().contains("adm"), "{grant:#}");
    };
    standing(&fleet.grants());
    standing(&fleet.read_by(&fleet.scene.operator));
    let table = fleet.scene.world.admin(&["grant", "list"]).unwrap().ok().unwrap().out();
    assert!(
        table.contains("standing") && table.contains(&format!("stands from session {session}")),
        "{table}"
    );
    let agent = fleet.agent();
    assert_eq!(agent["standing"].as_array().unwrap().len(), 1, "{agent:#}");

    // It is tried again and again, for the same reason in vain: that is no news.
    let tries = || stand.device.journal("tidegate-agent").matches("will be tried again").count() >= 3;
    wait::until_true("it was tried again", RETRY, tries).unwrap();

    // The agent goes away and the proxy dies: all of it is still known.
    let version = text(&agent, "version");
    stand.device.ok(&["systemctl", "kill", "--signal=KILL", "tidegate-agent"]).unwrap();
    stand.device.ok(&["systemctl", "stop", "tidegate-agent"]).unwrap();
    stand.world.kill_proxy().unwrap();
    stand.world.start_proxy().unwrap();
    let away = fleet.agent();
    assert_eq!((text(&away, "state"), text(&away, "version")), ("away".to_owned(), version), "{away:#}");
    assert!(!text(&away, "seen").is_empty() && away["drift"]["count"] == 1, "{away:#}");
    standing(&fleet.grants());

    // The host is mended, nothing else: the agent that comes back undoes it.
    stand.device.ok(&["umount", "/etc/group"]).unwrap();
    stand.device.ok(&["systemctl", "start", "tidegate-agent"]).unwrap();
    wait::until_true("nothing stands any more", RETRY, || fleet.grants().is_empty()).unwrap_or_else(
        |error| panic!("{error}\n{:#?}\n{}", fleet.grants(), stand.device.journal("tidegate-agent")),
    );
    fleet.scene.is_as_before_within(PATIENCE);
    // And so is the log's last word on it.
    let log = stand.world.json(&["audit", "tail", "-n", "1000"]).unwrap();
    let events = log.as_array().unwrap().iter().map(|record| &record["event"]);
    let of_grant =
        |event: &&Value| text(event, "session") == session && text(event, "type").starts_with("grant-");
    let told: Vec<String> = events.filter(of_grant).map(|event| text(event, "type")).collect();
    assert_eq!(told, ["grant-ordered", "grant-applied", "grant-standing", "grant-cleared"]);
}
