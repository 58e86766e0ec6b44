//! Our own trouble as a peer sees it: the one table from [`StoreError`], and from [`AccountError`],
//! to [`StanzaError`].

use jackdaw_stanza::StanzaError;
use jackdaw_store::StoreError;

use crate::AccountError;

/// What a peer is told about a failure of the store; the log has the rest.
pub fn stanza_error(error: &StoreError) -> StanzaError {
    match error {
        StoreError::Busy | StoreError::Full | StoreError::Unavailable => {
            StanzaError::resource_constraint()
        }
        StoreError::Conflict => StanzaError::conflict(),
        other => {
            tracing::error!(error = %other, "the store failed");
            StanzaError::internal_server_error()
        }
    }
}

/// What somebody who may change an account is told when it did not work.
pub fn account_error(error: &AccountError) -> StanzaError {
    match error {
        AccountError::Exists => StanzaError::conflict(),
        AccountError::Missing => StanzaError::item_not_found(),
        AccountError::Store(error) => stanza_error(error),
        AccountError::Damaged(error) => {
            tracing::error!(%error, "an account's credentials do not read");
            StanzaError::internal_server_error()
        }
    }
}
