//! What a node has to remember of forming a cluster, as its directory keeps it.

use super::Name;
use crate::node::ClusterId;

/// The version of what follows it.
const VERSION: u8 = 1;

/// What a node has said and must not take back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Notes {
    /// It follows this proposal.
    Follows {
        /// The cluster that is proposed.
        cluster: ClusterId,
        /// By whom.
        of: Name,
    },
    /// Nothing.
    #[default]
    Nothing,
    /// It proposes this cluster, and begins it or never will.
    Proposes {
        /// The cluster.
        cluster: ClusterId,
    },
}

impl Notes {
    /// For [`Directory::keep_notes`](crate::store::Directory::keep_notes).
    pub fn encode(&self) -> Vec<u8> {
        let (kind, cluster, name) = match self {
            Notes::Nothing => (0, None, ""),
            Notes::Proposes { cluster } => (1, Some(cluster), ""),
            Notes::Follows { cluster, of } => (2, Some(cluster), of.as_str()),
        };
        let mut bytes = vec![VERSION, kind];
        bytes.extend(cluster.into_iter().flat_map(|cluster| cluster.0));
        bytes.extend(name.as_bytes());
        bytes
    }

    /// From [`Directory::notes`](crate::store::Directory::notes); `None` if they do not read, and
    /// then the node must not go on.
    pub fn decode(bytes: &[u8]) -> Option<Notes> {
        let (&[version, kind], rest) = bytes.split_first_chunk()?;
        if version != VERSION {
            return None;
        }
        if kind == 0 {
            return rest.is_empty().then_some(Notes::Nothing);
        }
        let (cluster, name) = rest.split_first_chunk()?;
        let cluster = ClusterId(*cluster);
        match kind {
            1 => name.is_empty().then_some(Notes::Proposes { cluster }),
            2 => {
                let name = String::from_utf8(name.to_vec()).ok()?;
                Some(Notes::Follows { cluster, of: Name::try_from(name).ok()? })
            }
            _ => None,
        }
    }
}
