//! Whether a recording is what was written: its standing in words, for the bar, the file's
//! metadata and whoever made the video.

use std::path::Path;

use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};
use tidegate_common::recording::{Chain, Check, Standing, Verdict};

/// The namespace of recordings' signatures (OpenSSH's PROTOCOL.sshsig).
const NAMESPACE: &str = "recording@tidegate";

/// The key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key {path} could not be read: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path} holds no OpenSSH public key: {source}")]
    Parse { path: String, source: ssh_key::Error },
}

/// What checks signatures with the key of a file.
///
/// # Errors
/// When it holds none.
pub fn check(path: &Path) -> Result<Check, KeyError> {
    let shown = || path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| KeyError::Read { path: shown(), source })?;
    let key = PublicKey::from_openssh(&text).map_err(|source| KeyError::Parse { path: shown(), source })?;
    Ok(Box::new(move |text, signature| {
        let signature = ssh_key::Signature::new(Algorithm::Ed25519, signature.to_vec());
        let rebuilt = signature
            .and_then(|signature| SshSig::new(key.key_data().clone(), NAMESPACE, HashAlg::Sha512, signature));
        rebuilt.is_ok_and(|rebuilt| key.verify(NAMESPACE, text, &rebuilt).is_ok())
    }))
}

/// A standing in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// A word for the title bar.
    pub mark: Option<Mark>,
    /// A sentence.
    pub sentence: String,
    /// The last link of the chain, by which the recording can be found again.
    pub chain: Option<Chain>,
}

/// What the title bar says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// In the colour of alarm.
    Alarm(&'static str),
    /// As a matter of fact.
    Fact(&'static str),
}

/// Puts a standing into words; `claims` says that the header is one of Tidegate.
#[must_use]
pub fn words(standing: &Standing, claims: bool) -> Words {
    match standing {
        Standing::Foreign { .. } if claims => Words {
            mark: Some(Mark::Alarm("NO PROOF")),
            sentence:
                "the recording says that it is one of Tidegate, and has lost its chain: nothing proves it"
                    .to_owned(),
            chain: None,
        },
        Standing::Foreign { cut } => Words {
            mark: Some(Mark::Fact("not a Tidegate recording")),
            sentence: if *cut {
                "not a Tidegate recording; it ends in the middle of an event".to_owned()
            } else {
                "not a Tidegate recording".to_owned()
            },
            chain: None,
        },
        Standing::Unchecked(chain) => Words {
            mark: Some(Mark::Fact("unchecked")),
            sentence: "the chain holds; the signature was not checked, for no key was given".to_owned(),
            chain: Some(*chain),
        },
        Standing::Judged(Verdict::Whole(chain)) => Words {
            mark: None,
            sentence: "whole: every link holds and the signature is the key's".to_owned(),
            chain: Some(*chain),
        },
        Standing::Judged(Verdict::Incomplete { chain, .. }) => Words {
            mark: Some(Mark::Alarm("INCOMPLETE")),
            sentence: "incomplete: the recording is good as far as it goes, and has no end".to_owned(),
            chain: Some(*chain),
        },
        Standing::Judged(Verdict::Altered { what, chain }) => Words {
            mark: Some(Mark::Alarm("ALTERED")),
            sentence: format!("altered: {what}; the video shows what was good before that"),
            chain: Some(*chain),
        },
    }
}
