//! Rounds to the voters, each for all who wait for one.
//!
//! openraft makes a client per voter and round. Leases are renewed every half second by every node;
//! one by one that would be a round each.

use std::time::Duration;

use openraft::error::{CheckIsLeaderError, RaftError};
use tokio::sync::{mpsc, oneshot};

use super::types::Raft;
use crate::log::ConfirmError;
use crate::node::NodeId;

/// Who may wait for the next round.
const WAITING_MAX: usize = 4_096;

type Outcome = Result<u64, ConfirmError>;

/// Where to ask for a round.
pub(super) struct Confirming {
    waiting: mpsc::Sender<oneshot::Sender<Outcome>>,
}

impl Confirming {
    /// Makes rounds until this is dropped, or openraft has stopped and somebody asks.
    pub fn start(raft: Raft, time_max: Duration) -> Confirming {
        let (waiting, mut asked) = mpsc::channel::<oneshot::Sender<Outcome>>(WAITING_MAX);
        tokio::spawn(async move {
            let mut all = Vec::new();
            while asked.recv_many(&mut all, WAITING_MAX).await > 0 {
                // Who asks from here on waits for the round after this one.
                let round = tokio::time::timeout(time_max, round(&raft)).await;
                let outcome = round.unwrap_or(Err(ConfirmError::NoQuorum));
                for one in all.drain(..) {
                    // Who does not wait any more has no use for it.
                    let _ = one.send(outcome.clone());
                }
            }
        });
        Confirming { waiting }
    }

    /// The outcome of a round that begins after this call.
    pub async fn confirm(&self) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        self.waiting.try_send(sender).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ConfirmError::Busy,
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        outcome.await.unwrap_or_else(|_| Err(gone()))
    }
}

async fn round(raft: &Raft) -> Outcome {
    match raft.ensure_linearizable().await {
        // A leader has at least the entry with which its term began.
        Ok(read) => Ok(read.map_or(0, |id| id.index)),
        Err(RaftError::Fatal(fatal)) => Err(ConfirmError::Stopped(fatal.to_string())),
        Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward))) => {
            Err(ConfirmError::NotLeader { leader: forward.leader_id.map(NodeId) })
        }
        Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => {
            Err(ConfirmError::NoQuorum)
        }
    }
}

fn gone() -> ConfirmError {
    ConfirmError::Stopped("it was stopped".into())
}
