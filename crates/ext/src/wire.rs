//! Our own trouble as a peer sees it: the one table from [`StoreError`] to [`StanzaError`].

use jackdaw_stanza::StanzaError;
use jackdaw_store::StoreError;

/// What a peer is told about a failure of the store; the log has the rest.
pub fn stanza_error(error: &StoreError) -> StanzaError {
    match error {
        StoreError::Busy | StoreError::Full => StanzaError::resource_constraint(),
        StoreError::Conflict => StanzaError::conflict(),
        other => {
            tracing::error!(error = %other, "the store failed");
            StanzaError::internal_server_error()
        }
    }
}
