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

/// How the kind of a public key begins, as OpenSSH writes it on one line (sshd(8), AUTHORIZED_KEYS FILE
/// FORMAT); a word follows that begins with [`PUBLIC`].
const KINDS: [&str; 4] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"];
/// The length of the name that every such key begins with, in Base64 (RFC 4253, 6.6).
const PUBLIC: &str = "AAAA";
/// What the first line of a text says that nobody keeps secret: public keys of PEM (RFC 7468) and of
/// RFC 4716, and certificates.
const HEADINGS: [&str; 2] = ["PUBLIC KEY-----", "CERTIFICATE-----"];
const RFC_4716: &str = "---- BEGIN SSH2 PUBLIC KEY ----";

/// What is found in no password, but in a private key of which the first line is not whole any more: its
/// heading, and the beginning of its Base64 (`openssh-key-v1`).
const PRIVATE: [&str; 2] = ["PRIVATE KEY-----", "b3BlbnNzaC1rZXktdjE"];

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
    /// What is no secret at all.
    #[error(
        "that is a public key or a certificate, which logs nobody in, so nothing was set; give the private key: \
         the file of the same name without .pub"
    )]
    Public,
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
        if is_public(trimmed) {
            return Err(NoSecret::Public);
        }
        if trimmed.starts_with(OPENSSH) {
            let key = PrivateKey::from_openssh(trimmed).map_err(|_| NoSecret::Key)?;
            if key.is_encrypted() {
                return Err(NoSecret::Encrypted);
            }
            return Ok(Self::PrivateKey(Secret::new(format!("{trimmed}\n"))));
        }
        if OTHERS.iter().any(|start| trimmed.starts_with(start)) {
            // RFC 7468, 11, and the header of RFC 1421 that OpenSSL writes.
            let locked = ["BEGIN ENCRYPTED ", "4,ENCRYPTED"].iter().any(|word| trimmed.contains(word));
            return Err(if locked { NoSecret::Encrypted } else { NoSecret::Format });
        }
        if is_private(trimmed) {
            return Err(NoSecret::Key);
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

    /// Whether a line that somebody typed is of a key, so that it can't be a password.
    #[must_use]
    pub fn is_of_key(line: &[u8]) -> bool {
        std::str::from_utf8(line).is_ok_and(|line| is_public(line.trim()) || is_private(line))
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

fn is_public(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default().trim_end();
    let heading = first.starts_with("-----BEGIN ") && HEADINGS.iter().any(|heading| first.ends_with(heading));
    let words: Vec<&str> = first.split_ascii_whitespace().collect();
    let is_key =
        |kind: &str, key: &str| KINDS.iter().any(|start| kind.starts_with(start)) && key.starts_with(PUBLIC);
    heading
        || first == RFC_4716
        || words.windows(2).any(|pair| matches!(pair, [kind, key] if is_key(kind, key)))
}

fn is_private(text: &str) -> bool {
    PRIVATE.iter().any(|part| text.contains(part))
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
        for text in [" with spaces ", "grün 語 $'\"\\", "-----", "ssh-ed25519", "AAAA ssh-rsa"] {
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
        let locked = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n";
        for text in [locked, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"] {
            assert_eq!(read(text), Err(NoSecret::Encrypted), "{text}");
        }
        // Of one line, and without how it begins.
        let line = text.replace('\n', "");
        let body = text.lines().nth(1).unwrap();
        for garbled in [line.as_str(), body, &line[1..], &text[7..], "BEGIN OPENSSH PRIVATE KEY-----"] {
            assert_eq!(read(garbled), Err(NoSecret::Key), "{garbled}");
        }
        for other in ["-----BEGIN RSA PRIVATE KEY-----\nAAAA\n", "PuTTY-User-Key-File-3: ssh-ed25519\n"] {
            assert_eq!(read(other), Err(NoSecret::Format), "{other}");
        }
    }

    #[test]
    fn a_public_key_is_no_secret() {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let line = key.public_key().to_openssh().unwrap();
        for text in [
            line.as_str(),
            &format!("{line} operator@laptop\n"),
            &format!("no-pty,from=\"192.0.2.7\" {line}\n{line}\n"),
            "ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB operator@laptop",
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAA",
            "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t",
            "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n",
            "-----BEGIN RSA PUBLIC KEY-----\r\nMCow\r\n",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n",
        ] {
            assert_eq!(read(text), Err(NoSecret::Public), "{text}");
        }
        let sentence = "that is a public key or a certificate, which logs nobody in, so nothing was set; give the \
                        private key: the file of the same name without .pub";
        assert_eq!(NoSecret::Public.to_string(), sentence);
    }

    #[test]
    fn nothing_of_a_secret_shows_in_a_debug_print_or_in_a_refusal() {
        let secret = read("hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "Password(Secret(…))");
        let refused = read("hunter2\nhunter3").unwrap_err();
        assert!(!format!("{refused:?}{refused}").contains("hunter"));
    }
}
