//! From where people come: which networks are inside, where all others are, and who has a remote
//! access. Kept in memory, so that whoever asks again asks nobody else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tidegate_common::audit::{Event, Note};
use tidegate_common::model::{Network, PublicKey, RemoteAccess, User};
use tidegate_common::name::{UserGroupName, UserName};
use tidegate_common::policy::{self, Coming, Located, Login, NoEntry, Outside, Proved, Side};
use tidegate_common::time::Length;

use super::Access;
use crate::geo::Geo;
use crate::store::{Revision, StoreError};

/// How often the database's file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// For how long a remote access is remembered after its end, so that its user is told of it.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is configured of it.
#[derive(Clone)]
pub struct Border {
    /// What is inside; where nothing is, nobody is outside.
    pub inside: Vec<Network>,
    /// Whether refusals are only told.
    pub report_only: bool,
    /// Where addresses are.
    pub geo: Geo,
    /// Whether who joins a user group has a remote access, unless the group says otherwise.
    pub automatic: bool,
    /// For how long.
    pub automatic_duration: Length,
}

impl Default for Border {
    fn default() -> Self {
        Self {
            inside: Vec::new(),
            report_only: false,
            geo: Geo::default(),
            automatic: false,
            automatic_duration: Length::hours(30 * 24),
        }
    }
}

/// What is configured, and the remote accesses as they were read last.
#[derive(Default)]
pub(super) struct Known {
    border: Border,
    accesses: ArcSwap<HashMap<UserName, Vec<Arc<RemoteAccess>>>>,
    /// Up to which writing they were read. Held while they are read.
    read: tokio::sync::Mutex<Revision>,
}

impl Known {
    pub(super) fn new(border: Border) -> Self {
        Self { border, ..Self::default() }
    }
}

/// Where somebody was seen to come from.
pub(super) struct Seen {
    address: Option<IpAddr>,
    /// None where nothing is asked of it.
    located: Option<Located>,
    report_only: bool,
    accesses: Vec<Arc<RemoteAccess>>,
}

impl Seen {
    pub(super) fn coming(&self) -> Coming<'_> {
        let side = match (self.address, &self.located) {
            (None, _) => Side::Asked,
            (Some(_), None) => Side::Inside,
            (Some(address), Some(located)) => {
                Side::Outside(Outside { address, located, report_only: self.report_only })
            }
        };
        Coming { side, accesses: &self.accesses }
    }
}

impl Access {
    /// What is configured of it.
    pub(super) fn border(&self) -> &Border {
        &self.0.outside.border
    }

    /// Where the user comes from, and their remote accesses.
    pub(super) fn seen(&self, user: &UserName, address: Option<IpAddr>) -> Seen {
        let Known { border, accesses, .. } = &self.0.outside;
        let outside = address.filter(|address| self.is_outside(*address));
        Seen {
            address,
            located: outside.map(|address| border.geo.locate(address)),
            // What is only told of others is refused to who is a user by a remote access alone.
            report_only: border.report_only && !self.snapshot().is_limited(user),
            accesses: accesses.load().get(user).cloned().unwrap_or_default(),
        }
    }

    /// Whether an address is outside.
    #[must_use]
    pub fn is_outside(&self, address: IpAddr) -> bool {
        let inside = &self.border().inside;
        !inside.is_empty() && !inside.iter().any(|network| network.holds(address))
    }

    /// The log-in by a key that was enrolled for a remote access of the user that is good now; where it
    /// was for several, by the one that ends last.
    #[must_use]
    pub fn enrolled(&self, user: &UserName, key: &PublicKey) -> Option<Login> {
        let identity = key.identity();
        let (known, snapshot) = (self.0.outside.accesses.load(), self.snapshot());
        let now = Timestamp::now();
        // What is over is remembered with its keys, and must not stand before what is good; nor must one
        // whose user group lets its user in no more.
        let lets_in = |access: &&Arc<RemoteAccess>| {
            policy::stands(&snapshot, access, now).is_ok()
                && access.keys.iter().any(|one| one.identity() == identity)
        };
        let access = known.get(user)?.iter().filter(lets_in).max_by_key(|access| access.window.end)?;
        Some(Login::Enrolled { key: key.clone(), access: access.id, until: access.window.end })
    }

    /// Limited users of whom no remote access stands, as far as they were read.
    pub(super) fn without_access(&self, now: Timestamp) -> Vec<UserName> {
        let (known, snapshot) = (self.0.outside.accesses.load(), self.snapshot());
        let stands = |user: &UserName, group: &UserGroupName| {
            let own = known.get(user).map(Vec::as_slice).unwrap_or_default();
            own.iter().any(|access| access.group == *group && access.stands_at(now))
        };
        let waits = |user: &&Arc<User>| user.limited.as_ref().is_some_and(|group| !stands(&user.name, group));
        snapshot.users().filter(waits).map(|user| user.name.clone()).collect()
    }

    /// What an address is taken for, in words.
    #[must_use]
    pub fn taken_for(&self, user: &UserName, address: IpAddr) -> String {
        match self.seen(user, Some(address)).coming().side {
            Side::Outside(outside) => format!("{address} is outside, and is taken for {}", outside.located),
            Side::Asked | Side::Inside => format!("{address} is inside"),
        }
    }

    /// Whether a user who has proved who they are may enter from where they come; what would
    /// refuse them where that is only told.
    ///
    /// # Errors
    /// Why not.
    pub fn enter(&self, proved: &Proved) -> Result<Option<NoEntry>, NoEntry> {
        let seen = self.seen(&proved.user, Some(proved.origin));
        let entry = policy::enter(&self.snapshot(), &proved.user, &seen.coming(), Timestamp::now())?;
        Ok(entry.reported().cloned())
    }

    /// Reads the remote accesses that were written since they were read last, and has everybody
    /// look again if there are any.
    ///
    /// # Errors
    /// When the store fails; all stays as it was then.
    pub async fn refresh_remote_accesses(&self) -> Result<(), StoreError> {
        let Known { accesses, read, .. } = &self.0.outside;
        let mut read = read.lock().await;
        let (written, revision) =
            self.read_remote_accesses(self.0.store.remote_accesses_since(*read).await)?;
        if revision == *read {
            return Ok(());
        }
        let forgotten = Timestamp::now().checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
        let mut all: HashMap<UserName, Vec<Arc<RemoteAccess>>> = HashMap::clone(&accesses.load());
        for access in written {
            let own = all.entry(access.user.clone()).or_default();
            own.retain(|old| old.id != access.id);
            own.push(Arc::new(access));
        }
        all.retain(|_, own| {
            own.retain(|access| access.window.end > forgotten);
            !own.is_empty()
        });
        accesses.store(Arc::new(all));
        *read = revision;
        self.tick();
        Ok(())
    }

    /// Takes the remote accesses that another of their user's name had before, as this gate has just written
    /// them: they cannot be read now, and must not be the one's who has the name.
    pub(super) async fn see_over(&self, over: Vec<RemoteAccess>) {
        let Known { accesses, read, .. } = &self.0.outside;
        let _unread = read.lock().await;
        let mut all: HashMap<UserName, Vec<Arc<RemoteAccess>>> = HashMap::clone(&accesses.load());
        for access in over {
            let own = all.get_mut(&access.user).into_iter().flatten();
            // One that is marked was read since, and may be newer than this.
            for known in own.filter(|known| known.id == access.id && !known.before_user) {
                *known = Arc::new(access.clone());
            }
        }
        accesses.store(Arc::new(all));
        self.tick();
    }

    /// Looks at the database's file again and again, for ever, and says what became of it.
    pub async fn keep_locations(&self) {
        loop {
            self.look_at_locations().await;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Looks at it once.
    pub async fn look_at_locations(&self) {
        let geo = self.0.outside.border.geo.clone();
        let file = geo.path().map(|path| path.display().to_string()).unwrap_or_default();
        let event = match tokio::task::spawn_blocking(move || geo.look()).await {
            Ok(Ok(false)) => return,
            Ok(Ok(true)) => Event::LocationsRead { file: Note::new(file) },
            Ok(Err(error)) => {
                tracing::error!(%error, "the GeoIP database is not taken; what was read before stays in use");
                Event::LocationsRefused { why: Note::new(error.to_string()) }
            }
            Err(error) => {
                Event::LocationsRefused { why: Note::new(format!("{file} ended its reader: {error}")) }
            }
        };
        if let Err(error) = self.0.audit.append(event.by(tidegate_common::audit::Actor::Proxy)).await {
            tracing::error!(%error, "a change of the GeoIP database could not be logged");
        }
        self.tick();
    }
}
