//! How a program comes to run on a device: logged, opened, asked for, recorded.

use russh::client::Msg as UpMsg;
use russh::{ChannelReadHalf, ChannelWriteHalf};
use tidegate_common::audit::{ChannelKind, CommandSource, CommandText, Event};
use tidegate_common::recording;
use tidegate_common::wire::SESSION_VARIABLE;

use super::{Client, Program, Size, Start, Terminal};
use crate::recordings;
use crate::session::Open;
use crate::upstream::{DialError, answer};

/// The size of a terminal whose client knows none.
pub(super) const UNKNOWN: recording::Size = recording::Size { cols: 80, rows: 24 };

/// What a person reads who left with Ctrl-C.
pub(super) const INTERRUPTED: &str =
    "Ctrl-C came before the device had answered, so nothing was started on it";

/// Waits for Ctrl-C on the channel's terminal; for ever where there is none.
pub(super) async fn interrupted<C>(client: &Client<C>, start: &Start) {
    let interrupt = start.terminal.as_ref().and_then(Terminal::interrupt);
    if interrupt.is_none() || !client.inbox.closed_or_holds(interrupt).await {
        std::future::pending().await
    }
}

/// Opens the channel on the device while the log takes note of it; the program
/// starts only when both are done.
pub(super) async fn logged<T>(
    open: &Open,
    number: u32,
    start: &Start,
    channel: impl Future<Output = Result<T, DialError>>,
) -> Result<T, String> {
    let (session, kind) = (open.id, start.program.kind());
    let opened = open.audit.append(Event::ChannelOpened { session, channel: number, kind });
    let command = async {
        let Program::Exec(command) = &start.program else {
            return Ok(());
        };
        let command = CommandText::from_bytes(command);
        let source = CommandSource::Exec;
        if let Some(compared) = &open.compared {
            compared.line(source, &command);
        }
        open.audit.append(Event::CommandRun { session, channel: number, source, command }).await.map(drop)
    };
    let (opened, command, channel) = tokio::join!(opened, command, channel);
    opened.map(drop).and(command).map_err(|error| error.to_string())?;
    channel.map_err(|error| error.to_string())
}

/// Asks the device for the terminal, the environment, what is forwarded and the program.
pub(super) async fn start_program(
    read: &mut ChannelReadHalf,
    write: &ChannelWriteHalf<UpMsg>,
    open: &Open,
    start: &Start,
) -> Result<(), String> {
    let broke = |_| "the device broke off while the program was started".to_owned();
    if let Some(terminal) = &start.terminal {
        let Size { columns, rows, pixel_width, pixel_height } = terminal.size;
        write
            .request_pty(true, &terminal.term, columns, rows, pixel_width, pixel_height, &terminal.modes)
            .await
            .map_err(broke)?;
    }
    write.set_env(false, SESSION_VARIABLE, open.id.to_string()).await.map_err(broke)?;
    for (name, value) in &start.env {
        write.set_env(false, name.as_str(), value.as_str()).await.map_err(broke)?;
    }
    if let Some(forwarded) = &start.forwarded {
        forwarded.request(write).await.map_err(broke)?;
    }
    match &start.program {
        Program::Shell => write.request_shell(true).await,
        Program::Exec(command) => write.exec(true, command.as_slice()).await,
        Program::Subsystem(name) => write.request_subsystem(true, name.as_str()).await,
    }
    .map_err(broke)?;
    if start.terminal.is_some() {
        reply(read, "the device gives no terminal").await?;
    }
    if let Some(forwarded) = &start.forwarded {
        forwarded.answers(read).await?;
    }
    reply(read, "the device refuses to start that").await
}

async fn reply(read: &mut ChannelReadHalf, refusal: &str) -> Result<(), String> {
    if answer(read).await? { Ok(()) } else { Err(refusal.to_owned()) }
}

/// Tells the recording that a channel begins.
pub(super) async fn recorded(
    open: &Open,
    number: u32,
    start: &Start,
) -> Result<recordings::Channel, recordings::RecordError> {
    let kind = match (&start.terminal, start.program.kind()) {
        (Some(_), _) => recording::Kind::Terminal,
        (None, ChannelKind::Sftp | ChannelKind::Scp) => recording::Kind::Transfer,
        (None, _) => recording::Kind::Exec,
    };
    let command = match &start.program {
        Program::Shell => None,
        Program::Exec(command) => Some(String::from_utf8_lossy(command)),
        Program::Subsystem(name) => Some(name.into()),
    };
    let terminal = start.terminal.as_ref();
    let term = terminal.map(|terminal| terminal.term.as_str());
    let size = terminal.map(|terminal| terminal.size.known().unwrap_or(UNKNOWN));
    open.recorder.open(number, recordings::Open { kind, command: command.as_deref(), term, size }).await
}
