//! What extensions may ask of the whole server (XEP-0077, XEP-0133).

use std::sync::Arc;
use std::time::Duration;

use jackdaw_admin::StoreAccounts;
use jackdaw_ext::{AccountError, Administration, Pending, Timestamp};
use jackdaw_jid::BareJid;
use jackdaw_store::StoreError;
use jackdaw_stream::sasl::Password;
use tokio::runtime::Handle;

use crate::shutdown::Shutdown;

/// The node, for extensions.
pub(super) struct NodeAdministration {
    pub(super) accounts: Arc<StoreAccounts>,
    pub(super) shutdown: Shutdown,
    pub(super) started_at: Timestamp,
    pub(super) runtime: Handle,
}

type Outcome = Result<(), AccountError>;

impl NodeAdministration {
    /// Runs the job on the runtime, whoever polls: a worker polls once, and is no part of it.
    fn run<F>(&self, job: impl FnOnce(Arc<StoreAccounts>) -> F) -> Pending<Outcome>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let running = self.runtime.spawn(job(Arc::clone(&self.accounts)));
        Box::pin(async move {
            let lost = |error: tokio::task::JoinError| StoreError::Failed(error.to_string());
            running.await.map_err(lost)?
        })
    }
}

impl Administration for NodeAdministration {
    fn add_account(&self, account: BareJid, password: Password) -> Pending<Outcome> {
        self.run(|accounts| async move { accounts.create(&account, password).await })
    }

    fn set_password(&self, account: BareJid, password: Password) -> Pending<Outcome> {
        self.run(|accounts| async move { accounts.change_password(&account, password).await })
    }

    fn delete_account(&self, account: BareJid) -> Pending<Outcome> {
        self.run(|accounts| async move { accounts.remove(&account).await })
    }

    fn shut_down(&self, delay: Duration) {
        let shutdown = self.shutdown.clone();
        self.runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            tracing::info!("an administrator stops the server");
            shutdown.request();
        });
    }

    fn started_at(&self) -> Timestamp {
        self.started_at
    }
}
