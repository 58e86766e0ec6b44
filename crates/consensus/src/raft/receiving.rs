//! Answering what other nodes send.

use openraft::error::RaftError;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::message::{
    Answer, AppendAnswer, Head, Piece, PieceAnswer, ProposalAnswer, Refusal, VoteAnswer, body,
    encode, open,
};
use super::node::Node;
use super::types::{Raft, Snapshot};
use crate::log::ProposeError;
use crate::wire::{Kind, SNAPSHOT_BYTES_MAX};

/// Requests that are handled at one time, besides proposals. A cluster of five sends about two per
/// node; whatever is above is refused and comes again.
const HANDLING_MAX: usize = 16;

/// Proposals of other nodes that wait for their decision. They are bounded by their bytes too.
const PROPOSING_MAX: usize = 1_024;

/// What is received for openraft.
pub(super) struct Receiving {
    pub mine: Head,
    collecting: Mutex<Option<Collecting>>,
    handling: Semaphore,
    proposing: Semaphore,
}

/// A snapshot of which a part has come.
struct Collecting {
    snapshot_id: String,
    bytes: Vec<u8>,
}

impl Receiving {
    pub fn new(mine: Head) -> Receiving {
        Receiving {
            mine,
            collecting: Mutex::new(None),
            handling: Semaphore::new(HANDLING_MAX),
            proposing: Semaphore::new(PROPOSING_MAX),
        }
    }

    /// Adds a piece. The whole is returned with the last one, and the piece without its bytes.
    fn collect(&self, piece: &mut Piece) -> Result<Option<Vec<u8>>, PieceAnswer> {
        let bytes = std::mem::take(&mut piece.bytes);
        if piece.bytes_total > SNAPSHOT_BYTES_MAX as u64 {
            tracing::error!(bytes = piece.bytes_total, "a snapshot is too long to be taken");
            return Err(PieceAnswer::FromTheFront);
        }
        let mut slot = self.collecting.lock();
        if piece.offset == 0 {
            *slot = Some(Collecting { snapshot_id: piece.meta.snapshot_id.clone(), bytes });
        } else {
            let fits = |collecting: &&mut Collecting| {
                collecting.snapshot_id == piece.meta.snapshot_id
                    && collecting.bytes.len() as u64 == piece.offset
            };
            let collecting = slot.as_mut().filter(fits).ok_or(PieceAnswer::FromTheFront)?;
            collecting.bytes.extend_from_slice(&bytes);
        }
        let here = slot.as_ref().map_or(0, |collecting| collecting.bytes.len() as u64);
        if here > piece.bytes_total {
            *slot = None;
            return Err(PieceAnswer::FromTheFront);
        }
        let whole = here == piece.bytes_total;
        Ok(slot.take_if(|_| whole).map(|collecting| collecting.bytes))
    }
}

impl Node {
    /// Answers a request of another node. Never fails: what is wrong is part of the answer.
    pub async fn answer(&self, kind: Kind, request: &[u8]) -> Vec<u8> {
        let (head, rest) = match open(request) {
            Ok(opened) => opened,
            Err(refusal) => return refused(refusal),
        };
        if let Some(refusal) = head.refusal(self.receiving.mine) {
            return refused(refusal);
        }
        let room = match kind {
            Kind::Propose => &self.receiving.proposing,
            Kind::Append | Kind::Snapshot | Kind::Vote => &self.receiving.handling,
        };
        let Ok(_room) = room.try_acquire() else {
            return refused(Refusal::Busy);
        };
        match kind {
            Kind::Append => encode(&self.append(rest).await),
            Kind::Propose => encode(&self.propose_for(rest).await),
            Kind::Snapshot => encode(&self.piece(rest).await),
            Kind::Vote => encode(&self.vote(rest).await),
        }
    }

    async fn append(&self, rest: &[u8]) -> AppendAnswer {
        self.raft.append_entries(body(rest)?).await.map_err(stopped)
    }

    async fn vote(&self, rest: &[u8]) -> VoteAnswer {
        self.raft.vote(body(rest)?).await.map_err(stopped)
    }

    async fn piece(&self, rest: &[u8]) -> Answer<PieceAnswer> {
        let mut piece: Piece = body(rest)?;
        let data = match self.receiving.collect(&mut piece) {
            Ok(Some(data)) => data,
            Ok(None) => return Ok(PieceAnswer::Next),
            Err(answer) => return Ok(answer),
        };
        install(&self.raft, piece, data).await
    }

    async fn propose_for(&self, rest: &[u8]) -> Answer<ProposalAnswer> {
        let command: Vec<u8> = body(rest)?;
        Ok(match self.propose_here(command).await {
            Ok(decided) => {
                ProposalAnswer::Decided { index: decided.index, response: decided.response }
            }
            Err(ProposeError::Busy | ProposeError::TooLong) => ProposalAnswer::Busy,
            Err(ProposeError::NotLeader { .. }) => ProposalAnswer::NotLeader,
            Err(ProposeError::Unknown) => ProposalAnswer::Unknown,
            Err(ProposeError::Unreadable) => ProposalAnswer::Unreadable,
            Err(ProposeError::Stopped(_)) => return Err(Refusal::Stopped),
        })
    }
}

async fn install(raft: &Raft, piece: Piece, data: Vec<u8>) -> Answer<PieceAnswer> {
    let snapshot = Snapshot { meta: piece.meta, snapshot: Box::new(data) };
    let installed = raft.install_full_snapshot(piece.vote, snapshot).await;
    installed.map(|response| PieceAnswer::Installed(response.vote)).map_err(|_| Refusal::Stopped)
}

fn stopped(error: RaftError<u64>) -> Refusal {
    tracing::warn!(%error, "a request of another node is not answered");
    Refusal::Stopped
}

fn refused(refusal: Refusal) -> Vec<u8> {
    // Whatever the answer would have been: a refusal is encoded alike for all of them.
    encode(&Answer::<()>::Err(refusal))
}
