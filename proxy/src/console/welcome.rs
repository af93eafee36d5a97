//! What a login without a target, a command and a terminal shows: what may be reached,
//! how, and which requests wait for this user's vote.

use jiff::Timestamp;

use super::access::reach_table;
use super::screen::Screen;
use super::show::{ago, maybe};
use super::table::Table;
use super::{Actor, Failure, Services};
use crate::service::overview::{Overview, overview};
use crate::service::requests::RequestView;

/// Emergencies, and requests that wait, that are shown at once.
const MOST: usize = 10;

pub(super) async fn show(services: &Services, actor: &Actor, screen: &mut Screen<'_>) -> Result<u8, Failure> {
    if actor.name().is_none() {
        return Err(Failure::Usage("name a command; --help lists them".to_owned()));
    }
    let Overview { user, hindrance, reachable: reaches, emergencies: due, waiting, .. } =
        overview(services, actor).await?;
    if screen.json {
        screen.list(&reaches, || reach_table(&reaches)).await?;
        return Ok(0);
    }
    screen.line(&format!("Welcome to Tidegate, {user}.\n")).await?;
    if let Some(hindrance) = hindrance {
        screen.line(&format!("{hindrance}\n")).await?;
    }
    let to_type = |words: &str| services.ssh_name.command(Some(user.as_str()), words);
    screen.text(&emergencies(&due, to_type, screen.columns, MOST)).await?;
    match reaches.first() {
        None => screen.line("You can reach nothing now; administrators add users to access groups.").await?,
        Some(first) => {
            let target = &first.credential;
            screen.line(&reach_table(&reaches).render(screen.columns)).await?;
            let name = &services.ssh_name;
            let (session, jump) = (name.session(&user, target), name.jump(&user, target));
            screen.line(&format!("\nTo go to {target}{}:\n  {session}\n  {jump}", name.remark())).await?;
        }
    }
    let waiting = self::waiting(&waiting, to_type, screen.columns, MOST);
    if !waiting.is_empty() {
        screen.text(&format!("\n{}", waiting.trim_end_matches('\n'))).await?;
        screen.line("").await?;
    }
    screen.line(&format!("\nAll commands: {}", to_type("--help"))).await?;
    Ok(0)
}

/// The emergencies that nobody has reviewed yet and this user may, so many at most, with an
/// empty line after them; nothing where there is none. `to_type` says how a command is typed.
pub(super) fn emergencies(
    due: &[RequestView],
    to_type: impl Fn(&str) -> String,
    columns: Option<usize>,
    most: usize,
) -> String {
    let Some(first) = due.first() else { return String::new() };
    let now = Timestamp::now();
    let mut table = Table::new(["ID", "USER", "CREDENTIAL", "MADE", "WHY IT COULD NOT WAIT"]);
    for request in due.iter().take(most) {
        table.row([
            request.id.to_string(),
            request.user.to_string(),
            request.what(),
            ago(request.created, now),
            maybe(request.claims.emergency.as_ref()),
        ]);
    }
    let more = match due.len().saturating_sub(most) {
        0 => String::new(),
        more => format!("and {more} more: {}\n", to_type("request list --to-review")),
    };
    let list = table.render(columns);
    let review = to_type(&format!("request review {}", first.id));
    format!("EMERGENCY: access that nobody approved, for you to review:\n{list}\n{more}\n  {review}\n\n")
}

/// The requests that wait for the user's vote, so many at most, with an empty line after
/// them; nothing where none does.
pub(super) fn waiting(
    waiting: &[RequestView],
    to_type: impl Fn(&str) -> String,
    columns: Option<usize>,
    most: usize,
) -> String {
    let Some(first) = waiting.first() else { return String::new() };
    let list = table(waiting.get(..most).unwrap_or(waiting)).render(columns);
    let more = match waiting.len().saturating_sub(most) {
        0 => String::new(),
        more => format!("and {more} more: {}\n", to_type("request list --pending")),
    };
    let approve = to_type(&format!("request approve {}", first.id));
    format!("These requests wait for you:\n{list}\n{more}\n  {approve}\n\n")
}

fn table(requests: &[RequestView]) -> Table {
    let now = Timestamp::now();
    let mut table = Table::new(["ID", "USER", "CREDENTIAL", "MADE", "JUSTIFICATION"]);
    for request in requests {
        table.row([
            request.id.to_string(),
            request.user.to_string(),
            request.what(),
            ago(request.created, now),
            maybe(request.claims.justification.as_ref()),
        ]);
    }
    table
}
