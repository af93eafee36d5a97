//! What policy takes where there is much of everything: 10,000 users, 10,000 credentials and 1,000
//! access groups. And how soon a panic has ended all that lives.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use tidegate_common::model::{Action, Claims, Resources, Snapshot};
use tidegate_common::name::{CredentialName, UserName};
use tidegate_common::policy::{Coming, Facts, decide};
use tidegate_tests::world::{Options, World};

use crate::Sizes;
use crate::ends;
use crate::measures::float;
use crate::report::{Row, median};
use crate::ways::Course;

/// How many there are.
struct Many {
    users: usize,
    devices: usize,
    groups: usize,
}

/// Users of each group.
const MEMBERS: usize = 100;

impl Many {
    fn text(&self) -> Result<String> {
        let mut text = String::new();
        for user in 0..self.users {
            writeln!(text, "[[user]]\nname = \"user{user}\"")?;
        }
        for device in 0..self.devices {
            writeln!(
                text,
                "[[device]]\nname = \"db{device}\"\nproduct = \"Debian\"\ntags = [\"site{}\"]",
                device % 20
            )?;
            for account in 0..10 {
                writeln!(
                    text,
                    "[[credential]]\nname = \"ops{account}@db{device}\"\ntags = [\"t{account}\"]"
                )?;
            }
        }
        for group in 0..self.groups {
            text.push_str(&self.group(group, 0));
        }
        Ok(text)
    }

    /// One group; the last user is in every one. `shift` has it list other users.
    fn group(&self, group: usize, shift: usize) -> String {
        let last = self.users.saturating_sub(1);
        let members = (0..MEMBERS).map(|member| (group * 10 + member + shift) % last);
        let members: Vec<_> = members.chain([last]).map(|user| format!("\"user{user}\"")).collect();
        format!(
            "[[access_group]]\nname = \"g{group}\"\nusers = [{}]\nsession = {{ justification = true }}\n\
             criteria = {{ devices = [\"db{group}\", \"*x{group}*\"], device_tags = [\"site*\"] }}\n\
             limitation = {{ zone = \"Europe/Berlin\", slots = [\"00:00-24:00\"], until = 2099-12-31 }}\n",
            members.join(", ")
        )
    }
}

/// Decisions in this program; one group applied, and tried, at a gate.
pub fn measure(quick: bool) -> Result<Vec<Row>> {
    let many = match quick {
        true => Many { users: 1_000, devices: 100, groups: 100 },
        false => Many { users: 10_000, devices: 1_000, groups: 1_000 },
    };
    let text = many.text()?;
    let mut rows = decisions(&many, &text)?;
    let world = World::start(Options::default())?;
    world.apply(&text)?;
    let (mut applied, mut tried) = (Vec::new(), Vec::new());
    for shift in 1..=10 {
        let edit = many.group(many.groups / 2, shift);
        for (dry, times) in [(true, &mut tried), (false, &mut applied)] {
            let words = if dry { &["apply", "-f", "-", "--dry-run"][..] } else { &["apply", "-f", "-"] };
            let start = Instant::now();
            let done = world.admin(words)?.stdin(edit.as_str()).ok()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            ensure!(done.out().contains("access_group/g"), "{}", done.all());
            ensure!(!dry || done.out().contains("accesses gained: 10, of 1 users"), "{}", done.all());
        }
    }
    world.stop_proxy()?.ok()?;
    rows.push(Row::new("apply of one access group", "ms", median(&mut applied), None, None, applied.len()));
    rows.push(Row::new("dry run of one access group", "ms", median(&mut tried), None, None, tried.len()));
    Ok(rows)
}

fn decisions(many: &Many, text: &str) -> Result<Vec<Row>> {
    let resources = Resources::read(text).map_err(|mistakes| anyhow::anyhow!("{mistakes}"))?;
    let start = Instant::now();
    let snapshot = Snapshot::new(&resources).ok().context("the resources do not hold together")?;
    let made = start.elapsed().as_secs_f64() * 1e3;
    let mut rows = vec![Row::new("snapshot of all resources", "ms", made, None, None, 1)];
    let claims = Claims { justification: Some("ticket 7".parse()?), ..Claims::default() };
    let now: Timestamp = "2026-06-01T12:00:00Z".parse()?;
    let last = many.users - 1;
    for (who, user) in [("of a user in 10 access groups", last / 2), ("of a user in all of them", last)] {
        let user: UserName = format!("user{user}").parse()?;
        let rounds: usize = 20_000;
        let targets =
            (0..100).map(|number| format!("ops{}@db{}", number % 10, last / 20 + number % 10).parse());
        let targets = targets.collect::<Result<Vec<CredentialName>, _>>()?;
        let start = Instant::now();
        for target in targets.iter().cycle().take(rounds) {
            let origin = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let (action, requests, coming) = (Action::Session, &[][..], Coming::ASKED);
            let user = &user;
            let facts = Facts {
                now,
                user,
                login: None,
                target,
                action,
                origin,
                coming,
                claims: &claims,
                refused_code: None,
                requests,
                live: &[],
                changes: &[],
            };
            let _ = black_box(decide(&snapshot, &facts));
        }
        let each = start.elapsed().as_secs_f64() * 1e6 / float(rounds);
        rows.push(Row::new(format!("decision {who}"), "µs", each, None, None, rounds));
    }
    Ok(rows)
}

/// From the order to the end of every session.
pub fn panic(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let world = &course.world;
    let order =
        || -> Result<()> { world.admin(&["panic", "all", "--justification", "a drill"])?.ok().map(drop) };
    let row = ends::row("panic", course, sizes, &[], order)?;
    world.admin(&["panic", "lift", "all"])?.ok()?;
    Ok(vec![row])
}
