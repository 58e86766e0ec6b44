//! The streams between nodes: gRPC over HTTP/2 over mutual TLS.
//!
//! [`Dialer`] makes connections and [`Listener`] takes them; both give [`Stream`]s on which the
//! handshake is over. Every stream has its own connection, so that none waits behind another; calls
//! use the connection of the control stream. A stream is bounded everywhere: who does not read
//! makes the other end's [`Outlet`] wait, and what waits there goes in one batch.

mod backoff;
mod credentials;
mod dial;
mod error;
mod listen;
mod names;
mod stream;

pub use backoff::Backoff;
pub use credentials::{CredentialFiles, Credentials, CredentialsError};
pub use dial::{Caller, Dialer, Redial, Target};
pub use error::{CallError, DialError, StreamError};
pub use listen::{Accepted, Answer, Answers, CallKind, Listener};
pub use stream::{Inlet, Outlet, Permit, Stream};

use std::time::Duration;

use crate::frame::{Control, Deliveries, Sends};
use crate::wire::v1;

/// At the socket node: sends go out, deliveries come in.
pub type SocketLink = Stream<v1::Upward, v1::Downward>;

/// At the owner: the other way round.
pub type OwnerLink = Stream<v1::Downward, v1::Upward>;

/// The control stream, at either end.
pub type ControlLink = Stream<v1::Control, v1::Control>;

/// A message of a stream, and what it carries when the handshake is over.
pub trait Carries: Sized + Send + 'static {
    /// What the machines call it.
    type Batch: Send + 'static;
    /// For the wire.
    fn from_batch(batch: Self::Batch) -> Self;
    /// From the wire; `None` for what belongs to a handshake.
    fn into_batch(self) -> Result<Option<Self::Batch>, crate::wire::Malformed>;
}

macro_rules! carries {
    ($message:ident, $ours:ident, $batch:ty) => {
        impl Carries for v1::$message {
            type Batch = $batch;

            fn from_batch(batch: $batch) -> Self {
                crate::wire::$ours::Batch(batch).into()
            }

            fn into_batch(self) -> Result<Option<$batch>, crate::wire::Malformed> {
                match crate::wire::$ours::try_from(self)? {
                    crate::wire::$ours::Batch(batch) => Ok(Some(batch)),
                    _ => Ok(None),
                }
            }
        }
    };
}

carries!(Upward, Upward, Vec<Sends>);
carries!(Downward, Downward, Vec<Deliveries>);
carries!(Control, OnControl, Vec<Control>);

/// TCP, TLS and hello together. A node that takes longer is as good as away.
const DIAL: Duration = Duration::from_secs(5);

/// How long whoever dialled may take for each of TLS and hello.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How often an idle connection is probed, and how long the answer may take: together below the two
/// seconds after which a link counts as broken (`Renew.unreachable`).
const PING_EVERY: Duration = Duration::from_millis(700);
const PING_TIMEOUT: Duration = Duration::from_millis(1_200);

/// HTTP/2 windows: a batch with the longest usual stanza is never cut into round trips, and a
/// reader that has stopped holds up no more than this.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Batches that wait for the connection. One: what comes while it waits goes with the next.
const OUTBOX_BATCHES: usize = 1;

/// About the size of a batch, for `poll_transmit`. Larger ones save nothing and delay what is
/// urgent.
pub const BATCH_BYTES: usize = 64 * 1024;
