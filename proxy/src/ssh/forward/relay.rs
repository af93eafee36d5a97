//! Bytes between the two ends of a forward, counted and digested on their way. Each
//! direction waits for its own reader; the end of data passes on in each by itself.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use russh::{ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client, server};
use tidegate_common::recording;

use super::{About, Closed, Context};
use crate::inbox::{Event, Inbox};
use crate::recordings::{self, RecordError};
use crate::relay::Control;
use crate::session::Open;

/// How long a connection may take until it has taken in that a channel of it is over.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the device sends.
pub enum FromDevice {
    /// On a channel with a connection of its own.
    Own(ChannelReadHalf),
    /// On one that the device opened.
    DeviceChannel(Inbox<Infallible>),
}

/// One thing that the device sent.
enum Piece {
    Data(Bytes),
    Eof,
    Closed,
    Lost,
}

impl FromDevice {
    async fn next(&mut self) -> Piece {
        match self {
            Self::Own(read) => loop {
                match read.wait().await {
                    Some(ChannelMsg::Data { data }) => return Piece::Data(data),
                    Some(ChannelMsg::Eof) => return Piece::Eof,
                    Some(ChannelMsg::Close) => return Piece::Closed,
                    Some(_) => {}
                    None => return Piece::Lost,
                }
            },
            Self::DeviceChannel(inbox) => piece(inbox).await,
        }
    }
}

/// The next of what came on a channel, whatever else was asked for on it.
async fn piece<C>(inbox: &Inbox<C>) -> Piece {
    loop {
        return match inbox.next().await {
            Event::Data(data) => Piece::Data(data),
            Event::Eof => Piece::Eof,
            Event::Closed => Piece::Closed,
            Event::Control(_) => continue,
        };
    }
}

/// The two ends.
pub struct Ends {
    /// What the client sends, and is sent.
    pub inbox: Inbox<Control>,
    pub client: ChannelWriteHalf<server::Msg>,
    /// What the device sends, and is sent.
    pub from: FromDevice,
    pub device: ChannelWriteHalf<client::Msg>,
}

/// Which side let go, or why both had to.
enum Over {
    Client,
    Device,
    Cut(String),
}

impl Ends {
    /// Carries bytes until a side closes or the forward must end; `accept` tells the side
    /// that wanted the channel that it has it. Answers whether the device closed its own
    /// side in order.
    pub async fn carry(
        mut self,
        context: &Context,
        open: &Open,
        about: &About,
        accept: impl Future<Output = ()>,
    ) -> bool {
        let number = self.client.id().number();
        let mut closed = Closed { channel: Some(number), ..Closed::default() };
        let from = about.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
        let label = format!("{} to {}{from}", about.kind, about.to);
        let begins = recordings::Open {
            kind: recording::Kind::Forward,
            command: Some(&label),
            term: None,
            size: None,
        };
        let mut in_order = false;
        match open.recorder.open(number, begins).await {
            Ok(recorder) => {
                accept.await;
                let _counted = open.live.has_channel();
                let over = self.relay(context, about, &recorder, &mut closed).await;
                in_order = self.close(&over).await;
                if let Over::Cut(why) = over {
                    closed.why = Some(why);
                }
                if let Err(error) = recorder.close(None, None).await {
                    tracing::warn!(session = %open.id, %error, "a forward's end could not be recorded");
                }
                open.live.count(closed.bytes_in, closed.bytes_out);
            }
            Err(error) => {
                closed.why = Some(error.to_string());
                self.close(&Over::Cut(String::new())).await;
            }
        }
        self.inbox.close();
        if let FromDevice::DeviceChannel(inbox) = &self.from {
            inbox.close();
        }
        context.closed(about, closed).await;
        in_order
    }

    async fn relay(
        &mut self,
        context: &Context,
        about: &About,
        recorder: &recordings::Channel,
        closed: &mut Closed,
    ) -> Over {
        tokio::select! {
            // First: what it carried last must not go on once it is forbidden.
            biased;
            why = context.ended(about.forward) => Over::Cut(why),
            over = down(&mut self.from, &self.client, recorder, &mut closed.bytes_out) => over,
            over = up(&self.inbox, &self.device, recorder, &mut closed.bytes_in) => over,
        }
    }

    async fn close(&mut self, over: &Over) -> bool {
        // What a side still says after our word that it is over has no reader, and russh passes
        // nothing of it on: nobody waits for it.
        let told = async { tokio::join!(self.device.close(), self.client.close()) };
        let told = tokio::time::timeout(FAREWELL, told).await;
        !matches!(over, Over::Cut(_)) && matches!(told, Ok((Ok(()), _)))
    }
}

/// Why one direction carries no more.
enum Stop {
    /// Its sender closed.
    Closed,
    /// Its sender is gone.
    Lost,
    /// Its reader is.
    Unread,
    /// The recorder keeps no more.
    Unrecorded(String),
    /// Its sender ended its data twice (RFC 4254, 5.3).
    Repeated,
}

/// Where one direction comes from.
enum Source<'a> {
    Device(&'a mut FromDevice),
    Client(&'a Inbox<Control>),
}

impl Source<'_> {
    async fn next(&mut self) -> Piece {
        match self {
            Self::Device(from) => from.next().await,
            Self::Client(inbox) => piece(inbox).await,
        }
    }

    async fn record(&self, recorder: &recordings::Channel, data: &Bytes) -> Result<(), RecordError> {
        match self {
            Self::Device(_) => recorder.output(data).await,
            Self::Client(_) => recorder.input(data).await,
        }
    }
}

async fn down(
    from: &mut FromDevice,
    client: &ChannelWriteHalf<server::Msg>,
    recorder: &recordings::Channel,
    count: &mut u64,
) -> Over {
    match pump(Source::Device(from), client, recorder, count).await {
        Stop::Closed => Over::Device,
        Stop::Lost => Over::Cut("the device closed the connection".to_owned()),
        Stop::Unread => Over::Client,
        Stop::Unrecorded(why) => Over::Cut(why),
        Stop::Repeated => Over::Cut("the device's sshd ended the channel's data twice".to_owned()),
    }
}

async fn up(
    inbox: &Inbox<Control>,
    device: &ChannelWriteHalf<client::Msg>,
    recorder: &recordings::Channel,
    count: &mut u64,
) -> Over {
    match pump(Source::Client(inbox), device, recorder, count).await {
        Stop::Closed => Over::Client,
        // The device is gone; the other direction tells how.
        Stop::Lost | Stop::Unread => std::future::pending().await,
        Stop::Unrecorded(why) => Over::Cut(why),
        Stop::Repeated => Over::Cut("the client ended the channel's data twice".to_owned()),
    }
}

/// Carries one direction: each piece is recorded before it goes on.
async fn pump<M: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static>(
    mut source: Source<'_>,
    reader: &ChannelWriteHalf<M>,
    recorder: &recordings::Channel,
    count: &mut u64,
) -> Stop {
    let mut ended = false;
    loop {
        let sent = match source.next().await {
            Piece::Data(data) => {
                *count += u64::try_from(data.len()).unwrap_or(u64::MAX);
                if let Err(error) = source.record(recorder, &data).await {
                    return Stop::Unrecorded(error.to_string());
                }
                reader.data_bytes(data).await.is_ok()
            }
            Piece::Eof if std::mem::replace(&mut ended, true) => return Stop::Repeated,
            Piece::Eof => reader.eof().await.is_ok(),
            Piece::Closed => return Stop::Closed,
            Piece::Lost => return Stop::Lost,
        };
        if !sent {
            return Stop::Unread;
        }
    }
}
