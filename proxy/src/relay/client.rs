//! The client's side of a channel, whatever carries it.

use bytes::Bytes;
use russh::Sig;

use super::Control;
use crate::inbox::Inbox;

/// The client takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

/// A signal that ended a program (RFC 4254, 6.10).
#[derive(Debug, Clone)]
pub struct ExitSignal {
    /// Its name.
    pub name: Sig,
    /// Whether a core was dumped.
    pub core_dumped: bool,
    /// What more there is to say, and in which language.
    pub message: String,
    pub language: String,
}

/// What a client is told on one channel. SSH has it in [`crate::ssh`]; whatever else carries
/// channels has one of its own.
///
/// A call returns once the client's connection has taken what it was given, and the client sees
/// all of them in their order. Data waits for a client that does not read, which holds up nothing
/// but its own direction of its own channel.
pub trait ClientChannel: Send + Sync {
    /// Its number on the client's connection.
    fn number(&self) -> u32;

    /// What the client asked for has begun.
    fn success(&self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// What the program writes to its standard output, or to its terminal.
    fn data(&self, data: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Data of another kind; 1 is standard error (RFC 4254, 5.2).
    fn extended_data(&self, kind: u32, data: Bytes) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Whether the client may stop and start the output by itself (RFC 4254, 6.8).
    fn xon_xoff(&self, client_can_do: bool) -> impl Future<Output = Result<(), Gone>> + Send;

    /// There is no more data.
    fn eof(&self) -> impl Future<Output = Result<(), Gone>> + Send;

    /// The program ended with this status.
    fn exit_status(&self, status: u32) -> impl Future<Output = Result<(), Gone>> + Send;

    /// A signal ended the program.
    fn exit_signal(&self, signal: ExitSignal) -> impl Future<Output = Result<(), Gone>> + Send;

    /// The channel is over.
    fn close(&self) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// A client's channel, both ways.
pub struct Client<C> {
    /// What it is told.
    pub channel: C,
    /// What it sends.
    pub inbox: Inbox<Control>,
}
