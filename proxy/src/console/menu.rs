//! The menu of a login on a terminal without a target: what may be reached, numbered.
//! It is lines and a prompt, drawn once: any terminal shows it at any size. No more is drawn
//! at once than fits on it, so that the first line is still there above the prompt.

use jiff::Timestamp;
use tidegate_common::model::StateWord;
use tidegate_common::name::CredentialName;

use super::access::{cells, open};
use super::show::until;
use super::table::{Table, length};
use super::welcome::{emergencies, waiting};
use super::{Actor, Failure, Services};
use crate::service::access::Reachable;
use crate::service::overview::{Overview, overview};
use crate::service::requests::RequestView;

/// Shown at once on a terminal whose rows nobody knows.
const MOST: usize = 40;
/// Shown at once on the lowest terminal.
const LEAST: usize = 2;
/// Rows that a list takes beside its items: the headings, what is told of the rest, an empty
/// one and the prompt's.
const AROUND: usize = 4;

/// What is asked below the list.
pub const PROMPT: &str = "Go to (number, name or a part of it; q leaves): ";

/// The menu of one user.
pub struct Menu {
    heading: String,
    items: Vec<Item>,
    /// The one that Enter goes to.
    offered: Option<usize>,
    columns: Option<usize>,
    rows: Option<usize>,
    /// The first item that Enter shows.
    next: usize,
}

struct Item {
    reach: Reachable,
    now: String,
}

/// What a line typed below the menu means.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// Go there.
    Go(CredentialName),
    /// Show this, and ask again.
    Show(String),
    /// Go away.
    Leave,
}

impl Menu {
    /// What the user may reach now, on a terminal of so many columns and rows.
    ///
    /// # Errors
    /// When they have no place here any more, or the store fails.
    pub async fn of(services: &Services, actor: &Actor, columns: u32, rows: u32) -> Result<Self, Failure> {
        let Overview { user, hindrance, reachable, emergencies: due, waiting: votes, own } =
            overview(services, actor).await?;
        let (heading, items) = (format!("Welcome to Tidegate, {user}.\n\n"), Vec::new());
        let mut menu = Self { heading, items, offered: None, columns: None, rows: None, next: 0 };
        menu.fit(columns, rows);
        menu.heading.extend(hindrance.map(|hindrance| format!("{hindrance}\n\n")));
        // Of what waits for the user no more than leaves room for the menu itself.
        let most = menu.rows.map_or(usize::MAX, |rows| rows.saturating_sub(10) / 7).clamp(1, 10);
        let to_type = |words: &str| services.ssh_name.command(Some(user.as_str()), words);
        menu.heading.push_str(&emergencies(&due, to_type, menu.columns, most));
        menu.heading.push_str(&waiting(&votes, to_type, menu.columns, most));
        let now = Timestamp::now();
        let items = reachable.into_iter().map(|reach| {
            let wishes = own.iter().filter(|request| request.targets.contains(&reach.credential));
            let now = wishes.filter_map(|request| stands(request, now)).next();
            Item { now: now.unwrap_or_else(|| open(&reach)), reach }
        });
        menu.items = items.collect();
        Ok(menu)
    }

    /// The terminal has so many columns and rows now; 0 where nobody knows.
    pub fn fit(&mut self, columns: u32, rows: u32) {
        let known = |side: u32| usize::try_from(side).ok().filter(|side| *side > 0);
        (self.columns, self.rows) = (known(columns), known(rows));
    }

    /// How many items fit below so many rows.
    fn room(&self, above: usize) -> usize {
        self.rows.map_or(MOST, |rows| rows.saturating_sub(AROUND + above).max(LEAST))
    }

    /// The rows that a text takes.
    fn height(&self, text: &str) -> usize {
        let rows = |line| self.columns.map_or(1, |columns| length(line).div_ceil(columns).max(1));
        text.lines().map(rows).sum()
    }

    /// Whether there is nothing to choose.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The first screen.
    #[must_use]
    pub fn first(&mut self) -> String {
        if self.is_empty() {
            let nothing = "You can reach nothing now; administrators add users to access groups.\n";
            return format!("{}{nothing}", self.heading);
        }
        self.next = 0;
        let page = self.page(self.height(&self.heading));
        format!("{}{page}", self.heading)
    }

    /// What a line means.
    #[must_use]
    pub fn choose(&mut self, line: &str) -> Choice {
        let line = line.trim();
        let offered = self.offered.take();
        if let ("q" | "quit" | "exit", _) = (line, offered) {
            return Choice::Leave;
        }
        if line.is_empty() {
            let go = offered.and_then(|place| self.target(place));
            return go.map_or_else(|| Choice::Show(self.page(0)), Choice::Go);
        }
        self.next = 0;
        let number = line.parse::<usize>().ok();
        if let Some(target) = number.and_then(|number| self.target(number.checked_sub(1)?)) {
            return Choice::Go(target);
        }
        // A whole name is tried as it is; policy answers for what is not in the list.
        if let Ok(target) = line.parse() {
            return Choice::Go(target);
        }
        let found: Vec<usize> = self.all().into_iter().filter(|place| self.fits(*place, line)).collect();
        match found.as_slice() {
            [] => {
                let shown: String = line.chars().take(60).collect();
                Choice::Show(format!("Nothing matches `{shown}`; Enter shows all.\n"))
            }
            [one] => {
                self.offered = Some(*one);
                let name = self.target(*one).map(|target| target.to_string()).unwrap_or_default();
                Choice::Show(format!("{}Enter goes to {name}.\n", self.list(&found, "")))
            }
            _ => {
                let fit = self.room(0);
                let more = match found.len() > fit {
                    true => {
                        format!("the first {fit} of {}; a longer part of a name shows fewer\n", found.len())
                    }
                    false => String::new(),
                };
                Choice::Show(self.list(found.get(..fit).unwrap_or(&found), &more))
            }
        }
    }

    fn all(&self) -> Vec<usize> {
        (0..self.items.len()).collect()
    }

    fn target(&self, place: usize) -> Option<CredentialName> {
        Some(self.items.get(place)?.reach.credential.clone())
    }

    /// Whether every word is in the line that is shown, in whatever case.
    fn fits(&self, place: usize, words: &str) -> bool {
        let Some(Item { reach, now }) = self.items.get(place) else { return false };
        let Reachable { credential, group, asks, privileges, device_type, product, .. } = reach;
        let text = format!("{credential} {group} {asks} {privileges} {device_type} {product} {now}");
        let text = text.to_lowercase();
        words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    /// As many as fit below so many rows, from where Enter goes on; after the last come the
    /// first again.
    fn page(&mut self, above: usize) -> String {
        let (all, from) = (self.all(), self.next);
        let until = all.len().min(from + self.room(above));
        self.next = if until < all.len() { until } else { 0 };
        let more = match (from, until) {
            (0, until) if until == all.len() => String::new(),
            _ => format!(
                "{} to {until} of {}; Enter shows others, a part of a name fewer\n",
                from + 1,
                all.len()
            ),
        };
        self.list(all.get(from..until).unwrap_or(&all), &more)
    }

    fn list(&self, places: &[usize], more: &str) -> String {
        let mut table = Table::new(["", "CREDENTIAL", "ASKS FOR", "OPEN", "GRANTS"]).keeping([1, 3]);
        for place in places {
            let Some(Item { reach, now }) = self.items.get(*place) else { continue };
            let number = (place + 1).to_string();
            let [name, asks, grants] = cells(reach);
            table.row([number, name, asks, now.clone(), grants]);
        }
        format!("{}\n{more}", table.render(self.columns))
    }
}

/// Where one of the user's own requests stands, in a few words; nothing where it opens nothing.
fn stands(request: &RequestView, now: Timestamp) -> Option<String> {
    match (request.state, &request.window) {
        (StateWord::Pending, _) => Some(format!("request {} waits", request.id)),
        (_, Some(window)) if window.contains(now) => Some(format!("approved {}", until(window.end, now))),
        _ => None,
    }
}
