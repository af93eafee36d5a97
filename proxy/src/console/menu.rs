//! The menu of a login on a terminal without a target: what may be reached, numbered.
//! It is lines and a prompt, drawn once: any terminal shows it at any size.

use jiff::Timestamp;
use tidegate_common::model::RequestState;
use tidegate_common::name::{CredentialName, UserName};

use super::resources::{Reachable, reachable};
use super::show::until;
use super::table::Table;
use super::welcome::{emergencies, waiting};
use super::{Actor, Failure, Services};
use crate::store::RequestFilter;

/// Shown at once; a filter finds the rest.
const MOST: usize = 40;

/// What is asked below the list.
pub const PROMPT: &str = "Go to (number, name or a part of it; q leaves): ";

/// The menu of one user.
pub struct Menu {
    heading: String,
    items: Vec<Item>,
    /// The one that Enter goes to.
    offered: Option<usize>,
    columns: Option<usize>,
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
    /// What the user may reach now, on a terminal of so many columns.
    ///
    /// # Errors
    /// When they have no place here any more, or the store fails.
    pub async fn of(services: &Services, actor: &Actor, columns: u32) -> Result<Self, Failure> {
        actor.must_be_enabled(&services.access.snapshot())?;
        let user = actor.must_be_user()?;
        let mut menu = Self { heading: String::new(), items: Vec::new(), offered: None, columns: None };
        menu.fit(columns);
        let mut heading = format!("Welcome to Tidegate, {user}.\n\n");
        heading.push_str(&emergencies(services, user, menu.columns).await?);
        heading.push_str(&waiting(services, user, menu.columns).await?);
        let wishes = wishes(services, user).await?;
        let items = reachable(services, user).into_iter().map(|reach| {
            let wish = wishes.iter().find(|(target, _)| *target == reach.credential);
            let now = wish.map_or_else(|| reach.open(), |(_, now)| now.clone());
            Item { reach, now }
        });
        Ok(Self { heading, items: items.collect(), ..menu })
    }

    /// The terminal has so many columns now.
    pub fn fit(&mut self, columns: u32) {
        self.columns = usize::try_from(columns).ok().filter(|columns| *columns > 0);
    }

    /// Whether there is nothing to choose.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The first screen.
    #[must_use]
    pub fn first(&self) -> String {
        if self.is_empty() {
            let nothing = "You can reach nothing now; administrators add users to access groups.\n";
            return format!("{}{nothing}", self.heading);
        }
        format!("{}{}", self.heading, self.list(&self.all()))
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
            return go.map_or_else(|| Choice::Show(self.list(&self.all())), Choice::Go);
        }
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
                Choice::Show(format!("{}Enter goes to {name}.\n", self.list(&found)))
            }
            _ => Choice::Show(self.list(&found)),
        }
    }

    fn all(&self) -> Vec<usize> {
        (0..self.items.len()).collect()
    }

    fn target(&self, place: usize) -> Option<CredentialName> {
        self.items.get(place)?.reach.credential.parse().ok()
    }

    /// Whether every word is in the line that is shown, in whatever case.
    fn fits(&self, place: usize, words: &str) -> bool {
        let Some(Item { reach, now }) = self.items.get(place) else { return false };
        let text = format!("{} {} {now}", reach.text(), reach.credential).to_lowercase();
        words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    fn list(&self, places: &[usize]) -> String {
        let mut table = Table::new(["", "CREDENTIAL", "ASKS FOR", "OPEN", "GRANTS"]);
        for place in places.iter().take(MOST) {
            let Some(Item { reach, now }) = self.items.get(*place) else { continue };
            let number = (place + 1).to_string();
            let [name, asks, grants] = reach.cells();
            table.row([number, name, asks, now.clone(), grants]);
        }
        let more = match places.len().saturating_sub(MOST) {
            0 => String::new(),
            more => format!("and {more} more; type a part of a name to see fewer\n"),
        };
        format!("{}\n{more}", table.render(self.columns))
    }
}

/// Where the user's own requests stand, in a few words for each credential.
async fn wishes(services: &Services, user: &UserName) -> Result<Vec<(String, String)>, Failure> {
    let filter = RequestFilter {
        user: Some(user.clone()),
        states: &["pending", "approved"],
        ..RequestFilter::default()
    };
    let now = Timestamp::now();
    let told = services.requests.list(&filter).await?.into_iter().filter_map(|request| {
        let told = match request.state_at(now) {
            RequestState::Pending => format!("request {} waits", request.id),
            RequestState::Approved { window } if window.contains(now) => {
                format!("approved {}", until(window.end, now))
            }
            _ => return None,
        };
        Some((request.target.to_string(), told))
    });
    Ok(told.collect())
}
