//! What can go wrong between two nodes.

use std::io;

use crate::handshake::Refusal;
use crate::wire::Malformed;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// TCP or TLS failed; the text of a TLS error says which side's certificate it is about.
    #[error("{0}")]
    Connect(#[from] io::Error),
    /// The certificate of the other node cannot be read.
    #[error("the node showed no certificate with names")]
    NoNames,
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
    /// One of the two does not want the other.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The stream ended in the handshake.
    #[error("{0}")]
    Stream(#[from] StreamError),
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection is gone.
    #[error("the connection is gone: {0}")]
    Gone(String),
    /// The peer broke the protocol.
    #[error("{0}")]
    Malformed(#[from] Malformed),
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The other node does not answer this kind, or not yet.
    #[error("not answered: {0}")]
    Refused(String),
    /// Nobody knows whether it was heard.
    #[error("no answer: {0}")]
    Unknown(String),
}

impl From<tonic::Status> for StreamError {
    fn from(status: tonic::Status) -> StreamError {
        match status.code() {
            tonic::Code::InvalidArgument | tonic::Code::OutOfRange => {
                StreamError::Malformed(Malformed("a message is too long or no protobuf"))
            }
            _ => StreamError::Gone(status.message().to_owned()),
        }
    }
}
