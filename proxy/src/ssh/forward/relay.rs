//! Bytes between the two ends of a forward, counted and digested on their way. Each
//! direction waits for its own reader; the end of data passes on in each by itself.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client, server};
use tidegate_common::recording;

use super::super::inbox::{Event, Inbox};
use super::super::program::Control;
use super::{About, Closed, Context};
use crate::record;
use crate::session::Open;

/// How long a side may take to hear that it is over.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the device sends.
pub enum FromDevice {
    /// On a channel with a connection of its own.
    Own(ChannelReadHalf),
    /// On one that the device opened.
    Guest(Inbox<Infallible>),
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
            Self::Guest(inbox) => match inbox.next().await {
                Event::Data(data) => Piece::Data(data),
                Event::Eof => Piece::Eof,
                Event::Closed => Piece::Closed,
                Event::Control(never) => match never {},
            },
        }
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
        let begins =
            record::Open { kind: recording::Kind::Forward, command: Some(&label), term: None, size: None };
        let mut in_order = false;
        match open.recorder.open(number, begins).await {
            Ok(recorder) => {
                accept.await;
                let over = self.relay(context, about, &recorder, &mut closed).await;
                in_order = self.close(&over).await;
                if let Over::Cut(why) = over {
                    closed.why = Some(why);
                }
                if let Err(error) = recorder.close(None, None).await {
                    tracing::warn!(session = %open.id, %error, "a forward's end could not be recorded");
                }
                open.count(closed.bytes_in, closed.bytes_out);
            }
            Err(error) => {
                closed.why = Some(error.to_string());
                self.close(&Over::Cut(String::new())).await;
            }
        }
        self.inbox.close();
        if let FromDevice::Guest(inbox) = &self.from {
            inbox.close();
        }
        context.closed(about, closed).await;
        in_order
    }

    async fn relay(
        &mut self,
        context: &Context,
        about: &About,
        recorder: &record::Channel,
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
        let farewell = async {
            let _ = tokio::join!(self.device.close(), self.client.close());
            match over {
                Over::Device => true,
                Over::Cut(_) => false,
                // What the device still sends has no reader any more.
                Over::Client => loop {
                    match self.from.next().await {
                        Piece::Data(_) | Piece::Eof => {}
                        Piece::Closed => break true,
                        Piece::Lost => break false,
                    }
                },
            }
        };
        tokio::time::timeout(FAREWELL, farewell).await.unwrap_or(false)
    }
}

async fn down(
    from: &mut FromDevice,
    client: &ChannelWriteHalf<server::Msg>,
    recorder: &record::Channel,
    count: &mut u64,
) -> Over {
    loop {
        let sent = match from.next().await {
            Piece::Data(data) => {
                *count += length(&data);
                if let Err(error) = recorder.output(&data).await {
                    return Over::Cut(error.to_string());
                }
                client.data_bytes(data).await.is_ok()
            }
            Piece::Eof => client.eof().await.is_ok(),
            Piece::Closed => return Over::Device,
            Piece::Lost => return Over::Cut("the device closed the connection".to_owned()),
        };
        if !sent {
            return Over::Client;
        }
    }
}

async fn up(
    inbox: &Inbox<Control>,
    device: &ChannelWriteHalf<client::Msg>,
    recorder: &record::Channel,
    count: &mut u64,
) -> Over {
    loop {
        let sent = match inbox.next().await {
            Event::Data(data) => {
                *count += length(&data);
                if let Err(error) = recorder.input(&data).await {
                    return Over::Cut(error.to_string());
                }
                device.data_bytes(data).await.is_ok()
            }
            Event::Eof => device.eof().await.is_ok(),
            Event::Control(_) => true,
            Event::Closed => return Over::Client,
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
