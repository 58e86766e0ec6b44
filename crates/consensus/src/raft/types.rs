//! The types that openraft is used with. They are on disk and between nodes, encoded with postcard.

use openraft::TokioRuntime;
use serde::{Deserialize, Serialize};

use crate::node::{DirectoryId, Member, NodeId};
use crate::store::StoreError;

openraft::declare_raft_types!(
    /// openraft for a log of opaque commands.
    pub(super) Types:
        D = Command,
        R = Response,
        NodeId = u64,
        Node = Place,
        Entry = openraft::Entry<Types>,
        SnapshotData = Vec<u8>,
        AsyncRuntime = TokioRuntime,
        Responder = openraft::impls::OneshotResponder<Types>,
);

pub(super) type Entry = openraft::Entry<Types>;
pub(super) type LogId = openraft::LogId<u64>;
pub(super) type Raft = openraft::Raft<Types>;
pub(super) type Snapshot = openraft::Snapshot<Types>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, Place>;
pub(super) type StorageError = openraft::StorageError<u64>;
pub(super) type StoredMembership = openraft::StoredMembership<u64, Place>;
pub(super) type Vote = openraft::Vote<u64>;

/// A command of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Command(pub Vec<u8>);

/// What the machine answered; of entries that are no command, nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Response(pub Vec<u8>);

/// What everybody knows of a member besides its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub address: String,
    pub directory: u128,
}

impl Place {
    pub fn of(member: &Member) -> Place {
        Place { address: member.address.clone(), directory: member.directory.0 }
    }

    pub fn member(&self, id: u64) -> Member {
        Member {
            address: self.address.clone(),
            directory: DirectoryId(self.directory),
            id: NodeId(id),
        }
    }
}

/// What of a store openraft was at when it failed.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    ReadLog,
    ReadSnapshot,
    ReadVote,
    WriteLog,
    WriteSnapshot,
    WriteVote,
}

/// Our trouble as openraft's: it stops for good after any of it.
pub(super) fn storage_error(at: At, error: &StoreError) -> StorageError {
    use openraft::{AnyError, ErrorSubject, ErrorVerb, StorageIOError};

    let (subject, verb) = match at {
        At::ReadLog => (ErrorSubject::Logs, ErrorVerb::Read),
        At::ReadSnapshot => (ErrorSubject::Snapshot(None), ErrorVerb::Read),
        At::ReadVote => (ErrorSubject::Vote, ErrorVerb::Read),
        At::WriteLog => (ErrorSubject::Logs, ErrorVerb::Write),
        At::WriteSnapshot => (ErrorSubject::Snapshot(None), ErrorVerb::Write),
        At::WriteVote => (ErrorSubject::Vote, ErrorVerb::Write),
    };
    StorageIOError::new(subject, verb, AnyError::new(error)).into()
}
