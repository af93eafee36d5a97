//! `session …`

use clap::{Args, Subcommand};
use tidegate_common::name::{CredentialName, UserName};
use tidegate_common::time::Length;

#[derive(Debug, Subcommand)]
pub(in crate::console) enum Session {
    /// Sessions: your own, what lives for monitors, all for auditors and administrators
    #[command(after_help = "Examples:\n  session list --live\n  session list --user operator -o json")]
    List(SessionList),
    /// One session
    #[command(after_help = "Example:\n  session show 01kb2")]
    Show {
        /// Its id, or how it starts
        id: String,
    },
    /// Replay a recording (auditors and administrators)
    #[command(
        after_help = "Examples:\n  ssh -t auditor@gate session play 01kb2\n  session play 01kb2 --speed 4 --idle 1s\n\nCtrl-C stops it."
    )]
    Play {
        /// Its id, or how it starts
        id: String,
        /// So many times as fast
        #[arg(long, default_value_t = 1.0, value_parser = speed)]
        speed: f64,
        /// Pauses take at most so long
        #[arg(long, default_value = "2s")]
        idle: Length,
    },
    /// Write a recording as asciicast, for players elsewhere (auditors and administrators)
    #[command(
        after_help = "Examples:\n  ssh auditor@gate session export 01kb2 | asciinema play -\n  session export 01kb2 --asciicast 2 > old-player.cast"
    )]
    Export {
        /// Its id, or how it starts
        id: String,
        /// The version of asciicast; asciinema before 3 reads only 2
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=3))]
        asciicast: u8,
    },
    /// Tell whether a recording is whole, incomplete or altered (auditors and administrators)
    #[command(
        after_help = "Examples:\n  session verify 01kb2\n  tidegate-proxy admin session verify /mnt/archive/01kb2….cast.zst\n\nOnly a whole recording exits with 0."
    )]
    Verify {
        /// Its id, or how it starts; on the local console also a file
        id: String,
    },
    /// What was asked for, and what the host's kernel saw run (auditors and administrators)
    #[command(after_help = "Examples:\n  session commands 01kb2\n  session commands 01kb2 --all -o json")]
    Commands {
        /// Its id, or how it starts
        id: String,
        /// Also what failed because there was no such file
        #[arg(long)]
        all: bool,
    },
    /// Watch a live session on your terminal (monitors)
    #[command(
        after_help = "Example:\n  ssh -t monitor@gate session watch 01kb2\n\nq and Ctrl-C leave. The session's user reads who watches, unless the access group says otherwise."
    )]
    Watch {
        /// Its id, or how it starts
        id: String,
    },
    /// Hold back what is typed in a live session (monitors); its user reads by whom
    #[command(after_help = "Example:\n  session lock 01kb2")]
    Lock {
        /// Its id, or how it starts
        id: String,
    },
    /// Let through again what is typed, and first what was held back (monitors)
    #[command(after_help = "Example:\n  session unlock 01kb2")]
    Unlock {
        /// Its id, or how it starts
        id: String,
    },
    /// End a live session (monitors); its user reads by whom
    #[command(alias = "kill", after_help = "Example:\n  session end 01kb2")]
    End {
        /// Its id, or how it starts
        id: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::console) struct SessionList {
    /// Only live ones
    #[arg(long)]
    pub live: bool,
    /// Only of this user
    #[arg(long)]
    pub user: Option<UserName>,
    /// Only to this credential
    #[arg(long)]
    pub credential: Option<CredentialName>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 100)]
    pub limit: u64,
}

fn speed(text: &str) -> Result<f64, String> {
    let known = text.parse::<f64>().ok().filter(|speed| (0.1..=1000.0).contains(speed));
    known.ok_or_else(|| "write a number from 0.1 to 1000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_at_which_nothing_would_be_seen_to_move_is_none() {
        for (text, known) in [("0.1", 0.1), ("1", 1.0), ("4", 4.0), ("1000", 1000.0)] {
            assert_eq!(speed(text), Ok(known), "{text}");
        }
        for wrong in ["0", "0.01", "-1", "1001", "abc", "", "nan", "inf"] {
            assert_eq!(speed(wrong), Err("write a number from 0.1 to 1000".to_owned()), "{wrong}");
        }
    }
}
