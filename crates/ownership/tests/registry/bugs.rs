//! Mistakes that somebody could make, made at the edges of the machines.

use jackdaw_ownership::registry::{Bind, Fence, Nonce, ToOwner, ToSocket};

use crate::node::Node;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An eviction leaves alone what is still being bound (interleaving 3).
    EvictionSparesWhatIsInFlight,
    /// The previous owner does not see the recovery (interleaving 8).
    FailedHandOffKeepsItsOwner,
    /// A socket node does not compare epochs.
    NoFenceAtTheSocket,
    /// The next owner asks nobody but itself.
    RecoveryWaitsForNobody,
    /// A repeated bind counts as a new one (interleaving 11).
    RepetitionIsNew,
}

impl Node {
    pub fn tamper_up(&mut self, frame: ToOwner) -> (ToOwner, Option<Fence>) {
        match (self.bug, frame) {
            (Some(Bug::RepetitionIsNew), ToOwner::Bind(bind)) => {
                self.nonces += 1;
                let nonce = Nonce((bind.nonce.0 << 20) + self.nonces);
                (ToOwner::Bind(Bind { nonce, ..bind }), None)
            }
            (_, frame) => (frame, None),
        }
    }

    pub fn tamper_down(&mut self, frame: ToSocket) -> (ToSocket, Option<Fence>) {
        match (self.bug, frame) {
            (Some(Bug::RepetitionIsNew), mut frame) => {
                if let ToSocket::Bound { nonce, .. }
                | ToSocket::Evict { nonce, .. }
                | ToSocket::Refused { nonce, .. } = &mut frame
                {
                    nonce.0 >>= 20;
                }
                (frame, None)
            }
            (
                Some(Bug::EvictionSparesWhatIsInFlight),
                ToSocket::Evict { tenure, generation, cause, .. },
            ) => {
                let nonce = Nonce(u64::MAX);
                (ToSocket::Evict { tenure, generation, nonce, cause }, None)
            }
            (Some(Bug::NoFenceAtTheSocket), frame) => (frame, Some(Fence::default())),
            (_, frame) => (frame, None),
        }
    }
}
