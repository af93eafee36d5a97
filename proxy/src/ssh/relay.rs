//! One channel of a session: client to device, device to client, recorded between.
//!
//! Each direction waits for its own reader and for nothing else. What the device
//! sends is recorded before the client sees it; when the recording can't take it,
//! the device waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg as UpMsg;
use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty, Sig};
use tidegate_common::audit::{ChannelKind, CommandSource, CommandText, Event, Note};
use tidegate_common::recording;
use tidegate_common::wire::SESSION_VARIABLE;
use tokio::sync::watch;

use super::inbox::{Event as Input, Inbox};
use super::upstream::Lease;
use crate::record;
use crate::session::{Open, Phase};

/// How long a client may take to take its farewell.
pub const FAREWELL: Duration = Duration::from_secs(2);
/// How long the end of data waits for an exit status while the client can still write.
const HALF_CLOSE: Duration = Duration::from_millis(200);
/// stderr, as `SSH_MSG_CHANNEL_EXTENDED_DATA` numbers it (RFC 4254, 5.2).
const STDERR: u32 = 1;

/// What a client asks for on a session channel.
#[derive(Debug)]
pub enum Control {
    /// Start a program; sent once.
    Start(Start),
    /// The terminal changed its size.
    WindowChange(Size),
    /// A signal for the program (RFC 4254, 6.9).
    Signal(Sig),
}

/// A terminal's size.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Columns, rows, and both in pixels.
    pub columns: u32,
    pub rows: u32,
    pub pixel_width: u32,
    pub pixel_height: u32,
}

/// A pseudo-terminal (RFC 4254, 6.2).
#[derive(Debug, Clone)]
pub struct Terminal {
    /// `TERM`.
    pub term: String,
    /// Its size.
    pub size: Size,
    /// Its modes.
    pub modes: Vec<(Pty, u32)>,
}

/// What to run, and in which surroundings.
#[derive(Debug)]
pub struct Start {
    /// The terminal, if one was asked for.
    pub terminal: Option<Terminal>,
    /// Environment variables that the allow-list lets through.
    pub env: Vec<(String, String)>,
    /// The program.
    pub program: Program,
}

/// The three ways to name a program (RFC 4254, 6.5).
#[derive(Debug)]
pub enum Program {
    /// The login shell.
    Shell,
    /// A command line.
    Exec(Vec<u8>),
    /// A subsystem, such as sftp.
    Subsystem(String),
}

impl Program {
    /// What the channel carries, as far as its name tells.
    pub fn kind(&self) -> ChannelKind {
        match self {
            Self::Shell => ChannelKind::Shell,
            Self::Subsystem(name) if name == "sftp" => ChannelKind::Sftp,
            Self::Subsystem(_) => ChannelKind::Subsystem,
            Self::Exec(command) if is_scp(command) => ChannelKind::Scp,
            Self::Exec(_) => ChannelKind::Exec,
        }
    }
}

/// Whether a command is the far end of scp's own protocol: `scp … -t` or `-f`.
fn is_scp(command: &[u8]) -> bool {
    let mut words = command.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    words.next() == Some(b"scp")
        && words.take_while(|word| word.starts_with(b"-")).any(|word| matches!(word, b"-t" | b"-f"))
}

/// The client's side of a channel.
pub struct Client {
    /// Number of the channel on the client's connection.
    pub id: ChannelId,
    /// Data and its end go here.
    pub write: ChannelWriteHalf<Msg>,
    /// Replies and exit status go here, in order with the data.
    pub handle: Handle,
    /// What it sends.
    pub inbox: Inbox<Control>,
}

/// How a channel ended before or after it was relayed.
enum Done {
    /// The client closed it.
    Client,
    /// The program is done, or the device broke off.
    Device(Option<String>),
    /// The session is over.
    Session(Option<Arc<str>>),
    /// It could not start; the sentence is for the user.
    Failed(String),
}

/// Serves a channel until it ends. `phase` tells where its session stands. Answers
/// whether the user was told why.
pub async fn serve(client: Client, phase: watch::Receiver<Phase>) -> bool {
    let done = opened(&client, phase).await;
    let farewell = async {
        let sentence = match &done {
            Done::Client | Done::Device(None) => None,
            Done::Device(Some(sentence)) | Done::Failed(sentence) => Some(sentence.as_str()),
            Done::Session(sentence) => sentence.as_deref(),
        };
        if let Some(sentence) = sentence {
            let text = format!("\r\ntidegate: {sentence}\r\n");
            let _ = client.write.extended_data_bytes(STDERR, text).await;
            let _ = client.handle.exit_status_request(client.id, 255).await;
        }
        let _ = client.write.close().await;
    };
    let told = tokio::time::timeout(FAREWELL, farewell).await.is_ok();
    client.inbox.close();
    told
}

/// Waits for the session's end. Cancel safe.
async fn over(phase: &mut watch::Receiver<Phase>) -> Done {
    let over = phase.wait_for(|phase| matches!(phase, Phase::Over(_))).await;
    match over.as_deref() {
        Ok(Phase::Over(message)) => Done::Session(message.clone()),
        _ => Done::Session(None),
    }
}

/// Waits until the session is open, or over.
async fn open(phase: &mut watch::Receiver<Phase>) -> Result<Arc<Open>, Done> {
    let settled = phase.wait_for(|phase| !matches!(phase, Phase::Opening)).await;
    match settled.as_deref() {
        Ok(Phase::Open(open)) => Ok(Arc::clone(open)),
        Ok(Phase::Over(message)) => Err(Done::Session(message.clone())),
        _ => Err(Done::Session(None)),
    }
}

/// What the client wants to run. Nothing runs yet that could take anything else.
async fn wanted(client: &Client) -> Option<Start> {
    loop {
        match client.inbox.next().await {
            Input::Control(Control::Start(start)) => return Some(start),
            Input::Closed => return None,
            Input::Control(_) | Input::Data(_) | Input::Eof => {}
        }
    }
}

async fn opened(client: &Client, mut phase: watch::Receiver<Phase>) -> Done {
    let start = tokio::select! {
        start = wanted(client) => match start {
            Some(start) => start,
            None => return Done::Client,
        },
        done = over(&mut phase) => return done,
    };
    let open = match open(&mut phase).await {
        Ok(open) => open,
        Err(done) => return done,
    };
    let begun = tokio::select! {
        begun = begin(client, &open, &start) => begun,
        done = over(&mut phase) => return done,
    };
    match begun {
        Ok(running) => running.relay(client, &open, &mut phase).await,
        Err(sentence) => {
            let _ = client.handle.channel_failure(client.id).await;
            Done::Failed(sentence)
        }
    }
}

/// A program that runs on the device, and its record.
struct Running {
    read: ChannelReadHalf,
    write: ChannelWriteHalf<UpMsg>,
    lease: Lease,
    recorder: record::Channel,
}

/// Logs the channel, opens it on the device and starts the program there.
async fn begin(client: &Client, open: &Arc<Open>, start: &Start) -> Result<Running, String> {
    let number = client.id.number();
    let (channel, lease) = logged(open, number, start, open.upstream.open()).await?;
    let (mut read, write) = channel.split();
    start_program(&mut read, &write, open, start).await?;
    open.attached();
    let recorder = recorded(open, number, start).await.map_err(|error| error.to_string())?;
    client.handle.channel_success(client.id).await.map_err(|()| "the client is gone".to_owned())?;
    Ok(Running { read, write, lease, recorder })
}

impl Running {
    async fn relay(self, client: &Client, open: &Open, phase: &mut watch::Receiver<Phase>) -> Done {
        let Self { mut read, write, lease, recorder } = self;
        let mut counts = Counts::default();
        let mut exit = None;
        let client_ended = AtomicBool::new(false);
        let done = tokio::select! {
            // First: the device's side is closed right after the session is over, and
            // must not hide why.
            biased;
            done = over(phase) => done,
            done = down_stream(&mut read, client, &recorder, &mut counts.out, &mut exit, &client_ended) => done,
            done = up_stream(&write, client, &recorder, &mut counts.into, &client_ended) => done,
        };
        let closed = tokio::time::timeout(FAREWELL, write.close()).await;
        if matches!((&done, closed), (Done::Device(None), Ok(Ok(())))) {
            lease.give_back();
        }
        let (status, signal) = match &exit {
            Some(Exit::Status(status)) => (Some(*status), None),
            Some(Exit::Signal(name)) => (None, Some(name.as_str())),
            None => (None, None),
        };
        if let Err(error) = recorder.close(status, signal).await {
            tracing::warn!(session = %open.id, %error, "a channel's end could not be recorded");
        }
        open.count(counts.into, counts.out);
        let event = Event::ChannelClosed {
            session: open.id,
            channel: client.id.number(),
            exit: exit.as_ref().map(Exit::note),
            bytes_in: counts.into,
            bytes_out: counts.out,
        };
        if let Err(error) = open.audit.append(event).await {
            tracing::error!(session = %open.id, %error, "a channel's end could not be logged");
        }
        done
    }
}

/// How a program ended (RFC 4254, 6.10).
enum Exit {
    Status(u32),
    Signal(String),
}

impl Exit {
    fn note(&self) -> Note {
        match self {
            Self::Status(status) => Note::new(status.to_string()),
            Self::Signal(name) => Note::new(format!("signal {name}")),
        }
    }
}

#[derive(Default)]
struct Counts {
    into: u64,
    out: u64,
}

/// Opens the channel on the device while the log takes note of it; the program
/// starts only when both are done.
async fn logged<T>(
    open: &Open,
    number: u32,
    start: &Start,
    channel: impl Future<Output = Result<T, super::upstream::DialError>>,
) -> Result<T, String> {
    let (session, kind) = (open.id, start.program.kind());
    let opened = open.audit.append(Event::ChannelOpened { session, channel: number, kind });
    let command = async {
        let Program::Exec(command) = &start.program else {
            return Ok(());
        };
        let command = CommandText::from_bytes(command);
        let source = CommandSource::Exec;
        open.audit.append(Event::CommandRun { session, channel: number, source, command }).await.map(drop)
    };
    let (opened, command, channel) = tokio::join!(opened, command, channel);
    opened.map(drop).and(command).map_err(|error| error.to_string())?;
    channel.map_err(|error| error.to_string())
}

/// Asks the device for the terminal, the environment and the program.
async fn start_program(
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
    match &start.program {
        Program::Shell => write.request_shell(true).await,
        Program::Exec(command) => write.exec(true, command.as_slice()).await,
        Program::Subsystem(name) => write.request_subsystem(true, name.as_str()).await,
    }
    .map_err(broke)?;
    if start.terminal.is_some() {
        reply(read, "the device gives no terminal").await?;
    }
    reply(read, "the device refuses to start that").await
}

async fn reply(read: &mut ChannelReadHalf, refusal: &str) -> Result<(), String> {
    let answer = async {
        loop {
            match read.wait().await {
                Some(ChannelMsg::Success) => return Ok(()),
                Some(ChannelMsg::Failure) => return Err(refusal.to_owned()),
                Some(ChannelMsg::Close) | None => return Err("the device broke off".to_owned()),
                Some(_) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answer)
        .await
        .unwrap_or_else(|_| Err("the device did not answer in time".to_owned()))
}

/// The device's end of data, held back until the exit status has passed.
///
/// A client whose own input has ended answers the end of data with
/// `SSH_MSG_CHANNEL_CLOSE` at once, and russh answers that before anyone can send an
/// exit status. So the end of data waits for the exit status, which sshd sends in
/// about the same moment; where the client could still write to a program that has
/// closed its output, it waits for [`HALF_CLOSE`] at most.
#[derive(Default)]
struct HeldEof {
    held: bool,
}

impl HeldEof {
    /// The next message, or `None` when the end of data has waited long enough.
    async fn next(
        &self,
        read: &mut ChannelReadHalf,
        client_ended: &AtomicBool,
    ) -> Option<Option<ChannelMsg>> {
        if self.held && !client_ended.load(Ordering::Relaxed) {
            return tokio::time::timeout(HALF_CLOSE, read.wait()).await.ok();
        }
        Some(read.wait().await)
    }

    /// Passes the end of data on, if it was held.
    async fn release(&mut self, client: &Client) -> bool {
        !std::mem::take(&mut self.held) || client.write.eof().await.is_ok()
    }
}

async fn down_stream(
    read: &mut ChannelReadHalf,
    client: &Client,
    recorder: &record::Channel,
    count: &mut u64,
    exit: &mut Option<Exit>,
    client_ended: &AtomicBool,
) -> Done {
    let (write, handle, id) = (&client.write, &client.handle, client.id);
    let mut eof = HeldEof::default();
    loop {
        let Some(message) = eof.next(read, client_ended).await else {
            if !eof.release(client).await {
                return Done::Client;
            }
            continue;
        };
        let sent = match message {
            Some(ChannelMsg::Data { data }) => {
                *count += length(&data);
                if let Err(error) = recorder.output(&data).await {
                    return Done::Failed(error.to_string());
                }
                write.data_bytes(data).await.is_ok()
            }
            Some(ChannelMsg::ExtendedData { data, ext }) => {
                *count += length(&data);
                if let Err(error) = recorder.stderr(&data).await {
                    return Done::Failed(error.to_string());
                }
                write.extended_data_bytes(ext, data).await.is_ok()
            }
            Some(ChannelMsg::Eof) => {
                eof.held = true;
                exit.is_none() || eof.release(client).await
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                *exit = Some(Exit::Status(exit_status));
                handle.exit_status_request(id, exit_status).await.is_ok() && eof.release(client).await
            }
            Some(ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, lang_tag }) => {
                *exit = Some(Exit::Signal(format!("{signal_name:?}")));
                handle
                    .exit_signal_request(id, signal_name, core_dumped, error_message, lang_tag)
                    .await
                    .is_ok()
                    && eof.release(client).await
            }
            Some(ChannelMsg::XonXoff { client_can_do }) => {
                handle.xon_xoff_request(id, client_can_do).await.is_ok()
            }
            Some(ChannelMsg::Close) => {
                let _ = eof.release(client).await;
                return Done::Device(None);
            }
            Some(_) => true,
            None => return Done::Device(Some("the device closed the connection".to_owned())),
        };
        if !sent {
            return Done::Client;
        }
    }
}

async fn up_stream(
    write: &ChannelWriteHalf<UpMsg>,
    client: &Client,
    recorder: &record::Channel,
    count: &mut u64,
    client_ended: &AtomicBool,
) -> Done {
    loop {
        let sent = match client.inbox.next().await {
            Input::Data(data) => {
                *count += length(&data);
                if let Err(error) = recorder.input(&data).await {
                    return Done::Failed(error.to_string());
                }
                write.data_bytes(data).await.is_ok()
            }
            Input::Eof => {
                client_ended.store(true, Ordering::Relaxed);
                write.eof().await.is_ok()
            }
            Input::Control(Control::WindowChange(size)) => {
                let shown = recording::Size { cols: size.columns, rows: size.rows };
                if let Err(error) = recorder.resize(shown).await {
                    return Done::Failed(error.to_string());
                }
                let Size { columns, rows, pixel_width, pixel_height } = size;
                write.window_change(columns, rows, pixel_width, pixel_height).await.is_ok()
            }
            Input::Control(Control::Signal(signal)) => write.signal(signal).await.is_ok(),
            // A second program on one channel is no SSH; the handler refuses it.
            Input::Control(Control::Start(_)) => true,
            Input::Closed => return Done::Client,
        };
        if !sent {
            // The device is gone; the other direction tells how.
            return std::future::pending().await;
        }
    }
}

fn length(data: &Bytes) -> u64 {
    u64::try_from(data.len()).unwrap_or(u64::MAX)
}

/// Tells the recording that a channel begins.
async fn recorded(open: &Open, number: u32, start: &Start) -> Result<record::Channel, record::RecordError> {
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
    let size =
        terminal.map(|terminal| recording::Size { cols: terminal.size.columns, rows: terminal.size.rows });
    open.recorder.open(number, record::Open { kind, command: command.as_deref(), term, size }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scps_far_end_is_told_from_other_commands() {
        for command in ["scp -t /tmp", "scp -r -p -f a b", "scp  -v -t -- x"] {
            assert!(is_scp(command.as_bytes()), "{command}");
        }
        for command in ["scp a b:", "ls -t", "scpx -t", "scp /tmp -t"] {
            assert!(!is_scp(command.as_bytes()), "{command}");
        }
    }
}
