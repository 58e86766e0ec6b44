//! What can be done to accounts, by whatever means.

use std::future::Future;

use jackdaw_jid::BareJid;
use jackdaw_stream::sasl::Secret;
use serde::{Deserialize, Serialize};

/// Accounts in one answer of [`AccountAdmin::list`] at most.
pub const PAGE_MAX: usize = 1_000;

/// The accounts of a node, as its administrator sees them.
///
/// Implemented by the store of a node and by the [`Client`](crate::Client) of a running one. A
/// future that is dropped before its end may have done its work or not.
pub trait AccountAdmin: Send + Sync + 'static {
    /// Makes an account. Takes as long as deriving its keys takes.
    fn add(
        &self,
        account: &BareJid,
        password: &Secret,
    ) -> impl Future<Output = Result<(), AdminError>> + Send;

    /// Sets another password. Sessions that are connected stay.
    fn set_password(
        &self,
        account: &BareJid,
        password: &Secret,
    ) -> impl Future<Output = Result<(), AdminError>> + Send;

    /// Deletes an account and all it has stored, and ends its sessions.
    fn delete(&self, account: &BareJid) -> impl Future<Output = Result<(), AdminError>> + Send;

    /// Up to `limit` accounts, at most [`PAGE_MAX`], in order and behind `after`. An empty page is
    /// the end.
    fn list(
        &self,
        after: Option<&BareJid>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<BareJid>, AdminError>> + Send;
}

/// Why an account could not be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", content = "detail", rename_all = "snake_case")]
pub enum AdminError {
    /// There is one of that name.
    #[error("the account exists already; `jackdaw user passwd` sets its password")]
    Exists,
    /// There is none of that name.
    #[error("there is no such account; `jackdaw user list` shows those there are")]
    Missing,
    /// The domain is not one of this server's.
    #[error("this server does not serve {0}; add it to [[domains]]")]
    NotServed(String),
    /// Clients could not send the password.
    #[error("{0}; choose another")]
    Password(String),
    /// The request made no sense to the server; client and server are of different versions.
    #[error("the server did not understand: {0}; use the `jackdaw` that the server runs")]
    Request(String),
    /// It is not the caller's fault.
    #[error("{0}")]
    Failed(String),
}
