//! What a credential's secret may be: a password, or a private key of OpenSSH.

use russh::keys::PrivateKey;
use tidegate_common::audit::SecretKind;
use tidegate_common::secret::Secret;
use tidegate_common::unseen::printable;
use zeroize::{Zeroize as _, Zeroizing};

/// As much as is read of what shall be a secret, in bytes: a private key of RSA with 16384 bits has some
/// 12 KiB.
pub const MOST_BYTES: usize = 16 * 1024;

/// The longest password, in bytes.
const LONGEST_PASSWORD: usize = 1024;

/// How OpenSSH begins a private key (PROTOCOL.key).
const OPENSSH: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";

/// How keys begin in other formats.
const OTHERS: [&str; 2] = ["-----BEGIN ", "PuTTY-User-Key-File"];

/// A credential's secret; shown by nothing but [`CredentialSecret::text`], and wiped when it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSecret {
    /// One line that shows as it is.
    Password(Secret),
    /// A private key without a passphrase, in OpenSSH's format.
    PrivateKey(Secret),
}

/// Why something is no secret. Nothing of it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSecret {
    /// Nothing.
    #[error("it is empty, so nothing was set")]
    Empty,
    /// Too long.
    #[error(
        "it is too long, so nothing was set: a password has {LONGEST_PASSWORD} bytes at most, a private key \
         {MOST_BYTES}"
    )]
    Long,
    /// Not one line of text.
    #[error(
        "it is neither one line of characters that show, as a password is, nor a private key in OpenSSH's \
         format; nothing was set"
    )]
    Characters,
    /// A key with a passphrase.
    #[error(
        "the private key has a passphrase, which the gate does not know; write it without one (`ssh-keygen -p`), \
         and nothing was set"
    )]
    Encrypted,
    /// A key in another format.
    #[error(
        "the private key is not in OpenSSH's format; `ssh-keygen -p -f FILE` writes it so, and nothing was set"
    )]
    Format,
    /// It begins as a key and is none.
    #[error("it begins as a private key of OpenSSH and is none that the gate can use; nothing was set")]
    Key,
}

impl CredentialSecret {
    /// Takes what was typed or sent. A line's end behind a password is none of it.
    ///
    /// # Errors
    /// When it is no secret.
    pub fn read(bytes: Zeroizing<Vec<u8>>) -> Result<Self, NoSecret> {
        if bytes.len() > MOST_BYTES {
            return Err(NoSecret::Long);
        }
        let text = text(bytes)?;
        let trimmed = text.trim();
        if trimmed.starts_with(OPENSSH) {
            let key = PrivateKey::from_openssh(trimmed).map_err(|_| NoSecret::Key)?;
            if key.is_encrypted() {
                return Err(NoSecret::Encrypted);
            }
            return Ok(Self::PrivateKey(Secret::new(format!("{trimmed}\n"))));
        }
        if OTHERS.iter().any(|start| trimmed.starts_with(start)) {
            return Err(NoSecret::Format);
        }
        let line = text.strip_suffix('\n').map_or(&**text, |line| line.strip_suffix('\r').unwrap_or(line));
        if line.is_empty() {
            return Err(NoSecret::Empty);
        }
        if line.len() > LONGEST_PASSWORD {
            return Err(NoSecret::Long);
        }
        if line.chars().any(|letter| printable(letter) != letter) {
            return Err(NoSecret::Characters);
        }
        Ok(Self::Password(Secret::new(line.to_owned())))
    }

    /// As it stood in the vault.
    pub(super) fn kept(kind: SecretKind, bytes: Zeroizing<Vec<u8>>) -> Result<Self, NoSecret> {
        let secret = Secret::new(std::mem::take(&mut *text(bytes)?));
        Ok(match kind {
            SecretKind::Password => Self::Password(secret),
            SecretKind::PrivateKey => Self::PrivateKey(secret),
        })
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> SecretKind {
        match self {
            Self::Password(_) => SecretKind::Password,
            Self::PrivateKey(_) => SecretKind::PrivateKey,
        }
    }

    /// The secret itself, for who seals it.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Password(secret) | Self::PrivateKey(secret) => secret.reveal(),
        }
    }
}

fn text(mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, NoSecret> {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(NoSecret::Characters)
        }
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::ssh_key::LineEnding;
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    fn read(text: &str) -> Result<CredentialSecret, NoSecret> {
        CredentialSecret::read(Zeroizing::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn a_password_is_one_line_that_shows_and_its_end_is_none_of_it() {
        for text in ["hunter2", "hunter2\n", "hunter2\r\n"] {
            assert_eq!(
                read(text),
                Ok(CredentialSecret::Password(Secret::new("hunter2".to_owned()))),
                "{text:?}"
            );
        }
        for text in [" with spaces ", "grün 語 $'\"\\", "-----", "ssh-ed25519 AAAA"] {
            assert_eq!(read(text).unwrap().text(), text);
        }
        for (text, why) in [
            ("", NoSecret::Empty),
            ("\n", NoSecret::Empty),
            ("two\nlines", NoSecret::Characters),
            ("a\u{1b}[2J", NoSecret::Characters),
            ("a\u{202e}b", NoSecret::Characters),
            ("a\0", NoSecret::Characters),
        ] {
            assert_eq!(read(text), Err(why), "{text:?}");
        }
        assert_eq!(CredentialSecret::read(Zeroizing::new(vec![0xff])), Err(NoSecret::Characters));
        assert!(read(&"x".repeat(LONGEST_PASSWORD)).is_ok());
        assert_eq!(read(&"x".repeat(LONGEST_PASSWORD + 1)), Err(NoSecret::Long));
        assert_eq!(read(&"x".repeat(MOST_BYTES + 1)), Err(NoSecret::Long));
    }

    #[test]
    fn a_private_key_is_known_by_its_beginning_and_must_be_one_that_opens_by_itself() {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let text = key.to_openssh(LineEnding::LF).unwrap();
        let read_key = read(&format!("\n{}\n\n", &*text)).unwrap();
        assert_eq!((read_key.kind(), read_key.text().trim()), (SecretKind::PrivateKey, text.trim()));
        let locked =
            key.encrypt(&mut rand::rng(), "a passphrase").unwrap().to_openssh(LineEnding::LF).unwrap();
        assert_eq!(read(&locked), Err(NoSecret::Encrypted));
        let cut: String =
            text.lines().filter(|line| !line.contains("END")).map(|line| format!("{line}\n")).collect();
        assert_eq!(read(&cut), Err(NoSecret::Key));
        for other in ["-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", "PuTTY-User-Key-File-3: ssh-ed25519\n"] {
            assert_eq!(read(other), Err(NoSecret::Format), "{other}");
        }
    }

    #[test]
    fn nothing_of_a_secret_shows_in_a_debug_print_or_in_a_refusal() {
        let secret = read("hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "Password(Secret(…))");
        let refused = read("hunter2\nhunter3").unwrap_err();
        assert!(!format!("{refused:?}{refused}").contains("hunter"));
    }
}
