//! How soon sessions end once what lets them live is gone: a request is revoked, a remote access is
//! cancelled, the place from where they come is not allowed any more or is another.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidegate_tests::client::login;
use tidegate_tests::device::ACCOUNT;
use tidegate_tests::mmdb::{database, nested};
use tidegate_tests::wait;

use crate::measures::Typist;
use crate::report::Row;
use crate::ways::{Course, Way};
use crate::{Sizes, outbox};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all of them log in to.
const TARGET: &str = "ops@bench01";

/// Whose sessions rest on a request.
const ASKER: &str = "asker";

/// Who approves it.
const BOSS: &str = "boss";

/// Whose sessions come from outside.
const ROAMER: &str = "roamer";

/// The user group by which they enter.
const GROUP: &str = "field";

const INSIDE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Where `OUTSIDE` is, as country and region, and where it is moved to.
const HOME: [&str; 2] = ["BR", "SP"];
const ABROAD: [&str; 2] = ["AR", "C"];

/// A course whose gate knows what is inside, where the rest is, and a mail server that hangs.
pub fn open(base: &Path) -> Result<Course> {
    let places = places()?;
    fs::create_dir_all(places.parent().context("no directory for the GeoIP database")?)?;
    put(HOME)?;
    let more = format!(
        "\n[remote_access]\ninside = [\"{INSIDE}\"]\ngeoip = \"{}\"\n\n{}",
        places.display(),
        outbox::hanging_mail()?
    );
    let course = Course::open_with(base, more)?;
    let client = course.world.client();
    let (asker, boss, roamer) =
        (client.public_key(ASKER)?, client.public_key(BOSS)?, client.public_key(ROAMER)?);
    let resources = format!(
        r#"
        [[user]]
        name = "{ASKER}"
        keys = ["{asker}"]

        [[user]]
        name = "{BOSS}"
        keys = ["{boss}"]

        [[user]]
        name = "{ROAMER}"
        email = "{ROAMER}@example.org"
        keys = ["{roamer}"]

        [[access_group]]
        name = "asking"
        users = ["{ASKER}"]
        approvers = ["{BOSS}"]
        criteria = {{ devices = ["bench01"], accounts = ["{ACCOUNT}"] }}
        session = {{ justification = true, approval = {{ needed = 1 }} }}

        [[access_group]]
        name = "roaming"
        users = ["{ROAMER}"]
        criteria = {{ devices = ["bench01"], accounts = ["{ACCOUNT}"] }}
        session = {{}}
        "#
    );
    course.world.apply(&resources)?;
    allow(&course, HOME)?;
    Ok(course)
}

/// From the order to the end of the last of many clients, whose sessions are of whom these options of
/// ssh make them.
pub fn row(
    what: &str,
    course: &Course,
    sizes: &Sizes,
    who: &[String],
    order: impl FnOnce() -> Result<()>,
) -> Result<Row> {
    let who: Vec<&str> = who.iter().map(String::as_str).collect();
    let mut sessions = Vec::new();
    for _ in 0..sizes.idle {
        sessions.push(Typist::sit_down_with(course, Way::Tidegate, "", &who)?);
    }
    ensure!(!sessions.iter_mut().any(Typist::has_left), "not all sessions live");
    let start = Instant::now();
    order()?;
    wait::until_true("every client has ended", PATIENCE, || {
        sessions.retain_mut(|session| !session.has_left());
        sessions.is_empty()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    // What the gate still has to put away is not to be in the next measure.
    wait::until_true("the gate has no session any more", PATIENCE, || {
        let live = course.world.json(&["session", "list", "--live"]);
        live.is_ok_and(|live| live.as_array().is_some_and(Vec::is_empty))
    })?;
    Ok(Row::new(format!("{what} to the end of {} sessions", sizes.idle), "s", seconds, None, None, 1))
}

/// A request on which all of them rest.
pub fn revoked(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let client = course.world.client();
    let ask = ["request", "create", TARGET, "--justification", "drill", "-o", "json"];
    let made = client.console(ASKER, &ask)?.ok()?;
    let made: Value = serde_json::from_slice(&made.stdout)?;
    let id = number(&made)?;
    client.console(BOSS, &["request", "approve", &id])?.ok()?;
    let order = || -> Result<()> { course.world.admin(&["request", "revoke", &id])?.ok().map(drop) };
    Ok(vec![row("revoked request", course, sizes, &person(course, ASKER, INSIDE)?, order)?])
}

/// A remote access by which all of them came in.
pub fn cancelled(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let (id, who) = (enters(course)?, person(course, ROAMER, OUTSIDE)?);
    Ok(vec![row("cancelled remote access", course, sizes, &who, || cancel(course, &id))?])
}

/// The locations of a user group no longer hold the place of all of them.
pub fn moved(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let (id, who) = (enters(course)?, person(course, ROAMER, OUTSIDE)?);
    let done = row("changed place of a user group", course, sizes, &who, || allow(course, ABROAD))?;
    allow(course, HOME)?;
    cancel(course, &id)?;
    Ok(vec![done])
}

/// By another GeoIP database the place of all of them is another. The gate looks at the file each second.
pub fn relocated(course: &Course, sizes: &Sizes) -> Result<Vec<Row>> {
    let (id, who) = (enters(course)?, person(course, ROAMER, OUTSIDE)?);
    let done = row("another GeoIP database", course, sizes, &who, || put(ABROAD))?;
    put(HOME)?;
    cancel(course, &id)?;
    Ok(vec![done])
}

/// Options of ssh that make it this user's, from this address.
fn person(course: &Course, user: &str, from: Ipv4Addr) -> Result<Vec<String>> {
    let key = course.world.client().key(user)?.display().to_string();
    let of = [("-i", key), ("-b", from.to_string()), ("-l", login(user, TARGET))];
    Ok(of.into_iter().flat_map(|(option, value)| [option.to_owned(), value]).collect())
}

/// Lets `ROAMER` in from outside, once the gate knows where that is; the number of the remote access.
fn enters(course: &Course) -> Result<String> {
    let world = &course.world;
    let (from, home) = (OUTSIDE.to_string(), format!("is taken for {}", HOME.join("-")));
    wait::until_true("the GeoIP database is read", PATIENCE, || {
        let told = world.admin(&["access", "explain", ROAMER, TARGET, "--from", &from]);
        told.and_then(|told| told.ok()).is_ok_and(|told| told.out().contains(&home))
    })?;
    let words = ["remote-access", "request", GROUP, ROAMER, "--justification", "drill", "--duration", "2h"];
    number(&world.json(&words)?)
}

fn cancel(course: &Course, id: &str) -> Result<()> {
    course.world.admin(&["remote-access", "cancel", id])?.ok().map(drop)
}

/// Lets the user group in from there only.
fn allow(course: &Course, place: [&str; 2]) -> Result<()> {
    let group = format!(
        "[[user_group]]\nname = \"{GROUP}\"\nusers = [\"{ROAMER}\"]\n[user_group.location]\nallowed = [\"{}\"]\n",
        place.join("-")
    );
    course.world.apply(&group).map(drop)
}

/// The GeoIP database.
fn places() -> Result<PathBuf> {
    Ok(crate::target()?.join("bench/places.mmdb"))
}

/// Another one in the place of the old, by which `OUTSIDE` is there.
fn put(place: [&str; 2]) -> Result<()> {
    let [country, region] = place;
    let network = format!("{OUTSIDE}/32");
    let path = places()?;
    let new = path.with_extension("new");
    fs::write(&new, database(&[(network.as_str(), nested(country, region, "a region"))]))?;
    fs::rename(&new, &path)?;
    Ok(())
}

/// The number of what was made.
fn number(made: &Value) -> Result<String> {
    let id = made.get(0).and_then(|one| one.get("id")).and_then(Value::as_u64);
    Ok(id.with_context(|| format!("no number in {made}"))?.to_string())
}
