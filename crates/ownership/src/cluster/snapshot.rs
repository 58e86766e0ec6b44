//! The whole state as bytes, for a node that joins late or whose log was cut.

use crate::ids::{Incarnation, LogIndex, NodeId};

use super::Cluster;
use super::codec::{DecodeError, Reader, Wire, decode, encode, wire_enum, wire_struct};
use super::node::{Backup, NODES_MAX, Node, NodeState, Nodes};
use super::shards::{Assignment, Shards};

/// The first byte of every snapshot.
const FORMAT: u8 = 1;

impl Cluster {
    /// The state. Copies that have applied the same entries give the same bytes.
    pub fn to_snapshot(&self) -> Vec<u8> {
        encode(FORMAT, self)
    }

    /// The state of these bytes. They are refused if no log can lead to them.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Cluster, DecodeError> {
        let cluster: Cluster = decode(FORMAT, bytes)?;
        if cluster.is_possible() { Ok(cluster) } else { Err(DecodeError::Contradiction) }
    }

    fn is_possible(&self) -> bool {
        let Some(config) = &self.config else {
            return self.nodes.0.is_empty() && self.shards.0.is_empty();
        };
        config.is_sound()
            && self.shards.0.len() == usize::from(config.shards)
            && self.nodes.0.len() <= NODES_MAX
            && self.nodes.0.iter().all(|(id, node)| self.was_joined(*id, node.incarnation))
            && self.shards.0.iter().all(|assignment| self.was_assigned(assignment))
    }

    /// Ids and lives begin at an entry, and no life before its node.
    fn was_joined(&self, id: NodeId, incarnation: Incarnation) -> bool {
        incarnation > Incarnation::NOBODY
            && id.0 <= incarnation.0
            && LogIndex(incarnation.0) <= self.applied
    }

    fn was_assigned(&self, assignment: &Assignment) -> bool {
        *assignment == Assignment::NEVER
            || (assignment.epoch > Assignment::NEVER.epoch
                && assignment.epoch <= assignment.epoch_max()
                && LogIndex(assignment.epoch_max().0) <= self.applied)
    }
}

wire_struct!(Cluster { applied, config, nodes, shards });
wire_struct!(Shards { 0 });
wire_struct!(Backup { at, synced });
wire_struct!(Node { incarnation, name, address, zone, residence, supports, state, backup });
wire_enum!(NodeState {
    0 = Up {},
    1 = Draining {},
    2 = Ended {},
});

impl Wire for Nodes {
    fn put(&self, to: &mut Vec<u8>) {
        (self.0.len() as u64).put(to);
        for (id, node) in &self.0 {
            id.put(to);
            node.put(to);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Nodes, DecodeError> {
        let nodes: Vec<(NodeId, Node)> = Wire::take(from)?;
        if !nodes.is_sorted_by(|(before, _), (after, _)| before < after) {
            return Err(DecodeError::Value);
        }
        Ok(Nodes(nodes.into_iter().collect()))
    }
}
