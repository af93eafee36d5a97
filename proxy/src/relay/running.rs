//! A program that runs: both directions of its channel until one of them ends.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use russh::client::Msg as UpMsg;
use russh::{ChannelMsg, ChannelWriteHalf};
use tidegate_common::audit::Event;
use tokio::sync::watch;

use super::device_messages::DeviceMessages;
use super::notices::Notices;
use super::recorded::{Exit, Recorded};
use super::{Client, ClientChannel, Control, Done, ExitSignal, FAREWELL, Size, over};
use crate::inbox::Event as Input;
use crate::session::{LiveSession, Open, OpenChannel, Oversight, Phase};
use crate::upstream::Lease;

/// A program that runs on the device, and its record.
pub(super) struct Running {
    pub messages: DeviceMessages,
    pub write: ChannelWriteHalf<UpMsg>,
    pub lease: Lease,
    pub kept: Recorded,
    pub notices: Notices,
    pub oversight: watch::Receiver<Oversight>,
    /// The session counts it.
    pub _counted: OpenChannel,
}

impl Running {
    /// Boxed, as its end is: an idle channel's task shall not be as large as its end.
    pub async fn relay<C: ClientChannel>(
        mut self: Box<Self>,
        client: &Client<C>,
        open: &Open,
        phase: &mut watch::Receiver<Phase>,
    ) -> Done {
        let Self { messages, write, kept, notices, oversight, .. } = &mut *self;
        let (write, kept) = (&*write, &*kept);
        let (mut tally, mut into, live) = (Tally::default(), 0, &open.live);
        let client_ended = AtomicBool::new(false);
        let done = tokio::select! {
            // First: the device's side is closed right after the session is over, and
            // must not hide why.
            biased;
            done = over(phase) => done,
            done = down_stream(messages, client, kept, notices, live, &mut tally, &client_ended) => done,
            done = up_stream(write, client, kept, oversight, live, &mut into, &client_ended) => done,
        };
        Box::pin(self.end(client, open, &done, tally, into)).await;
        done
    }

    async fn end<C: ClientChannel>(
        self: Box<Self>,
        client: &Client<C>,
        open: &Open,
        done: &Done,
        tally: Tally,
        into: u64,
    ) {
        let Self { write, lease, kept, .. } = *self;
        let closed = tokio::time::timeout(FAREWELL, write.close()).await;
        if matches!((done, closed), (Done::Device(None), Ok(Ok(())))) {
            lease.give_back();
        }
        let Tally { out, exit } = tally;
        kept.close(open, exit.as_ref()).await;
        let event = Event::ChannelClosed {
            session: open.id,
            channel: client.channel.number(),
            exit: exit.as_ref().map(Exit::note),
            bytes_in: into,
            bytes_out: out,
        };
        if let Err(error) = open.audit.tell(event).await {
            tracing::error!(session = %open.id, %error, "a channel's end could not be logged");
        }
    }
}

/// What the device has said on a channel.
#[derive(Default)]
struct Tally {
    out: u64,
    exit: Option<Exit>,
}

async fn down_stream<C: ClientChannel>(
    messages: &mut DeviceMessages,
    client: &Client<C>,
    kept: &Recorded,
    notices: &mut Notices,
    live: &LiveSession,
    tally: &mut Tally,
    client_ended: &AtomicBool,
) -> Done {
    let Tally { out, exit } = tally;
    let channel = &client.channel;
    loop {
        let message = tokio::select! {
            biased;
            message = messages.next(client_ended) => message,
            notice = notices.due() => Some(Some(notice)),
        };
        let Some(message) = message else {
            if !messages.release(channel).await {
                return Done::Client;
            }
            continue;
        };
        let sent = match message {
            Some(ChannelMsg::Data { data }) => {
                let data = messages.joined(data);
                *out += length(&data);
                live.count(0, length(&data));
                let alternate = notices.see(&data);
                if let Err(why) = kept.output(&data, alternate).await {
                    return Done::Failed(why);
                }
                channel.data(data).await.is_ok()
            }
            Some(ChannelMsg::ExtendedData { data, ext }) => {
                *out += length(&data);
                live.count(0, length(&data));
                if let Err(why) = kept.stderr(&data).await {
                    return Done::Failed(why);
                }
                channel.extended_data(ext, data).await.is_ok()
            }
            Some(ChannelMsg::Eof) if !messages.end() => {
                return Done::Device(Some(repeats("the end of its data")));
            }
            Some(ChannelMsg::Eof) => exit.is_none() || messages.release(channel).await,
            Some(ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. }) if exit.is_some() => {
                return Done::Device(Some(repeats("how its program ended")));
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                *exit = Some(Exit::Status(exit_status));
                channel.exit_status(exit_status).await.is_ok() && messages.release(channel).await
            }
            Some(ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, lang_tag }) => {
                *exit = Some(Exit::Signal(format!("{signal_name:?}")));
                let (message, language) = (error_message, lang_tag);
                let signal = ExitSignal { name: signal_name, core_dumped, message, language };
                channel.exit_signal(signal).await.is_ok() && messages.release(channel).await
            }
            Some(ChannelMsg::XonXoff { client_can_do }) => channel.xon_xoff(client_can_do).await.is_ok(),
            Some(ChannelMsg::Close) => {
                let _ = messages.release(channel).await;
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

/// What the user reads of a device that says twice what is said once (RFC 4254, 5.3 and 6.10).
fn repeats(what: &str) -> String {
    format!("the device's sshd told {what} twice, which no server does, so the channel is closed")
}

async fn up_stream<C>(
    write: &ChannelWriteHalf<UpMsg>,
    client: &Client<C>,
    kept: &Recorded,
    oversight: &mut watch::Receiver<Oversight>,
    live: &LiveSession,
    count: &mut u64,
    client_ended: &AtomicBool,
) -> Done {
    loop {
        let input = client.inbox.next().await;
        // A locked keyboard holds back what is typed, and with it all that comes after. The inbox
        // holds the client's window down meanwhile.
        let typed = matches!(input, Input::Data(_) | Input::Eof | Input::Control(Control::Signal(_)));
        if typed && oversight.borrow().is_locked() {
            tokio::select! {
                free = oversight.wait_for(|now| !now.is_locked()) => drop(free),
                _ = client.inbox.closed_or_holds(None) => return Done::Client,
            }
        }
        let sent = match input {
            Input::Data(data) => {
                *count += length(&data);
                live.count(length(&data), 0);
                if let Err(why) = kept.input(&data).await {
                    return Done::Failed(why);
                }
                write.data_bytes(data).await.is_ok()
            }
            Input::Eof => {
                client_ended.store(true, Ordering::Relaxed);
                write.eof().await.is_ok()
            }
            Input::Control(Control::WindowChange(size)) => {
                if let Err(why) = kept.resize(size).await {
                    return Done::Failed(why);
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
