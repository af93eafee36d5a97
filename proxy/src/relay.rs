//! One channel of a session: client to device, device to client, recorded between.
//!
//! Each direction waits for its own reader and for nothing else. What the device
//! sends is recorded before the client sees it; when the recording can't take it,
//! the device waits. What carries the client's side is its [`ClientChannel`]'s; the
//! device's side is SSH.

mod alternate;
mod client;
mod device_messages;
mod notices;
mod program;
mod recorded;
mod running;
mod start;
#[cfg(test)]
mod tests;

pub use client::{Client, ClientChannel, ExitSignal, Gone};
pub use program::{Control, Forwarded, Program, Size, Start, Terminal};

use std::sync::Arc;
use std::time::Duration;

use tidegate_common::audit::{Event, Note};
use tokio::sync::watch;

use device_messages::DeviceMessages;
use notices::Notices;
use recorded::Recorded;
use running::Running;
use start::{INTERRUPTED, UNKNOWN, interrupted, logged, recorded, start_program};

use crate::follow::Followed;
use crate::follow::transfers::Watch;
use crate::follow::typed::Typed;
use crate::inbox::Event as Input;
use crate::session::{Open, Phase};
use crate::upstream::DialError;

/// How long a client may take to take its farewell.
pub const FAREWELL: Duration = Duration::from_secs(2);
/// A device that breaks off in the moment in which its session ends does so because of that: how long
/// the session may take to say so.
const MOMENT: Duration = Duration::from_millis(500);
/// stderr, as `SSH_MSG_CHANNEL_EXTENDED_DATA` numbers it (RFC 4254, 5.2).
const STDERR: u32 = 1;

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
    /// The client left with Ctrl-C before it started.
    Left,
}

/// Serves a channel until it ends. `phase` tells where its session stands. Answers
/// whether the user was told why.
pub async fn serve<C: ClientChannel>(client: Client<C>, mut phase: watch::Receiver<Phase>) -> bool {
    let mut done = opened(&client, phase.clone()).await;
    if matches!(done, Done::Device(Some(_)))
        && let Ok(why) = tokio::time::timeout(MOMENT, over(&mut phase)).await
    {
        done = why;
    }
    let farewell = async {
        let sentence = match &done {
            Done::Client | Done::Device(None) => None,
            Done::Device(Some(sentence)) | Done::Failed(sentence) => Some(sentence.as_str()),
            Done::Session(sentence) => sentence.as_deref(),
            Done::Left => Some(INTERRUPTED),
        };
        let tells = sentence.is_some();
        if let Some(sentence) = sentence {
            // Success, whatever became of the request: ssh(1) exits at a failure without a look
            // at what came before it. The exit status tells that nothing ran.
            let _ = client.channel.success().await;
            let text = format!("\r\ntidegate: {sentence}\r\n");
            let _ = client.channel.extended_data(STDERR, text.into()).await;
            let _ = client.channel.exit_status(255).await;
        }
        let _ = client.channel.close().await;
        tells
    };
    let told = tokio::time::timeout(FAREWELL, farewell).await.unwrap_or_default();
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

/// Waits until the session is open, or over. A person before a terminal is told when that
/// takes a while.
async fn open<C: ClientChannel>(
    client: &Client<C>,
    terminal: bool,
    phase: &mut watch::Receiver<Phase>,
) -> Result<Arc<Open>, Done> {
    loop {
        let late = match &*phase.borrow_and_update() {
            Phase::Open(open) => return Ok(Arc::clone(open)),
            Phase::Over(message) => return Err(Done::Session(message.clone())),
            Phase::Opening(late) => late.clone().filter(|_| terminal),
        };
        if let Some(sentence) = late {
            tell(client, &sentence).await;
        }
        if phase.changed().await.is_err() {
            return Err(Done::Session(None));
        }
    }
}

/// Tells the user something beside what their program says.
async fn tell<C: ClientChannel>(client: &Client<C>, sentence: &str) {
    let text = format!("tidegate: {sentence}\r\n");
    // A client that takes nothing is not waited for.
    let told = client.channel.extended_data(STDERR, text.into());
    let _ = tokio::time::timeout(FAREWELL, told).await;
}

/// What the client wants to run. Nothing runs yet that could take anything else.
async fn wanted<C>(client: &Client<C>) -> Option<Start> {
    loop {
        match client.inbox.next().await {
            Input::Control(Control::Start(start)) => return Some(start),
            Input::Closed => return None,
            Input::Control(_) | Input::Data(_) | Input::Eof => {}
        }
    }
}

async fn opened<C: ClientChannel>(client: &Client<C>, mut phase: watch::Receiver<Phase>) -> Done {
    let start = tokio::select! {
        start = wanted(client) => match start {
            Some(start) => start,
            None => return Done::Client,
        },
        done = over(&mut phase) => return done,
    };
    let interrupt = start.terminal.as_ref().and_then(Terminal::interrupt);
    let open = tokio::select! {
        open = open(client, start.terminal.is_some(), &mut phase) => match open {
            Ok(open) => open,
            Err(done) => return done,
        },
        // What else is typed meanwhile stays where it is, for the device.
        interrupted = client.inbox.closed_or_holds(interrupt) => {
            return if interrupted { Done::Left } else { Done::Client };
        }
    };
    let begun = tokio::select! {
        begun = Box::pin(begin(client, &open, &start)) => begun,
        done = over(&mut phase) => return done,
    };
    match begun {
        Ok(running) => {
            if let Some(remark) = &open.remark {
                tell(client, remark).await;
            }
            running.relay(client, &open, &mut phase).await
        }
        Err(failed) => {
            // What was asked is in the log; so is that it came to nothing.
            let sentence = failed.as_deref().unwrap_or(INTERRUPTED);
            let why = Note::new(format!("channel {}: {sentence}", client.channel.number()));
            let event = Event::ChannelRefused { session: open.id, kind: start.program.kind(), why };
            if let Err(error) = open.audit.tell(event).await {
                tracing::error!(session = %open.id, %error, "a channel that failed to open could not be logged");
            }
            failed.map_or(Done::Left, Done::Failed)
        }
    }
}

/// Logs the channel, opens it on the device and starts the program there; an error without a
/// sentence is that the client left.
async fn begin<C: ClientChannel>(
    client: &Client<C>,
    open: &Arc<Open>,
    start: &Start,
) -> Result<Box<Running>, Option<String>> {
    let number = client.channel.number();
    let opening = async {
        if start.program.is_mosh() {
            return Err(DialError::Mosh);
        }
        tokio::select! {
            opened = open.upstream.open() => opened.map(Some),
            () = interrupted(client, start) => Ok(None),
        }
    };
    let Some((channel, mut lease)) = logged(open, number, start, opening).await? else { return Err(None) };
    if let Some(forwarded) = &start.forwarded {
        forwarded.attend(&mut lease, open).await?;
    }
    let (mut read, write) = channel.split();
    start_program(&mut read, &write, open, start).await?;
    lease.carries_terminal(start.terminal.is_some());
    open.attached();
    let recorder = recorded(open, number, start).await.map_err(|error| error.to_string())?;
    client.channel.success().await.map_err(|gone| gone.to_string())?;
    let transfer = start.program.transfer().filter(|_| start.terminal.is_none());
    let followed = Followed {
        session: open.id,
        channel: number,
        audit: open.audit.clone(),
        compared: open.compared.clone(),
        recorder: recorder.clone(),
    };
    let transfers = Watch::of(transfer.as_ref(), &followed);
    let warnings = start.terminal.as_ref().map(|_| open.warnings.subscribe());
    let notices = Notices::new(&open.live, warnings);
    let columns = start.terminal.as_ref().map(|terminal| terminal.size.known().unwrap_or(UNKNOWN).cols);
    let typed = Typed::of(followed, columns);
    let (messages, kept) = (DeviceMessages::new(read), Recorded { recorder, transfers, typed });
    let (oversight, _counted) = (open.live.oversight(), open.live.has_channel());
    Ok(Box::new(Running { messages, write, lease, kept, notices, oversight, _counted }))
}
