//! What openraft says of itself, in our words.

use openraft::{RaftMetrics, ServerState};
use tokio::sync::watch;

use super::types::Place;
use crate::log::{Role, Status};
use crate::node::NodeId;

type Metrics = RaftMetrics<u64, Place>;

/// Follows openraft's metrics for as long as it runs. They change with every heartbeat; what is
/// returned changes only when something happened.
pub(super) fn follow(id: NodeId, mut metrics: watch::Receiver<Metrics>) -> watch::Receiver<Status> {
    let (sender, receiver) = watch::channel(status(id, &metrics.borrow_and_update()));
    tokio::spawn(async move {
        while metrics.changed().await.is_ok() {
            let now = status(id, &metrics.borrow_and_update());
            sender.send_if_modified(|last| {
                let changed = *last != now;
                *last = now;
                changed
            });
        }
        sender.send_modify(|last| {
            last.role = Role::Stopped;
            last.leader = None;
            last.failure.get_or_insert_with(|| "it was stopped".into());
        });
    });
    receiver
}

fn status(id: NodeId, metrics: &Metrics) -> Status {
    let membership = metrics.membership_config.membership();
    let replication = metrics.replication.iter().flatten().filter(|(other, _)| **other != id.0);
    Status {
        id,
        role: match metrics.state {
            ServerState::Learner => Role::Learner,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Leader => Role::Leader,
            ServerState::Shutdown => Role::Stopped,
        },
        term: metrics.current_term,
        leader: metrics.current_leader.map(NodeId),
        members: membership.nodes().map(|(id, place)| place.member(*id)).collect(),
        voters: membership.voter_ids().map(NodeId).collect(),
        joint: membership.get_joint_config().len() > 1,
        last: metrics.last_log_index,
        applied: metrics.last_applied.map(|id| id.index),
        snapshot: metrics.snapshot.map(|id| id.index),
        progress: replication.map(|(id, at)| (NodeId(*id), at.map(|at| at.index))).collect(),
        failure: metrics.running_state.as_ref().err().map(ToString::to_string),
    }
}
