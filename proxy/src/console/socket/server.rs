//! The proxy's end of the local console.

use std::future::Future;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::{Asked, ERR, EXIT, INPUT, INPUT_ENDS, OUT, RESIZED, RUN, read, write};
use crate::console::{Size, run};
use crate::service::{Actor, Services};

/// Commands at once.
const MOST: usize = 32;
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a command may write or be sent ahead, in bytes.
const AHEAD: usize = 64 * 1024;

/// Why the local console cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another proxy has it.
    #[error("another proxy runs with the socket {0}; stop it, or use another state_dir")]
    Taken(PathBuf),
    /// Something else is in its place.
    #[error("{0} is in the place of the local console's socket and is none; move it away")]
    Other(PathBuf),
    /// The socket cannot be made.
    #[error(
        "the local console's socket {path} cannot be made (its path may have at most 107 bytes): {source}"
    )]
    Make {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Makes the socket, and gives what serves it until dropped.
///
/// # Errors
/// When the socket cannot be made, or another proxy serves it.
pub fn listen(services: Arc<Services>, path: &Path) -> Result<impl Future<Output = ()> + use<>, ListenError> {
    let made = |source| ListenError::Make { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(ListenError::Other(path.to_owned())),
        // One that nobody answers was left by a proxy that was ended by force.
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(ListenError::Taken(path.to_owned()));
        }
        Ok(_) => std::fs::remove_file(path).map_err(made)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(made(error)),
    }
    let listener = UnixListener::bind(path).map_err(made)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(made)?;
    Ok(accept(services, listener))
}

async fn accept(services: Arc<Services>, listener: UnixListener) {
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        // Others wait in the listener's queue meanwhile.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the local console could not accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let services = Arc::clone(&services);
        tokio::spawn(async move {
            if let Err(error) = serve(&services, stream).await {
                tracing::debug!(%error, "a local console broke off");
            }
            drop(place);
        });
    }
}

/// Whether a user of this number may use the local console.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

async fn serve(services: &Services, stream: UnixStream) -> std::io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (mut from, mut to) = tokio::io::split(stream);
    if !is_trusted(uid) {
        tracing::warn!(uid, "the local console is not for this user");
        write(&mut to, ERR, b"tidegate: the local console is for root and the proxy's own user\n").await?;
        return write(&mut to, EXIT, &[1]).await;
    }
    let asked = tokio::time::timeout(PATIENCE, read(&mut from)).await.map_err(std::io::Error::other)??;
    let Some((RUN, bytes)) = asked else {
        return Err(std::io::Error::other("it did not say what to run"));
    };
    let Asked { words, size } = serde_json::from_slice(&bytes)?;
    let (resized, terminal) = watch::channel(size.unwrap_or(Size { columns: 0, rows: 0 }));
    let terminal = size.map(|_| terminal);
    let (stdin, input) = tokio::io::duplex(AHEAD);
    let (out, mut out_end) = tokio::io::duplex(AHEAD);
    let (err, mut err_end) = tokio::io::duplex(AHEAD);
    let actor = Actor::local_admin();
    let ran = async {
        // Boxed: a command's future is large, and is handed on several times.
        let ran = Box::pin(run(services, &actor, terminal, &words, stdin, out, err));
        tokio::join!(ran, pass_on(&mut out_end, &mut err_end, &mut to))
    };
    tokio::select! {
        (status, passed) = ran => {
            passed?;
            write(&mut to, EXIT, &[status]).await
        }
        gone = feed(&mut from, input, &resized) => gone,
    }
}

/// Both outputs to the client, until both end.
async fn pass_on(
    out: &mut DuplexStream,
    err: &mut DuplexStream,
    to: &mut WriteHalf<UnixStream>,
) -> std::io::Result<()> {
    let (mut out_piece, mut err_piece) = (vec![0; 16 * 1024], vec![0; 4 * 1024]);
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        tokio::select! {
            biased;
            count = out.read(&mut out_piece), if out_open => match count? {
                0 => out_open = false,
                count => write(to, OUT, out_piece.get(..count).unwrap_or_default()).await?,
            },
            count = err.read(&mut err_piece), if err_open => match count? {
                0 => err_open = false,
                count => write(to, ERR, err_piece.get(..count).unwrap_or_default()).await?,
            },
        }
    }
    Ok(())
}

/// The client's input to the command; returns when the client is gone.
async fn feed(
    from: &mut ReadHalf<UnixStream>,
    mut input: DuplexStream,
    resized: &watch::Sender<Size>,
) -> std::io::Result<()> {
    while let Some((kind, bytes)) = read(from).await? {
        match kind {
            // A command that does not read its input is not sent more of it.
            INPUT => drop(input.write_all(&bytes).await),
            INPUT_ENDS => drop(input.shutdown().await),
            RESIZED => drop(resized.send_replace(serde_json::from_slice(&bytes)?)),
            _ => return Err(std::io::Error::other("it sent what it may not")),
        }
    }
    Ok(())
}
