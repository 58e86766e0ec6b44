//! What nodes ask and answer before they are a cluster, and its form between them.

use std::collections::BTreeSet;

use super::{INITIAL_MAX, Name};
use crate::node::ClusterId;

/// The longest question: a list of the longest names.
const QUESTION_BYTES_MAX: usize = 4 << 10;

/// The version of all this; a node of another one gives no answer.
const VERSION: u8 = 1;

/// A question to another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub from: Name,
    /// What it proposes; without, it only wants to know whom it asks.
    pub proposal: Option<Proposal>,
}

/// A cluster that is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its id.
    pub cluster: ClusterId,
    /// The list by which it is proposed.
    pub initial: BTreeSet<Name>,
}

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its directory is empty, and it does not follow what was proposed, if anything was.
    Empty {
        /// Why not.
        why: Refusal,
    },
    /// Its directory is empty, and it follows this proposal. That is on its disk.
    Follows {
        /// The proposal, which need not be of the node that asked.
        cluster: ClusterId,
    },
    /// It is a member, and can be asked to let others join.
    Member {
        /// Of which cluster.
        cluster: ClusterId,
        /// What it proposed before, and will never begin.
        given_up: Option<ClusterId>,
    },
}

/// Why a node follows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It was not asked to.
    NotAsked,
    /// It is not done with writing it down. Ask again.
    NotYet,
    /// It has another list, or was asked by a node that is not the lowest of it.
    OtherList,
    /// It is told to join a cluster.
    Joins,
}

/// A question between nodes: the version, who asks, and what it proposes by which list.
type Sent<T> = (u8, T, Option<([u8; 16], Vec<T>)>);

impl Question {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let list = |names: &'_ BTreeSet<Name>| names.iter().map(Name::to_string).collect();
        let proposal = self.proposal.as_ref().map(|one| (one.cluster.0, list(&one.initial)));
        let sent: Sent<String> = (VERSION, self.from.to_string(), proposal);
        postcard::to_allocvec(&sent).expect("text and numbers have a serialised form")
    }

    /// From bytes; `None` if they are no question.
    pub fn decode(bytes: &[u8]) -> Option<Question> {
        if bytes.len() > QUESTION_BYTES_MAX || bytes.first() != Some(&VERSION) {
            return None;
        }
        let ((_, from, proposal), rest) = postcard::take_from_bytes::<Sent<&str>>(bytes).ok()?;
        let proposal = match proposal {
            Some((_, names)) if names.len() > INITIAL_MAX => return None,
            Some((cluster, names)) => {
                let initial = names.into_iter().map(name).collect::<Option<_>>()?;
                Some(Proposal { cluster: ClusterId(cluster), initial })
            }
            None => None,
        };
        rest.is_empty().then_some(Question { from: name(from)?, proposal })
    }
}

fn name(text: &str) -> Option<Name> {
    Name::try_from(text.to_owned()).ok()
}

impl Answer {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, first, second): (u8, &[u8], &[u8]) = match self {
            Answer::Empty { why: Refusal::NotAsked } => (0, &[], &[]),
            Answer::Empty { why: Refusal::NotYet } => (1, &[], &[]),
            Answer::Empty { why: Refusal::OtherList } => (2, &[], &[]),
            Answer::Empty { why: Refusal::Joins } => (3, &[], &[]),
            Answer::Follows { cluster } => (4, &cluster.0, &[]),
            Answer::Member { cluster, given_up: None } => (5, &cluster.0, &[]),
            Answer::Member { cluster, given_up: Some(given_up) } => (6, &cluster.0, &given_up.0),
        };
        [&[VERSION, kind], first, second].concat()
    }

    /// From bytes; `None` if they are no answer.
    pub fn decode(bytes: &[u8]) -> Option<Answer> {
        let (&[version, kind], rest) = bytes.split_first_chunk()?;
        if version != VERSION {
            return None;
        }
        let cluster = |bytes: &[u8]| bytes.try_into().ok().map(ClusterId);
        let empty = |why| rest.is_empty().then_some(Answer::Empty { why });
        match kind {
            0 => empty(Refusal::NotAsked),
            1 => empty(Refusal::NotYet),
            2 => empty(Refusal::OtherList),
            3 => empty(Refusal::Joins),
            4 => Some(Answer::Follows { cluster: cluster(rest)? }),
            5 => Some(Answer::Member { cluster: cluster(rest)?, given_up: None }),
            6 => {
                let (first, second) = rest.split_at_checked(16)?;
                Some(Answer::Member { cluster: cluster(first)?, given_up: Some(cluster(second)?) })
            }
            _ => None,
        }
    }
}
