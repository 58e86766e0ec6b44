//! Joins the crates below to a node.

use jackdaw_admin::{AccountAdmin, AdminError};
use jackdaw_jid::BareJid;
use jackdaw_stream::sasl::Secret;

use crate::config::Config;
use crate::node::Node;

/// Why a node did not start or had to end.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// There is nothing to wire yet.
    #[error("the edge, the router and the store are not wired yet")]
    NotWired,
}

/// Runs a node until it has stopped.
///
/// Builds everything from `node.settings`, calls `node.admin.serve` and `node.opening.announce` once clients
/// can connect, and from then on follows `node.settings` and `node.shutdown`.
pub async fn run(node: Node) -> Result<(), WiringError> {
    drop(node);
    Err(WiringError::NotWired)
}

/// The accounts in the store of a server that does not run.
pub async fn accounts(_config: &Config) -> Result<impl AccountAdmin + use<>, AdminError> {
    Err::<NoAccounts, _>(AdminError::Failed(WiringError::NotWired.to_string()))
}

/// Until there is a store.
enum NoAccounts {}

impl AccountAdmin for NoAccounts {
    async fn add(&self, _: &BareJid, _: &Secret) -> Result<(), AdminError> {
        match *self {}
    }
    async fn set_password(&self, _: &BareJid, _: &Secret) -> Result<(), AdminError> {
        match *self {}
    }
    async fn delete(&self, _: &BareJid) -> Result<(), AdminError> {
        match *self {}
    }
    async fn list(&self, _: Option<&BareJid>, _: usize) -> Result<Vec<BareJid>, AdminError> {
        match *self {}
    }
}
