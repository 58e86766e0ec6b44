//! What every handler may use.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jackdaw_jid::BareJid;
use jackdaw_session::{Account, Sessions, Slots};
use jackdaw_store::{StoreError, Stores};

use crate::registry::AccountLoader;
use crate::{Accounts, Administration, Away, Disco, Hosts, Locks, Outbox, Pending, Timestamp};

/// The wall clock, for stamps. A trait, so that simulation decides the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Unpredictable bytes, from the operating system's generator outside of simulation.
pub trait Random: Send + Sync {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// Runs futures that were not ready at once.
pub trait Spawn: Send + Sync {
    /// Runs the future to its end on the control plane's runtime.
    fn spawn(&self, future: Pending<()>);

    /// Runs the future when the delay is over.
    fn after(&self, delay: Duration, future: Pending<()>);
}

/// The services of one node. Built once at start; handlers hold it by reference count.
pub struct Services {
    /// The session table.
    pub sessions: Sessions,
    /// The store, by shape.
    pub stores: Stores,
    /// Served domains.
    pub hosts: Hosts,
    /// Who has an account, and with which credentials.
    pub accounts: Accounts,
    /// Accounts without a session that were loaded a moment ago. It watches `stores`.
    pub away: Option<Arc<Away>>,
    /// One account changes at a time.
    pub locks: Locks,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// Runs what is not ready at once.
    pub spawn: Arc<dyn Spawn>,
    /// The way to the streams. Set once the edge stands.
    pub outbox: OnceLock<Arc<dyn Outbox>>,
    /// What only the whole server can do. Set once the server stands.
    pub administration: OnceLock<Arc<dyn Administration>>,
    /// What discovery shows of a host. Set once the registry is complete.
    pub host_disco: OnceLock<Disco>,
    /// What discovery shows of an account.
    pub account_disco: OnceLock<Disco>,
    /// What is loaded with an account. Set once the registry is complete.
    pub loaders: OnceLock<Vec<AccountLoader>>,
}

impl Services {
    /// The account's state: of its sessions where it has some, else as the store has it. None if
    /// there is no such account.
    pub async fn account(
        self: &Arc<Services>,
        jid: &BareJid,
    ) -> Result<Option<Arc<Account>>, StoreError> {
        if let Some(account) = self.sessions.account(jid.as_str()) {
            return Ok(Some(account));
        }
        let Some(away) = &self.away else {
            return Ok(self.load(jid).await?.map(|(account, _)| account));
        };
        let moment = match away.get(jid) {
            Ok(account) => return Ok(Some(account)),
            Err(moment) => moment,
        };
        let Some((account, bytes)) = self.load(jid).await? else { return Ok(None) };
        away.keep(moment, &account, bytes);
        Ok(Some(account))
    }

    /// Reads the account's state, and says how many bytes of memory that takes.
    async fn load(
        self: &Arc<Services>,
        jid: &BareJid,
    ) -> Result<Option<(Arc<Account>, usize)>, StoreError> {
        if !self.accounts.exists(jid).await? {
            return Ok(None);
        }
        let (mut slots, mut bytes) = (Slots::default(), 0);
        for load in self.loaders.get().map(Vec::as_slice).unwrap_or_default() {
            bytes += load(Arc::clone(self), jid.clone(), &mut slots).await?;
        }
        Ok(Some((Arc::new(Account::new(jid.clone(), slots)), bytes)))
    }

    /// A random identifier of 128 bits in hexadecimal.
    pub fn random_id(&self) -> String {
        let mut bytes = [0u8; 16];
        self.random.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
