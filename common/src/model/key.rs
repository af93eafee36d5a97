//! Public keys as OpenSSH writes them (sshd(8), AUTHORIZED_KEYS), checked by
//! structure only: a known type, well-formed base64, and a blob (RFC 4253, 6.6)
//! that says the same type. The proxy, which knows the mathematics, compares them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::unseen::is_unseen;

const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];
/// The longest line: an RSA key of 16,384 bits with a comment.
const MOST: usize = 4096;
const LEAST_RSA_BITS: usize = 2048;

/// Why a line is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `type base64 comment`.
    #[error("this is no public key; write the line of the .pub file: ssh-ed25519 AAAA… comment")]
    Shape,
    /// A private key where a public one belongs.
    #[error("this is a PRIVATE key: replace it at once, and write the line of the .pub file here")]
    Private,
    /// A type that is not accepted.
    #[error(
        "key type `{0}` is not accepted; use ssh-ed25519, ecdsa-sha2-*, ssh-rsa, or sk-* of a hardware token"
    )]
    Type(String),
    /// Not base64, cut off, or of another type than the line says.
    #[error("the key's base64 part is damaged: copy the whole line of the .pub file")]
    Damaged,
    /// Too short to be safe.
    #[error("an RSA key of {0} bits is too short; use ssh-ed25519, or at least 2048 bits")]
    Short(usize),
}

/// One public key: `type base64`, and its comment.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(String);

impl PublicKey {
    /// The whole line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key itself: of two lines that mean the same key it is the same.
    #[must_use]
    pub fn identity(&self) -> KeyMaterial {
        let blob = self.0.split(' ').nth(1).and_then(|encoded| STANDARD.decode(encoded).ok());
        let blob = blob.unwrap_or_default();
        let mut rest = blob.as_slice();
        let fields: Vec<&[u8]> = std::iter::from_fn(|| string(&mut rest)).collect();
        let is = |start: &str| fields.first().is_some_and(|name| name.starts_with(start.as_bytes()));
        let plain = |(index, field): (usize, &&[u8])| match *field {
            number if is("ssh-rsa") && index > 0 => {
                number.iter().copied().skip_while(|byte| *byte == 0).collect()
            }
            // SEC 1, 2.3.3: 4, X and Y are 2 or 3 (whether Y is odd) and X.
            [4, point @ ..] if (is("ecdsa-") || is("sk-ecdsa-")) && index == 2 => {
                let (x, y) = point.split_at(point.len() / 2);
                let odd = y.last().map_or(0, |last| last & 1);
                std::iter::once(2 + odd).chain(x.iter().copied()).collect()
            }
            field => field.to_vec(),
        };
        KeyMaterial(fields.iter().enumerate().map(plain).collect())
    }

    /// `type base64`, without the comment: equal keys have equal material.
    #[must_use]
    pub fn material(&self) -> &str {
        match self.0.match_indices(' ').nth(1) {
            Some((end, _)) => self.0.get(..end).unwrap_or(&self.0),
            None => &self.0,
        }
    }
}

/// What a key is, however its line is written: with another comment, with zeros before its
/// numbers, with its point compressed or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyMaterial(Vec<Vec<u8>>);

/// Takes one RFC 4251 string off the front of the blob.
fn string<'a>(blob: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *blob = rest;
    Some(value)
}

fn bits(mpint: &[u8]) -> usize {
    let significant = mpint.iter().skip_while(|byte| **byte == 0);
    let first = mpint.iter().find(|byte| **byte != 0).map_or(0, |byte| byte.leading_zeros());
    (significant.count() * 8).saturating_sub(usize::try_from(first).unwrap_or_default())
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::read(text, is_unseen)
    }
}

impl PublicKey {
    fn read(text: &str, refused: fn(char) -> bool) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.contains("PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        if text.len() > MOST || text.chars().any(refused) {
            return Err(KeyError::Shape);
        }
        let mut parts = text.split_ascii_whitespace();
        let (Some(name), Some(encoded)) = (parts.next(), parts.next()) else {
            return Err(KeyError::Shape);
        };
        if !TYPES.contains(&name) {
            return Err(KeyError::Type(crate::unseen::quoted(name, 40)));
        }
        let blob = STANDARD.decode(encoded).map_err(|_| KeyError::Damaged)?;
        let mut rest = blob.as_slice();
        if string(&mut rest) != Some(name.as_bytes()) {
            return Err(KeyError::Damaged);
        }
        let mut fields = Vec::new();
        while !rest.is_empty() {
            fields.push(string(&mut rest).ok_or(KeyError::Damaged)?);
        }
        match (name, fields.as_slice()) {
            ("ssh-rsa", [_, modulus]) if bits(modulus) < LEAST_RSA_BITS => {
                Err(KeyError::Short(bits(modulus)))
            }
            ("ssh-rsa", [_, _]) => Ok(()),
            ("ssh-ed25519", [key]) if key.len() == 32 => Ok(()),
            ("sk-ssh-ed25519@openssh.com", [key, _]) if key.len() == 32 => Ok(()),
            ("sk-ecdsa-sha2-nistp256@openssh.com", [_, point, _]) if !point.is_empty() => Ok(()),
            (name, [_, point]) if name.starts_with("ecdsa-") && !point.is_empty() => Ok(()),
            _ => Err(KeyError::Damaged),
        }?;
        let comment: Vec<_> = parts.collect();
        let comment = if comment.is_empty() { String::new() } else { format!(" {}", comment.join(" ")) };
        Ok(Self(format!("{name} {encoded}{comment}")))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        // As it was stored, perhaps when the list was shorter.
        Self::read(&text, char::is_control)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f jane@laptop";

    #[test]
    fn a_key_line_is_kept_with_its_comment_and_compared_without() {
        let key: PublicKey = format!("  {ED25519}\n").parse().unwrap();
        assert_eq!(key.as_str(), ED25519);
        assert_eq!(key.material(), ED25519.strip_suffix(" jane@laptop").unwrap());
    }

    #[test]
    fn one_key_written_in_two_ways_is_one_key() {
        let line = |kind: &str, fields: &[&[u8]]| {
            let mut blob = Vec::new();
            for field in [&[kind.as_bytes()], fields].concat() {
                blob.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
                blob.extend_from_slice(field);
            }
            format!("{kind} {} x", STANDARD.encode(blob)).parse::<PublicKey>().unwrap().identity()
        };
        let modulus = [[0].as_slice(), &[0xff; 256]].concat();
        let padded = [[0, 0].as_slice(), &modulus].concat();
        let rsa = line("ssh-rsa", &[&[1, 0, 1], &modulus]);
        assert_eq!(rsa, line("ssh-rsa", &[&[0, 1, 0, 1], &padded]));
        assert_ne!(rsa, line("ssh-rsa", &[&[3], &modulus]));
        let point = [[4].as_slice(), &[7; 32], &[9; 32]].concat();
        let short = [[3].as_slice(), &[7; 32]].concat();
        let ecdsa = |point: &[u8]| line("ecdsa-sha2-nistp256", &[b"nistp256", point]);
        assert_eq!(ecdsa(&point), ecdsa(&short));
        assert_ne!(ecdsa(&point), ecdsa(&[[2].as_slice(), &[7; 32]].concat()));
        let plain: PublicKey = ED25519.parse().unwrap();
        assert_eq!(plain.identity(), ED25519.replace("jane", "joe").parse::<PublicKey>().unwrap().identity());
    }

    #[test]
    fn each_damaged_line_is_refused_with_its_reason() {
        let cut = ED25519.replace("HR4f", "");
        let renamed = ED25519.replace("ssh-ed25519 ", "ssh-rsa ");
        let dsa = ED25519.replace("ssh-ed25519 ", "ssh-dss ");
        assert_eq!(cut.parse::<PublicKey>(), Err(KeyError::Damaged));
        assert_eq!(renamed.parse::<PublicKey>(), Err(KeyError::Damaged));
        assert_eq!(dsa.parse::<PublicKey>(), Err(KeyError::Type("ssh-dss".to_owned())));
        assert_eq!("ssh-ed25519".parse::<PublicKey>(), Err(KeyError::Shape));
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA";
        assert_eq!(private.parse::<PublicKey>(), Err(KeyError::Private));
    }

    #[test]
    fn a_short_rsa_key_is_refused_and_a_long_one_is_not() {
        let rsa = |bytes: usize| {
            let mut blob = Vec::new();
            let modulus: Vec<u8> = std::iter::once(0).chain(std::iter::repeat_n(0xff, bytes)).collect();
            for field in [b"ssh-rsa".as_slice(), &[1, 0, 1], &modulus] {
                blob.extend_from_slice(&u32::try_from(field.len()).unwrap().to_be_bytes());
                blob.extend_from_slice(field);
            }
            format!("ssh-rsa {}", STANDARD.encode(blob)).parse::<PublicKey>()
        };
        assert_eq!(rsa(128), Err(KeyError::Short(1024)));
        assert!(rsa(256).is_ok());
    }
}
