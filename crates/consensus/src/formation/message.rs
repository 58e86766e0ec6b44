//! What nodes ask and answer before they are a cluster, and its form between them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{INITIAL_MAX, Name};
use crate::node::ClusterId;

/// The longest question: a list of the longest names.
const QUESTION_BYTES_MAX: usize = 4 << 10;

/// The longest answer.
const ANSWER_BYTES_MAX: usize = 128;

/// The version of all this; a node of another one gives no answer.
const VERSION: u8 = 1;

/// A question to another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Who asks.
    pub from: Name,
    /// What it proposes; without, it only wants to know whom it asks.
    pub proposal: Option<Proposal>,
}

/// A cluster that is to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its id.
    pub cluster: ClusterId,
    /// The list by which it is proposed.
    pub initial: BTreeSet<Name>,
}

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

impl Question {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// From bytes; `None` if they are no question.
    pub fn decode(bytes: &[u8]) -> Option<Question> {
        let question: Question = decode(bytes, QUESTION_BYTES_MAX)?;
        let fits = |proposal: &Proposal| proposal.initial.len() <= INITIAL_MAX;
        question.proposal.as_ref().is_none_or(fits).then_some(question)
    }
}

impl Answer {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// From bytes; `None` if they are no answer.
    pub fn decode(bytes: &[u8]) -> Option<Answer> {
        decode(bytes, ANSWER_BYTES_MAX)
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(&(VERSION, value)).expect("messages have a serialised form")
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], bytes_max: usize) -> Option<T> {
    if bytes.len() > bytes_max || bytes.first() != Some(&VERSION) {
        return None;
    }
    let (value, rest) = postcard::take_from_bytes::<(u8, T)>(bytes).ok()?;
    rest.is_empty().then_some(value.1)
}
