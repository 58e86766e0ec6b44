//! What goes between nodes: for whom it is, and one of openraft's requests.
//!
//! The first byte is the version of all this; a node of another one refuses. The types are
//! openraft's and change with it, which is why its version is pinned.

use openraft::raft::{AppendEntriesResponse, VoteResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::types::{SnapshotMeta, Vote};
use crate::node::{Identity, Member};
use crate::wire::MESSAGE_BYTES_MAX;

/// The version of what is written here.
const VERSION: u8 = 1;

/// For whom a request is. Who is somebody else refuses it: the address may have a new tenant, or
/// the old one may have lost its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    version: u8,
    cluster: [u8; 16],
    to: u64,
    directory: u128,
}

impl Head {
    /// For a member of our cluster.
    pub fn to(me: Identity, member: &Member) -> Head {
        Head {
            version: VERSION,
            cluster: me.cluster.0,
            to: member.id.0,
            directory: member.directory.0,
        }
    }

    /// Nobody but the member of this head takes the request.
    pub fn refusal(&self, mine: Head) -> Option<Refusal> {
        if self.version != mine.version {
            return Some(Refusal::Version);
        }
        (*self != mine).then_some(Refusal::SomebodyElse)
    }
}

/// A piece of a snapshot, from the front.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Piece {
    pub vote: Vote,
    pub meta: SnapshotMeta,
    pub bytes_total: u64,
    pub offset: u64,
    pub bytes: Vec<u8>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PieceAnswer {
    /// It is wanted from the front: another one was under way, or it is too long.
    FromTheFront,
    /// All pieces are there, and this is what the node said to it.
    Installed(Vote),
    /// The next one is wanted.
    Next,
}

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ProposalAnswer {
    /// The leader has no room for it now, and did not propose it.
    Busy,
    /// It is decided and applied.
    Decided { index: u64, response: Vec<u8> },
    /// It was not proposed: this node does not lead.
    NotLeader,
    /// It may be decided or not.
    Unknown,
    /// The leader cannot read it, and did not propose it.
    Unreadable,
}

/// Why a request was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the node has too much to do")]
    Busy,
    #[error("the request does not read")]
    Malformed,
    #[error("it is for another node, or for one that lost its disk")]
    SomebodyElse,
    #[error("the node has stopped")]
    Stopped,
    #[error("the node speaks another version")]
    Version,
}

/// An answer, or why there is none.
pub(super) type Answer<T> = Result<T, Refusal>;

pub(super) type AppendAnswer = Answer<AppendEntriesResponse<u64>>;
pub(super) type VoteAnswer = Answer<VoteResponse<u64>>;

/// A request as bytes; `None` if it is longer than one may be.
pub(super) fn request(head: Head, body: &impl Serialize) -> Option<Vec<u8>> {
    let bytes = encode(&(head, body));
    (bytes.len() <= MESSAGE_BYTES_MAX).then_some(bytes)
}

/// For whom a request is, and the rest of it.
pub(super) fn open(request: &[u8]) -> Result<(Head, &[u8]), Refusal> {
    if request.len() > MESSAGE_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    if request.first() != Some(&VERSION) {
        return Err(Refusal::Version);
    }
    postcard::take_from_bytes(request).map_err(|_| Refusal::Malformed)
}

/// The rest of it.
pub(super) fn body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    postcard::from_bytes(body).map_err(|_| Refusal::Malformed)
}

/// Anything of this module as bytes.
pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("messages have a serialised form")
}

/// An answer from bytes; `None` if it does not read.
pub(super) fn answer<T: DeserializeOwned>(bytes: &[u8]) -> Option<Answer<T>> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    postcard::from_bytes(bytes).ok()
}
