//! How requests get to other nodes. Somebody else moves the bytes.

use std::future::Future;
use std::pin::Pin;

use crate::node::Member;

/// The longest request and the longest answer: what goes between nodes in one call.
pub const MESSAGE_BYTES_MAX: usize = (1 << 20) - (4 << 10);

/// The longest command. A command that moves every shard is a third of it.
pub const COMMAND_BYTES_MAX: usize = 256 << 10;

/// The longest state of the machine as a snapshot. 4,096 shards and their owners are a tenth of it.
/// A node that is sent more refuses it, and stays behind.
pub const SNAPSHOT_BYTES_MAX: usize = 16 << 20;

/// Entries that go in one request, as long as there is more than one.
pub(crate) const APPEND_BYTES_MAX: usize = 512 << 10;

/// The piece of a snapshot that goes in one request.
pub(crate) const PIECE_BYTES: usize = 512 << 10;

const _: () = assert!(APPEND_BYTES_MAX + COMMAND_BYTES_MAX < MESSAGE_BYTES_MAX);
const _: () = assert!(COMMAND_BYTES_MAX <= APPEND_BYTES_MAX);

/// What a request is about, so that whoever moves it can tell what is urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Entries of the leader, or its heartbeat.
    Append,
    /// A command for the leader to propose.
    Propose,
    /// A piece of a snapshot.
    Snapshot,
    /// The question for a vote.
    Vote,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The request was not handled, and will not be.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// The request may have been handled.
    #[error("no answer: {0}")]
    Unknown(String),
}

/// An answer under way.
pub type Answering = Pin<Box<dyn Future<Output = Result<Vec<u8>, WireError>> + Send>>;

/// Moves requests to other nodes.
///
/// Called from any task, with requests of at most [`MESSAGE_BYTES_MAX`]. The other end gives them
/// to [`Log::answer`](crate::Log::answer) and brings back what that says. The future is dropped
/// when its time is over. Requests may overtake each other, and come twice or not at all; who
/// answers need not be who was meant, since requests say for whom they are.
pub trait Wire: Send + Sync + 'static {
    /// Sends a request to a member, by its address, and waits for the answer.
    fn call(&self, to: &Member, kind: Kind, request: Vec<u8>) -> Answering;
}
