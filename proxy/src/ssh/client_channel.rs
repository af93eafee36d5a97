//! A channel of an SSH client, as a relay writes to it.

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelWriteHalf};

use crate::relay::{ClientChannel, ExitSignal, Gone};

/// The client's side of a channel.
pub struct SshChannel {
    /// Number of the channel on the client's connection.
    pub id: ChannelId,
    /// Data and its end go here.
    pub write: ChannelWriteHalf<Msg>,
    /// Replies and exit status go here, in order with the data.
    pub handle: Handle,
}

impl ClientChannel for SshChannel {
    fn number(&self) -> u32 {
        self.id.number()
    }

    async fn success(&self) -> Result<(), Gone> {
        self.handle.channel_success(self.id).await.map_err(|()| Gone)
    }

    async fn data(&self, data: Bytes) -> Result<(), Gone> {
        self.write.data_bytes(data).await.map_err(|_| Gone)
    }

    async fn extended_data(&self, kind: u32, data: Bytes) -> Result<(), Gone> {
        self.write.extended_data_bytes(kind, data).await.map_err(|_| Gone)
    }

    async fn xon_xoff(&self, client_can_do: bool) -> Result<(), Gone> {
        self.handle.xon_xoff_request(self.id, client_can_do).await.map_err(|()| Gone)
    }

    async fn eof(&self) -> Result<(), Gone> {
        self.write.eof().await.map_err(|_| Gone)
    }

    async fn exit_status(&self, status: u32) -> Result<(), Gone> {
        self.handle.exit_status_request(self.id, status).await.map_err(|()| Gone)
    }

    async fn exit_signal(&self, signal: ExitSignal) -> Result<(), Gone> {
        let ExitSignal { name, core_dumped, message, language } = signal;
        let told = self.handle.exit_signal_request(self.id, name, core_dumped, message, language);
        told.await.map_err(|()| Gone)
    }

    async fn close(&self) -> Result<(), Gone> {
        self.write.close().await.map_err(|_| Gone)
    }
}
