//! Who has an account here, and with which credentials.

use bytes::Bytes;
use jackdaw_jid::BareJid;
use jackdaw_store::{Batch, Durability, StoreError, Stores, Table};
use jackdaw_stream::sasl::{Credentials, RowError};

/// One row per account: its SCRAM keys, never a password.
pub const ACCOUNTS: Table = Table::new("account");

/// The only item of an account in [`ACCOUNTS`].
const CREDENTIALS: &[u8] = b"credentials";

/// Why an account could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is one of that name.
    #[error("the account exists already")]
    Exists,
    /// There is none of that name.
    #[error("there is no such account")]
    Missing,
    /// Its row does not read.
    #[error("the account's credentials: {0}")]
    Damaged(#[from] RowError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The accounts of the served domains.
#[derive(Clone)]
pub struct Accounts {
    stores: Stores,
}

impl Accounts {
    /// The accounts in this store.
    pub fn new(stores: Stores) -> Accounts {
        Accounts { stores }
    }

    /// Whether there is such an account.
    pub async fn exists(&self, jid: &BareJid) -> Result<bool, StoreError> {
        Ok(self.stores.engine().get(ACCOUNTS, jid, CREDENTIALS).await?.is_some())
    }

    /// The account's credentials; none if there is no such account.
    pub async fn credentials(&self, jid: &BareJid) -> Result<Option<Credentials>, AccountError> {
        let row = self.stores.engine().get(ACCOUNTS, jid, CREDENTIALS).await?;
        Ok(row.map(|row| Credentials::decode(&row)).transpose()?)
    }

    /// Makes an account.
    pub async fn add(&self, jid: &BareJid, credentials: &Credentials) -> Result<(), AccountError> {
        let mut batch = Batch::new();
        batch.require_absent(ACCOUNTS, jid, CREDENTIALS);
        batch.put(ACCOUNTS, jid, CREDENTIALS, Bytes::from(credentials.encode()));
        match self.stores.engine().commit(batch, Durability::Durable).await {
            Err(StoreError::Conflict) => Err(AccountError::Exists),
            other => Ok(other?),
        }
    }

    /// Changes an account's credentials. The generation in them stays: it is the same account.
    pub async fn set_credentials(
        &self,
        jid: &BareJid,
        credentials: &Credentials,
    ) -> Result<(), AccountError> {
        if !self.exists(jid).await? {
            return Err(AccountError::Missing);
        }
        let mut batch = Batch::new();
        batch.put(ACCOUNTS, jid, CREDENTIALS, Bytes::from(credentials.encode()));
        Ok(self.stores.engine().commit(batch, Durability::Durable).await?)
    }

    /// Removes the account's row. What extensions stored for it is theirs to erase first.
    pub async fn remove(&self, jid: &BareJid) -> Result<(), AccountError> {
        if !self.exists(jid).await? {
            return Err(AccountError::Missing);
        }
        let mut batch = Batch::new();
        batch.clear(ACCOUNTS, jid);
        Ok(self.stores.engine().commit(batch, Durability::Durable).await?)
    }

    /// Up to `limit` accounts in order, after `after`.
    pub async fn list(
        &self,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Result<Vec<BareJid>, StoreError> {
        self.stores.engine().accounts(ACCOUNTS, after, limit).await
    }
}
