//! Links: a code that is sent to the user of a remote access lets them in once, and enrols a key
//! there for as long as the access lasts.
//!
//! A code has 130 random bits and is kept as a digest, so a right one is never refused for wrong ones,
//! nor held up. Wrong ones are counted by user and by source over all gates: beyond the first few of a
//! quarter of an hour each is answered later than the one before, up to a few seconds.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate_common::audit::{Note, RemoteAccessStep};
use tidegate_common::id::RemoteAccessId;
use tidegate_common::model::{PublicKey, RemoteAccess, RemoteAccessWord};
use tidegate_common::name::UserName;
use tidegate_common::notice::{Channel, Notice};
use tidegate_common::policy::{Login, Notification, Proved, Recipient};
use tidegate_common::secret::Secret;

use super::{RemoteAccessError, RemoteAccesses, moment, told};
use crate::access::By;
use crate::audit_log::Telling;
use crate::origin;
use crate::store::{Store, WrongCodes};
use crate::turn::Retryable as _;

/// So many wrong codes are answered at once.
const ANSWERED: u32 = 5;
/// How often the pause before the answer of one more is doubled.
const DOUBLED: u32 = 3;
/// What is counted: as long as the pause grows.
const WRONG: WrongCodes = WrongCodes {
    most: ANSWERED + DOUBLED,
    within: SignedDuration::from_mins(15),
    of_source: 256,
    in_all: 4096,
};
/// Keys of one remote access.
const MOST_KEYS: usize = 8;

/// As people type it: no letter that looks like another (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LETTERS: usize = 26;

/// Why a code lets nobody in; each is a sentence for the one who typed it.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// Nobody was given it.
    #[error("that is no code of yours; copy it as it was sent to you")]
    Wrong,
    /// It was used.
    #[error("that code was used already; ask an administrator to send another")]
    Used,
    /// It is too old, or another was sent since.
    #[error("that code has expired; ask an administrator to send another")]
    Expired,
    /// Too many wrong ones.
    #[error("too many wrong codes; a right one is taken all the same: copy it as it was sent to you")]
    Deaf,
    /// The access is not good now, or not from there.
    #[error(transparent)]
    Entry(#[from] tidegate_common::policy::NoEntry),
    /// The store or the log failed.
    #[error(transparent)]
    Failed(#[from] RemoteAccessError),
}

/// A new code, as it is sent: letters in groups.
fn fresh() -> Secret {
    let mut random: [u8; LETTERS] = rand::random();
    let letter = |byte: &u8| char::from(ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or(b'0'));
    let letters: Vec<char> = random.iter().map(letter).collect();
    zeroize::Zeroize::zeroize(&mut random);
    let groups: Vec<String> = letters.chunks(5).map(|group| group.iter().collect()).collect();
    Secret::new(groups.join("-"))
}

/// A code as it is kept, of one as it was typed; none that is out of shape.
fn plain(typed: &str) -> Option<Secret> {
    let letters: String = typed
        .chars()
        .take(200)
        .filter(|letter| !letter.is_whitespace() && *letter != '-')
        .map(|letter| match letter.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            letter => letter,
        })
        .collect();
    let fits = letters.len() == LETTERS && letters.bytes().all(|letter| ALPHABET.contains(&letter));
    fits.then(|| Secret::new(letters))
}

/// How long the answer to a wrong code is held back, which is the how-manieth of its user from there.
fn pause(first: Duration, which: u32) -> Duration {
    match which.checked_sub(ANSWERED) {
        None | Some(0) => Duration::ZERO,
        Some(more) => first.saturating_mul(1 << (more - 1).min(DOUBLED)),
    }
}

impl RemoteAccesses {
    /// Sends the user of a remote access a code; earlier ones no longer let them in. Gives until
    /// when it is good.
    ///
    /// # Errors
    /// When the access is not good or its user cannot be reached that way.
    pub async fn forward(
        &self,
        id: RemoteAccessId,
        channel: Channel,
        by: &By,
    ) -> Result<(RemoteAccess, Timestamp), RemoteAccessError> {
        let _turn = self.turn().await;
        let now = moment();
        let access = self.get(id).await?;
        match access.word_at(now) {
            RemoteAccessWord::Active | RemoteAccessWord::Upcoming => {}
            word => return Err(RemoteAccessError::State { id, word }),
        }
        let snapshot = self.0.access.snapshot();
        let user = snapshot.user(&access.user);
        let reached = user.is_some_and(|user| match channel {
            Channel::Mail => user.email.is_some(),
            Channel::Sms => user.phone.is_some(),
            Channel::Webhook => false,
        });
        if !reached {
            return Err(RemoteAccessError::Unreached { user: access.user.clone(), channel });
        }
        if !self.0.settings.sends.contains(&channel) {
            return Err(RemoteAccessError::Unset(channel));
        }
        let expires = self.0.settings.code.after(now).min(access.window.end);
        let code = fresh();
        let Some(kept) = plain(code.reveal()) else { return Err(RemoteAccessError::Stopping) };
        let giver = match &by.actor {
            tidegate_common::audit::Actor::User(user) => Some(user.clone()),
            _ => None,
        };
        let of = Note::new(format!("remote access {id}"));
        let code = self.0.vault.seal_waiting(of.as_str(), code).await?;
        let notice = Notice::Link { by: giver, access: of, expires };
        let recipient = Recipient::User(access.user.clone());
        let notification = Notification { recipient, channel, notice, secret: Some(code) };
        let entry =
            told(&access, RemoteAccessStep::CodeSent, format!("by {channel}, good until {expires:.0}"), by);
        let step = Store::entry_code_given(id, &access.user, &kept, now, expires);
        self.write(step, vec![Telling::new(entry, vec![notification])]).await?;
        Ok((access, expires))
    }

    /// Takes back the code that was sent.
    ///
    /// # Errors
    /// When there is no such access, or it cannot be written.
    pub async fn revoke_code(&self, id: RemoteAccessId, by: &By) -> Result<RemoteAccess, RemoteAccessError> {
        let access = self.get(id).await?;
        let entry = told(&access, RemoteAccessStep::CodeRevoked, "", by);
        self.write(Store::entry_codes_revoked(id), vec![entry.into()]).await?;
        Ok(access)
    }

    /// Uses a code up, and proves by it who its user is.
    ///
    /// # Errors
    /// Why it proves nothing, as its user reads it.
    pub async fn redeem(&self, user: &UserName, typed: &str, origin: IpAddr) -> Result<Proved, CodeError> {
        let (source, now) = (origin::source(origin), moment());
        let known = match plain(typed) {
            Some(code) => {
                let row = self.0.store.entry_code(&code).await.map_err(RemoteAccessError::from)?;
                // Whoever has somebody else's learns no more than who guesses.
                row.filter(|row| row.user == *user).map(|row| (code, row))
            }
            None => None,
        };
        let Some((code, row)) = known else { return Err(self.wrong(user, source, now).await) };
        if row.used.is_some() {
            return Err(CodeError::Used);
        }
        if row.expires <= now {
            return Err(CodeError::Expired);
        }
        let access = self.get(row.access).await?;
        let login = Login::Code { access: access.id, until: access.window.end }.into();
        let proved = Proved { user: user.clone(), login, origin };
        // What would let nobody in uses no code up.
        self.0.access.enter(&proved)?;
        self.0.access.proves(&proved).map_err(|_| CodeError::Expired)?;
        let by = By {
            actor: tidegate_common::audit::Actor::User(user.clone()),
            origin: Some(origin),
            login: None,
        };
        let entry = told(&access, RemoteAccessStep::CodeUsed, "", &by);
        let step = Store::entry_code_used(&code, user, now).and(Store::code_was_right(user, source));
        match self.write(step, vec![entry.into()]).await {
            Ok(()) => Ok(proved),
            Err(error) if error.is_changed() => Err(CodeError::Used),
            Err(error) => Err(error.into()),
        }
    }

    /// Counts a wrong code; what who typed it is told, and not before their pause is over.
    async fn wrong(&self, user: &UserName, source: IpAddr, now: Timestamp) -> CodeError {
        let which = match self.0.store.wrong_code(user, source, &WRONG, now).await {
            Ok(which) => which,
            Err(error) => return CodeError::Failed(error.into()),
        };
        tokio::time::sleep(pause(self.0.settings.slowed, which)).await;
        if which <= ANSWERED { CodeError::Wrong } else { CodeError::Deaf }
    }

    /// Has a key log the user in for as long as the remote access lasts, which they entered by.
    ///
    /// # Errors
    /// When the access is over, the key is somebody's, or there are too many.
    pub async fn enrol(
        &self,
        id: RemoteAccessId,
        key: &PublicKey,
        by: &By,
    ) -> Result<RemoteAccess, RemoteAccessError> {
        let mut turn = self.turn().await;
        loop {
            let done = self.enrol_once(id, key, by).await;
            if !turn.again(&done) {
                return done;
            }
        }
    }

    async fn enrol_once(
        &self,
        id: RemoteAccessId,
        key: &PublicKey,
        by: &By,
    ) -> Result<RemoteAccess, RemoteAccessError> {
        let (mut access, was) = self.to_change(id).await?;
        match access.word_at(moment()) {
            RemoteAccessWord::Active => {}
            word => return Err(RemoteAccessError::State { id, word }),
        }
        let identity = key.identity();
        let owned = |keys: &[PublicKey]| keys.iter().any(|own| own.identity() == identity);
        if self.0.access.snapshot().users().any(|user| owned(&user.keys)) || owned(&access.keys) {
            return Err(RemoteAccessError::KeyTaken);
        }
        if access.keys.len() >= MOST_KEYS {
            return Err(RemoteAccessError::Keys);
        }
        access.keys.push(key.clone());
        let entry = told(&access, RemoteAccessStep::KeyEnrolled, key.to_string(), by);
        self.write(Store::remote_access_changed(access.clone(), was), vec![entry.into()]).await?;
        Ok(access)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_after_a_wrong_code_begins_with_the_sixth_grows_and_is_a_few_seconds_at_most() {
        let millis = |which| pause(Duration::from_millis(500), which).as_millis();
        let first: Vec<_> = (1..=ANSWERED).map(millis).collect();
        assert_eq!(first, [0; 5]);
        assert_eq!([6, 7, 8, 9, 10, u32::MAX].map(millis), [500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(millis(WRONG.most + 1), 4000, "who is not counted waits longest");
    }
}
