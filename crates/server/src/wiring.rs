//! Joins the crates below to a node.

use std::sync::Arc;

use jackdaw_admin::{AccountPolicy, AdminError, StoreAccounts};
use jackdaw_ext::Accounts;
use jackdaw_store::StoreError;

use crate::config::Config;
use crate::node::Node;
use crate::storage;

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
pub async fn accounts(config: &Config) -> Result<StoreAccounts, AdminError> {
    let stores =
        storage::open_offline(config).map_err(|error| AdminError::Failed(error.to_string()))?;
    let accounts = Accounts::new(stores);
    Ok(StoreAccounts::new(accounts, account_policy(config), Arc::new(|_| Box::pin(nothing()))))
}

/// Until there are extensions that store something.
async fn nothing() -> Result<(), StoreError> {
    Ok(())
}

/// What the configuration asks of new accounts.
fn account_policy(config: &Config) -> AccountPolicy {
    AccountPolicy {
        domains: config.domains.iter().map(|domain| domain.name.as_str().to_owned()).collect(),
        scram_iterations: config.auth.scram_iterations(),
    }
}
