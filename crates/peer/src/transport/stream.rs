//! One stream behind its handshake, as two bounded ends.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tonic::Streaming;

use super::{Carries, StreamError};
use crate::frame::Worker;
use crate::handshake::Agreed;
use crate::wire::Malformed;

/// A stream with a peer. Ends when either end is dropped or the connection breaks.
#[derive(Debug)]
pub struct Stream<O, I> {
    /// Who is at the other end.
    pub peer: Agreed,
    /// Whose stream it is, at the socket node.
    pub worker: Worker,
    /// What goes out.
    pub outlet: Outlet<O>,
    /// What comes in.
    pub inlet: Inlet<I>,
}

/// Where batches go out.
#[derive(Debug)]
pub struct Outlet<O> {
    sender: mpsc::Sender<O>,
}

/// The right to send one batch now.
#[derive(Debug)]
pub struct Permit<'a, O> {
    permit: mpsc::Permit<'a, O>,
}

/// Where batches come in.
#[derive(Debug)]
pub struct Inlet<I> {
    messages: Streaming<I>,
    /// Of whoever dialled: ends the connection with the stream.
    _connection: Option<Arc<Connection>>,
}

/// The task of a connection, which ends with this.
#[derive(Debug)]
pub(super) struct Connection(pub(super) AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<O: Carries> Outlet<O> {
    pub(super) fn new(sender: mpsc::Sender<O>) -> Outlet<O> {
        Outlet { sender }
    }

    /// Waits until the connection can take a batch. Make the batch then and not before: whatever
    /// has come together by that time goes with it.
    pub async fn ready(&self) -> Result<Permit<'_, O>, StreamError> {
        let permit = self.sender.reserve().await.map_err(|_| closed())?;
        Ok(Permit { permit })
    }

    /// The same without waiting; `None` while a batch is under way.
    pub fn try_ready(&self) -> Result<Option<Permit<'_, O>>, StreamError> {
        match self.sender.try_reserve() {
            Ok(permit) => Ok(Some(Permit { permit })),
            Err(mpsc::error::TrySendError::Full(())) => Ok(None),
            Err(mpsc::error::TrySendError::Closed(())) => Err(closed()),
        }
    }
}

fn closed() -> StreamError {
    StreamError::Gone("the stream is closed".into())
}

impl<O: Carries> Permit<'_, O> {
    /// Sends.
    pub fn send(self, batch: O::Batch) {
        self.permit.send(O::from_batch(batch));
    }
}

impl<I: Carries> Inlet<I> {
    pub(super) fn new(messages: Streaming<I>, connection: Option<Arc<Connection>>) -> Inlet<I> {
        Inlet { messages, _connection: connection }
    }

    /// The next batch; `None` when the peer has closed the stream. Nothing more is read from the
    /// connection than its window until this is called again.
    pub async fn next(&mut self) -> Result<Option<I::Batch>, StreamError> {
        let Some(message) = self.messages.message().await? else { return Ok(None) };
        let batch = message.into_batch()?;
        batch.ok_or(StreamError::Malformed(Malformed("a second handshake"))).map(Some)
    }
}
