//! `session watch`: a session's screen in the terminal of who watches it.
//!
//! It is drawn from the cells, so that nothing of what the session's programs sent reaches the
//! watcher's terminal but characters and their looks. A session whose screen is larger than the
//! terminal is shown in part, with its cursor in sight.

mod draw;

use tidegate_screen::Screen as Shown;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::screen::Screen;
use super::{Actor, Failure, Services, Size};
use crate::service::live::{self, Viewer};
use crate::service::sessions::SessionView;
use draw::Drawing;
pub(super) use draw::END as GIVES_BACK;

/// What leaves: `q`, Ctrl-C, Ctrl-D.
const LEAVE: [u8; 3] = [b'q', 0x03, 0x04];

pub(super) async fn run(
    services: &Services,
    actor: &Actor,
    id: &str,
    screen: &mut Screen<'_>,
    stdin: impl AsyncRead + Unpin + Send,
) -> Result<u8, Failure> {
    let size = screen.terminal.clone().filter(|_| !screen.json);
    let Some(size) = size else {
        let sentence = "a session is watched on a terminal: ssh -t USER@GATE session watch ID";
        return Err(Failure::Usage(sentence.to_owned()));
    };
    let mut view = View { out: screen, size, drawing: Drawing::default(), begun: false };
    let ended = tokio::select! {
        ended = live::watch(services, actor, id, &mut view) => Some(ended),
        () = left(stdin) => None,
    };
    view.end().await?;
    let Some(ended) = ended else { return Ok(0) };
    let session = ended?;
    let outcome = session.outcome.as_deref().unwrap_or("how is not known yet");
    let line = format!("session {} of {} to {} is over: {outcome}", session.id, session.user, session.target);
    screen.plain(&line).await?;
    Ok(0)
}

/// Returns once somebody leaves by a key.
async fn left(mut stdin: impl AsyncRead + Unpin) {
    let mut keys = [0; 64];
    loop {
        match stdin.read(&mut keys).await {
            Ok(0) | Err(_) => return std::future::pending().await,
            Ok(count) => {
                if keys.get(..count).unwrap_or_default().iter().any(|key| LEAVE.contains(key)) {
                    return;
                }
            }
        }
    }
}

/// The watcher's terminal.
struct View<'a, 'b> {
    out: &'a mut Screen<'b>,
    size: watch::Receiver<Size>,
    drawing: Drawing,
    begun: bool,
}

impl View<'_, '_> {
    async fn write(&mut self, text: &str) -> std::io::Result<()> {
        self.out.out.write_all(text.as_bytes()).await?;
        self.out.out.flush().await
    }

    /// Gives the terminal back.
    async fn end(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.begun) { self.write(draw::END).await } else { Ok(()) }
    }
}

impl Viewer for View<'_, '_> {
    async fn begin(&mut self, session: &SessionView) -> std::io::Result<()> {
        self.begun = true;
        let about = format!("{} on {} (q leaves)", session.user, session.target);
        let start = self.drawing.begin(&about);
        self.write(&start).await
    }

    async fn show(&mut self, screen: &mut Shown) -> std::io::Result<()> {
        let size = *self.size.borrow_and_update();
        let text = self.drawing.draw(screen, size);
        self.write(&text).await
    }

    async fn changed(&mut self) {
        if self.size.changed().await.is_err() {
            std::future::pending().await
        }
    }
}
