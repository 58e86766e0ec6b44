//! What only the whole server can do; the server implements it.

use std::time::Duration;

use jackdaw_jid::BareJid;
use jackdaw_stream::sasl::Password;

use crate::{AccountError, Pending, Timestamp};

/// Acts on behalf of clients that may do so: users for themselves (XEP-0077), administrators for
/// everybody (XEP-0133). Who may is checked by the caller.
///
/// Methods return at once; keys are derived from passwords on a bounded pool. Where its queue is
/// full the outcome is [`StoreError::Busy`](jackdaw_store::StoreError::Busy).
pub trait Administration: Send + Sync {
    /// Makes an account with this password.
    fn add_account(
        &self,
        account: BareJid,
        password: Password,
    ) -> Pending<Result<(), AccountError>>;

    /// Sets another password. Sessions that are connected stay.
    fn set_password(
        &self,
        account: BareJid,
        password: Password,
    ) -> Pending<Result<(), AccountError>>;

    /// Deletes an account: ends its sessions with `not-authorized`, cancels its subscriptions,
    /// removes what extensions stored for it, then its row.
    fn delete_account(&self, account: BareJid) -> Pending<Result<(), AccountError>>;

    /// Stops the server gracefully when the delay is over.
    fn shut_down(&self, delay: Duration);

    /// When the server was started.
    fn started_at(&self) -> Timestamp;
}
