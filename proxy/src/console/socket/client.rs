//! The other end: `tidegate-proxy admin <command>`.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use clap::CommandFactory as _;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use terminal_size::{Height, Width};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::keys::Keys;
use super::{Asked, ERR, EXIT, INPUT, INPUT_ENDS, MOST_FRAME, OUT, RESIZED, RUN, Size, read, write};
use crate::console::ADMIN;
use crate::console::grammar::{Cli, Command, Format};

/// As much as a text of resources may be.
const MOST_INPUT: u64 = 16 << 20;

/// As much as is read of another command's input; the gate says what is too much of it.
const MOST_PIPED: u64 = 32 << 10;

/// What a shell has of a command whose reader went away: 128 and SIGPIPE.
const READER_LEFT: u8 = 141;

/// Runs one command in the running proxy and shows what it says; gives its exit status.
pub async fn admin(socket: &Path, words: Vec<String>) -> u8 {
    match run(socket, words).await {
        Ok(status) => status,
        Err(sentence) => {
            let _ = writeln!(std::io::stderr(), "tidegate: {sentence}");
            1
        }
    }
}

async fn run(socket: &Path, mut words: Vec<String>) -> Result<u8, String> {
    // Help and mistakes need no running proxy.
    let size = terminal_size::terminal_size();
    let grammar = Cli::command().bin_name(ADMIN);
    let matches = grammar.try_get_matches_from(&words).map_err(|told| {
        let text = crate::console::screen::sentence(&told);
        if told.use_stderr() {
            // Nobody to tell when it does not print.
            let _ = std::io::stderr().write_all(text.as_bytes());
            return u8::try_from(told.exit_code()).unwrap_or(2);
        }
        match show(&mut std::io::stdout().lock(), text.as_bytes()) {
            Ok(()) => 0,
            Err(error) => unshown(&error),
        }
    });
    let cli = match matches.map(|matches| <Cli as clap::FromArgMatches>::from_arg_matches(&matches)) {
        Ok(Ok(cli)) => cli,
        Ok(Err(told)) => return Err(told.to_string()),
        Err(status) => return Ok(status),
    };
    let streams = cli.command.as_ref().is_some_and(Command::streams);
    let takes_keys = cli.command.as_ref().is_some_and(Command::takes_keys);
    let mut input: Option<Zeroizing<Vec<u8>>> = None;
    // The proxy does not read files of ours; it gets what is in them.
    if let Some(Command::Apply(apply)) = &cli.command {
        input = Some(text(&apply.file)?.into());
        words = vec!["apply".to_owned(), "--file=-".to_owned()];
        words.extend((apply.file != "-").then(|| format!("--called={}", apply.file)));
        words.extend(apply.dry_run.then(|| "--dry-run".to_owned()));
        words.extend(apply.force.then(|| "--force".to_owned()));
        words.extend((cli.output == Format::Json).then(|| "--output=json".to_owned()));
    }
    let mut is_terminal = std::io::stdout().is_terminal();
    if cli.command.as_ref().is_some_and(Command::takes_input) && !std::io::stdin().is_terminal() {
        input = Some(piped()?);
        is_terminal = false;
    }
    let asked = Asked { words, size: size.filter(|_| is_terminal).map(of) };
    let asked = serde_json::to_vec(&asked).map_err(|error| error.to_string())?;
    if asked.len() > MOST_FRAME {
        return Err("the command is too long".to_owned());
    }
    let mut stream = UnixStream::connect(socket).await.map_err(|error| {
        use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
        let path = socket.display();
        match error.kind() {
            NotFound | ConnectionRefused => format!(
                "tidegate-proxy does not run (nothing answers at {path}); start it, for example with \
                 `systemctl start tidegate-proxy`"
            ),
            PermissionDenied => {
                "the local console is for root and the proxy's own user; try it with sudo".to_owned()
            }
            _ => format!("the proxy does not answer at {path}: {error}"),
        }
    })?;
    let broken = |error: std::io::Error| format!("the proxy broke off: {error}");
    let (mut from, mut to) = stream.split();
    write(&mut to, RUN, &asked).await.map_err(broken)?;
    let mut keys = if takes_keys && is_terminal { Keys::take() } else { None };
    let sent = async {
        if let Some(input) = &input {
            write(&mut to, INPUT, input).await?;
        }
        if let Some(keys) = &mut keys {
            let mut resizes = signal(SignalKind::window_change())?;
            loop {
                tokio::select! {
                    typed = keys.typed() => match typed {
                        Some(typed) => write(&mut to, INPUT, &typed).await?,
                        None => break,
                    },
                    Some(()) = resizes.recv() => if let Some(size) = terminal_size::terminal_size() {
                        write(&mut to, RESIZED, &serde_json::to_vec(&of(size))?).await?;
                    },
                }
            }
        }
        write(&mut to, INPUT_ENDS, &[]).await?;
        std::future::pending::<std::io::Result<u8>>().await
    };
    let shown = async {
        while let Some((kind, bytes)) = read(&mut from).await? {
            match kind {
                OUT => {
                    if let Err(error) = show(&mut std::io::stdout().lock(), &bytes) {
                        return Ok(unshown(&error));
                    }
                }
                // A remark that nobody reads takes nothing off the answer.
                ERR => drop(show(&mut std::io::stderr().lock(), &bytes)),
                EXIT => return Ok(bytes.first().copied().unwrap_or(1)),
                _ => return Err(std::io::Error::other("it sent what it may not")),
            }
        }
        Err(std::io::Error::other("it ended before the command did"))
    };
    // The answer counts, also when the proxy stops reading before all was sent.
    tokio::pin!(shown);
    tokio::select! {
        biased;
        status = &mut shown => status.map_err(broken),
        // What only shows something waits for nobody who has left.
        () = reader_left(), if streams => Ok(READER_LEFT),
        _ = sent => shown.await.map_err(broken),
    }
}

fn of((columns, rows): (Width, Height)) -> Size {
    Size { columns: columns.0.into(), rows: rows.0.into() }
}

/// What becomes of a command whose answer cannot be written.
fn unshown(error: &std::io::Error) -> u8 {
    // As SIGPIPE would have it: whoever reads has enough.
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        return READER_LEFT;
    }
    let _ =
        writeln!(std::io::stderr(), "tidegate: the answer could not be written to standard output: {error}");
    1
}

/// Returns when nobody reads standard output any more; never where that cannot be seen, as of a
/// file.
async fn reader_left() {
    let (left, heard) = oneshot::channel();
    // Ends with the process, which does not wait for it.
    std::thread::spawn(move || {
        let out = std::io::stdout();
        // Errors and hang-ups are told unasked (poll(2)).
        let mut watched = [PollFd::new(out.as_fd(), PollFlags::empty())];
        loop {
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return left.send(()),
                Err(_) => return Ok(()),
            }
        }
    });
    if heard.await.is_err() {
        std::future::pending().await
    }
}

fn show(stream: &mut impl std::io::Write, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// What `apply -f` names: a file here, or standard input.
/// What standard input has, for a command that takes it.
fn piped() -> Result<Zeroizing<Vec<u8>>, String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_FRAME));
    let read = std::io::stdin().lock().take(MOST_PIPED).read_to_end(&mut bytes);
    read.map_err(|error| format!("standard input cannot be read: {error}"))?;
    Ok(bytes)
}

fn text(file: &str) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    if file == "-" && std::io::stdin().is_terminal() {
        let _ =
            writeln!(std::io::stderr(), "tidegate: resources are read from this terminal; Ctrl-D ends them");
    }
    let read = if file == "-" {
        std::io::stdin().lock().take(MOST_INPUT + 1).read_to_end(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MOST_INPUT + 1).read_to_end(&mut text))
    };
    read.map_err(|error| format!("{file} cannot be read: {error}"))?;
    Ok(text)
}
