//! `credential …` and `vault …`

use clap::{Args, Subcommand};
use tidegate_common::model::Text;
use tidegate_common::name::{CredentialName, ReasonName};

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Credential {
    /// Secrets in the vault: they log sessions in where no agent is, and can be viewed
    #[command(subcommand)]
    Secret(Secret),
    /// View a credential's password, for 30 seconds on a terminal; a key clears it before
    #[command(
        after_help = "Examples:\n  ssh -t operator@gate credential show-password admin@router1 --justification 'ticket 4711'\n  ssh operator@gate credential show-password admin@router1 --yes | wl-copy\n\nWhere viewing needs approval, ask for it with `request create admin@router1 --view-password`."
    )]
    ShowPassword(ShowPassword),
}

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Secret {
    /// Put a credential's password or private key into the vault (administrators)
    #[command(
        after_help = "Examples:\n  ssh -t admin@gate credential secret set admin@router1\n  ssh admin@gate credential secret set backup@nas1 < id_ed25519\n\nA terminal shows nothing of what is typed or pasted. A private key must be in OpenSSH's format and have no passphrase."
    )]
    Set {
        /// Whose, written account@device
        credential: CredentialName,
    },
    /// Take a credential's secret out of the vault (administrators)
    #[command(after_help = "Example:\n  credential secret forget admin@router1")]
    Forget {
        /// Whose, written account@device
        credential: CredentialName,
    },
    /// Which credentials have a secret: its kind, since when, by whom (administrators)
    #[command(after_help = "Example:\n  credential secret list -o json")]
    List,
}

#[derive(Debug, Args)]
pub(in crate::console) struct ShowPassword {
    /// Whose, written account@device
    pub credential: CredentialName,
    /// Why
    #[arg(short, long)]
    pub justification: Option<Text>,
    /// A registered reason
    #[arg(short, long)]
    pub reason: Option<ReasonName>,
    /// The governance code
    #[arg(short, long)]
    pub governance: Option<Text>,
    /// Print it to standard output, where it stays
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Vault {
    /// The master keys, and how many secrets are under each (administrators)
    #[command(after_help = "Example:\n  vault show")]
    Show,
    /// Put all secrets under the master key that is in its file now (administrators)
    #[command(
        after_help = "Example, on the gate's host:\n  cp -p /etc/tidegate/vault.key /etc/tidegate/vault.key.old\n  mv /etc/tidegate/vault.key.new /etc/tidegate/vault.key\n  tidegate-proxy admin vault rotate\n  rm /etc/tidegate/vault.key.old\n\nSecrets stay in use meanwhile. What was interrupted goes on with the same command."
    )]
    Rotate,
}
