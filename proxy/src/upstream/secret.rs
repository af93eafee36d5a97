//! How a password or a private key of the vault logs in to a device. Each is tried once: many devices lock
//! an account after a few wrong ones.

use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse as Interactive, Prompt};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use russh::{MethodKind, client};
use tidegate_common::name::AccountName;
use tidegate_common::secret::Secret;

use crate::vault::CredentialSecret;

/// So often a device may ask and say things until it has decided (RFC 4256).
const MOST_ROUNDS: usize = 4;

const WRONG_PASSWORD: &str = "it does not take the password that the vault has; an administrator must put the right one \
                              there (`credential secret set`)";
const WRONG_KEY: &str = "it does not take the private key that the vault has; see which keys it takes, or set another \
                         (`credential secret set`)";
const NO_PASSWORDS: &str =
    "it takes no passwords, and the vault has one; set a private key (`credential secret set`)";
const MORE_QUESTIONS: &str = "it asks for more than a password, which nobody here can answer";
const NO_KEY: &str = "the private key that the vault has is none; set it anew (`credential secret set`)";

/// What the device said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    In,
    /// No, and what to do about it.
    Refused(&'static str),
}

/// Logs in to an account.
///
/// # Errors
/// When the device breaks off.
pub(super) async fn log_in<H: client::Handler>(
    handle: &mut Handle<H>,
    account: &AccountName,
    secret: &CredentialSecret,
) -> Result<Answer, russh::Error> {
    match secret {
        CredentialSecret::Password(password) => by_password(handle, account.as_str(), password).await,
        CredentialSecret::PrivateKey(key) => by_key(handle, account.as_str(), key).await,
    }
}

async fn by_key<H: client::Handler>(
    handle: &mut Handle<H>,
    account: &str,
    key: &Secret,
) -> Result<Answer, russh::Error> {
    let Ok(key) = PrivateKey::from_openssh(key.reveal()) else { return Ok(Answer::Refused(NO_KEY)) };
    let hash = match key.algorithm().is_rsa() {
        // Never SHA-1, also where the device does not say what it takes.
        true => handle.best_supported_rsa_hash().await?.flatten().or(Some(HashAlg::Sha512)),
        false => None,
    };
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
    let answer = handle.authenticate_publickey(account, key).await?;
    answered(handle, &answer, WRONG_KEY)
}

async fn by_password<H: client::Handler>(
    handle: &mut Handle<H>,
    account: &str,
    password: &Secret,
) -> Result<Answer, russh::Error> {
    // Which ways it knows, it says to who tries none (RFC 4252, 5.2).
    let ways = match handle.authenticate_none(account).await? {
        AuthResult::Success => return Ok(Answer::In),
        AuthResult::Failure { remaining_methods, .. } => remaining_methods,
    };
    if ways.contains(&MethodKind::Password) {
        let answer = handle.authenticate_password(account, password.reveal()).await?;
        return answered(handle, &answer, WRONG_PASSWORD);
    }
    if ways.contains(&MethodKind::KeyboardInteractive) {
        return by_question(handle, account, password).await;
    }
    if handle.is_closed() { Err(russh::Error::Disconnect) } else { Ok(Answer::Refused(NO_PASSWORDS)) }
}

/// Answers the one question for a password.
async fn by_question<H: client::Handler>(
    handle: &mut Handle<H>,
    account: &str,
    password: &Secret,
) -> Result<Answer, russh::Error> {
    let mut said = handle.authenticate_keyboard_interactive_start(account, None).await?;
    let mut answered = false;
    for _ in 0..MOST_ROUNDS {
        let prompts = match said {
            Interactive::Success => return Ok(Answer::In),
            Interactive::Failure { .. } => return Ok(Answer::Refused(WRONG_PASSWORD)),
            Interactive::InfoRequest { prompts, .. } => prompts,
        };
        let responses = match prompts.as_slice() {
            [] => Vec::new(),
            // What would show is no password.
            [Prompt { echo: false, .. }] if !answered => {
                answered = true;
                vec![password.reveal().to_owned()]
            }
            _ => return Ok(Answer::Refused(MORE_QUESTIONS)),
        };
        said = handle.authenticate_keyboard_interactive_respond(responses).await?;
    }
    match said {
        Interactive::Success => Ok(Answer::In),
        _ => Ok(Answer::Refused(MORE_QUESTIONS)),
    }
}

fn answered<H: client::Handler>(
    handle: &Handle<H>,
    answer: &AuthResult,
    wrong: &'static str,
) -> Result<Answer, russh::Error> {
    match answer {
        AuthResult::Success => Ok(Answer::In),
        AuthResult::Failure { partial_success: true, .. } => Ok(Answer::Refused(MORE_QUESTIONS)),
        // One that has gone away without a word has refused nothing.
        AuthResult::Failure { remaining_methods, .. }
            if remaining_methods.is_empty() && handle.is_closed() =>
        {
            Err(russh::Error::Disconnect)
        }
        AuthResult::Failure { .. } => Ok(Answer::Refused(wrong)),
    }
}

#[cfg(test)]
mod tests;
