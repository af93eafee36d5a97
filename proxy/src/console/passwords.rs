//! `credential show-password`
//!
//! On a terminal a password stands on the alternate screen, which keeps nothing when it is left. Elsewhere
//! the gate cannot know where it goes, so it is printed only for who says so.

use std::time::Duration;

use tidegate_common::model::Claims;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use super::grammar::ShowPassword;
use super::screen::Screen;
use super::{Actor, Failure, Services};
use crate::service::passwords::{self, PasswordViewer, ShownPassword};

/// How long it stands on a terminal.
const SHOWN: Duration = Duration::from_secs(30);

/// To the alternate screen, and back (xterm's control sequences, 1049).
const BEGIN: &str = "\u{1b}[?1049h\u{1b}[2J\u{1b}[H";
const END: &str = "\u{1b}[2J\u{1b}[H\u{1b}[?1049l";

/// What takes it away where the command was cut off; a password that was printed is not the gate's to clear.
pub(super) fn gives_back(asked: &ShowPassword) -> &'static str {
    if asked.yes { "" } else { END }
}

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    asked: ShowPassword,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let ShowPassword { credential, justification, reason, governance, yes } = asked;
    let on_terminal = screen.terminal.is_some() && !screen.json && !yes;
    if !on_terminal && !yes {
        let why = "the password would stay where this is printed; use a terminal (ssh -t), or say --yes";
        return Err(Failure::Usage(why.to_owned()));
    }
    let claims = Claims { justification, reason, governance, ..Claims::default() };
    let mut view = View { screen, stdin, on_terminal, begun: false };
    passwords::show(services, actor, &credential, &claims, &mut view).await?;
    Ok(0)
}

struct View<'a, 'b, R> {
    screen: &'a mut Screen<'b>,
    stdin: R,
    on_terminal: bool,
    begun: bool,
}

impl<R: AsyncRead + Unpin + Send> View<'_, '_, R> {
    async fn write(&mut self, text: &str) -> std::io::Result<()> {
        self.screen.out.write_all(text.as_bytes()).await?;
        self.screen.out.flush().await
    }

    async fn print(&mut self, shown: &ShownPassword) -> std::io::Result<()> {
        let mut text = match self.screen.json {
            true => Zeroizing::new(serde_json::to_string_pretty(shown)?),
            false => Zeroizing::new(shown.password.reveal().to_owned()),
        };
        text.push('\n');
        self.write(&text).await
    }
}

/// Returns once a key is pressed.
async fn key(stdin: &mut (impl AsyncRead + Unpin)) {
    let mut keys = [0; 64];
    if let Ok(0) | Err(_) = stdin.read(&mut keys).await {
        std::future::pending().await
    }
}

impl<R: AsyncRead + Unpin + Send> PasswordViewer for View<'_, '_, R> {
    async fn show(&mut self, shown: &ShownPassword) -> std::io::Result<()> {
        if !self.on_terminal {
            return self.print(shown).await;
        }
        self.begun = true;
        let about = format!("The password of {}", shown.credential);
        let seconds = SHOWN.as_secs();
        let password = shown.password.reveal();
        let text = format!("{BEGIN}{about}\n\n  {password}\n\nIt goes in {seconds} s, or with any key. ");
        self.write(&Zeroizing::new(text)).await?;
        tokio::select! {
            () = tokio::time::sleep(SHOWN) => {}
            () = key(&mut self.stdin) => {}
        }
        Ok(())
    }

    async fn clear(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.begun) { self.write(END).await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_common::secret::Secret;
    use tokio::time::Instant;

    use super::*;

    fn shown() -> ShownPassword {
        ShownPassword {
            credential: "ops@db01".parse().unwrap(),
            group: "dba".parse().unwrap(),
            request: None,
            password: Secret::new("hunter2".to_owned()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_password_stands_for_thirty_seconds_and_a_key_takes_it_away_before() {
        for presses in [false, true] {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut screen = Screen {
                out: &mut out,
                err: &mut err,
                columns: Some(80),
                terminal: None,
                json: false,
                csv: false,
            };
            let (mut keyboard, stdin) = tokio::io::duplex(16);
            let mut view = View { screen: &mut screen, stdin, on_terminal: true, begun: false };
            let begun = Instant::now();
            let shown = shown();
            let pressing = async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                if presses {
                    keyboard.write_all(b"x").await.unwrap();
                }
            };
            let (done, ()) = tokio::join!(view.show(&shown), pressing);
            done.unwrap();
            assert_eq!(begun.elapsed().as_secs(), if presses { 5 } else { 30 });
            view.clear().await.unwrap();
            let text = String::from_utf8(out).unwrap();
            let (before, after) = text.split_once("  hunter2\n").unwrap();
            assert!(before.starts_with("\u{1b}[?1049h") && after.ends_with(END), "{text:?}");
            assert!(err.is_empty());
        }
    }
}
