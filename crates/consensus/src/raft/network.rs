//! Sending openraft's requests.

use std::future::Future;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{RaftNetwork, RaftNetworkFactory};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::message::{Head, Piece, PieceAnswer, Refusal, answer, request};
use super::types::{Place, Snapshot, Types, Vote};
use crate::node::{Identity, Member};
use crate::wire::{Kind, PIECE_BYTES, Wire, WireError};

/// How long to leave a node alone that could not be reached. Shorter than an election, so that a
/// node which is back hears of the leader before it wants to become one.
const UNREACHABLE: Duration = Duration::from_millis(200);

/// How long a piece of a snapshot may take, the last one with putting it on disk.
const PIECE: Duration = Duration::from_secs(10);

/// Makes links to other nodes.
pub(super) struct Network {
    pub wire: Arc<dyn Wire>,
    pub me: Identity,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, place: &Place) -> Link {
        Link::new(Arc::clone(&self.wire), self.me, place.member(target))
    }
}

/// The way to one node.
pub(super) struct Link {
    wire: Arc<dyn Wire>,
    to: Member,
    head: Head,
}

/// Why there is no answer of the other node's openraft.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    #[error("the request is too long")]
    TooLong,
    #[error("the answer does not read")]
    Unreadable,
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl Link {
    pub fn new(wire: Arc<dyn Wire>, me: Identity, to: Member) -> Link {
        let head = Head::to(me, &to);
        Link { wire, to, head }
    }

    /// Sends a request and reads the answer.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        kind: Kind,
        body: &impl Serialize,
    ) -> Result<T, Unanswered> {
        let request = request(self.head, body).ok_or(Unanswered::TooLong)?;
        let bytes = self.wire.call(&self.to, kind, request).await?;
        Ok(answer(&bytes).ok_or(Unanswered::Unreadable)??)
    }

    /// Sends a snapshot piece after piece, from the front.
    async fn send_pieces(&self, vote: Vote, snapshot: Snapshot) -> Result<Vote, Unreachable> {
        let bytes_total = snapshot.snapshot.len() as u64;
        let mut offset = 0;
        loop {
            let rest = snapshot.snapshot.get(offset..).unwrap_or_default();
            let bytes = rest[..rest.len().min(PIECE_BYTES)].to_vec();
            let next = offset + bytes.len();
            let meta = snapshot.meta.clone();
            let piece = Piece { vote, meta, bytes_total, offset: offset as u64, bytes };
            let asked = tokio::time::timeout(PIECE, self.ask(Kind::Snapshot, &piece)).await;
            let answer = asked.map_err(|elapsed| Unreachable::new(&elapsed))?;
            match answer.map_err(|error| Unreachable::new(&error))? {
                PieceAnswer::Next if next > offset => offset = next,
                PieceAnswer::Installed(vote) => return Ok(vote),
                PieceAnswer::Next | PieceAnswer::FromTheFront => {
                    return Err(Unreachable::new(&Unanswered::Unreadable));
                }
            }
        }
    }
}

/// What openraft is told: it waits a little and tries again, whatever it was.
fn unreachable(error: Unanswered) -> RPCError<u64, Place, RaftError<u64>> {
    RPCError::Unreachable(Unreachable::new(&error))
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, Place, RaftError<u64>>> {
        self.ask(Kind::Append, &rpc).await.map_err(unreachable)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, Place, RaftError<u64>>> {
        self.ask(Kind::Vote, &rpc).await.map_err(unreachable)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<Types, Fatal<u64>>> {
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_pieces(vote, snapshot) => Ok(SnapshotResponse::new(sent?)),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(iter::repeat(UNREACHABLE))
    }
}
