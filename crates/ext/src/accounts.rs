//! Who has an account here, and with which credentials.

use bytes::Bytes;
use jackdaw_jid::BareJid;
use jackdaw_store::{Batch, Durability, StoreError, Stores, Table};
use jackdaw_stream::sasl::{Credentials, RowError};

/// One row per account: its SCRAM keys, never a password.
pub const ACCOUNTS: Table = Table::new("account");

/// FAST tokens (XEP-0484): one row per account and client. They stand for the password, and end
/// with it: who changes a password that got out wants nobody to stay logged in by it.
pub const TOKENS: Table = Table::new("fast");

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

    /// Changes an account's credentials, and ends its tokens. The generation in them stays: it is
    /// the same account.
    pub async fn set_credentials(
        &self,
        jid: &BareJid,
        credentials: &Credentials,
    ) -> Result<(), AccountError> {
        if !self.exists(jid).await? {
            return Err(AccountError::Missing);
        }
        let mut batch = Batch::new();
        batch.clear(TOKENS, jid);
        batch.put(ACCOUNTS, jid, CREDENTIALS, Bytes::from(credentials.encode()));
        Ok(self.stores.engine().commit(batch, Durability::Durable).await?)
    }

    /// Removes the account's row and its tokens. What extensions stored for it is theirs to erase
    /// first.
    pub async fn remove(&self, jid: &BareJid) -> Result<(), AccountError> {
        if !self.exists(jid).await? {
            return Err(AccountError::Missing);
        }
        let mut batch = Batch::new();
        batch.clear(TOKENS, jid);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use jackdaw_store::MemoryEngine;
    use jackdaw_store::conformance::wait;
    use jackdaw_stream::sasl::Generation;

    fn accounts() -> (Accounts, BareJid, Credentials) {
        let stores = Stores::new(Arc::new(MemoryEngine::new()), Durability::Durable);
        let juliet = BareJid::parse("juliet@capulet.example").expect("a JID");
        (Accounts::new(stores), juliet, Credentials::without_password(Generation(7)))
    }

    fn give_token(accounts: &Accounts, jid: &BareJid) {
        let mut batch = Batch::new();
        batch.put(TOKENS, jid, b"phone", Bytes::from_static(b"token"));
        wait(accounts.stores.engine().commit(batch, Durability::Durable)).expect("committed");
    }

    fn has_token(accounts: &Accounts, jid: &BareJid) -> bool {
        wait(accounts.stores.engine().get(TOKENS, jid, b"phone")).expect("read").is_some()
    }

    #[test]
    fn a_new_password_ends_the_tokens() {
        let (accounts, juliet, credentials) = accounts();
        wait(accounts.add(&juliet, &credentials)).expect("added");
        give_token(&accounts, &juliet);
        wait(accounts.set_credentials(&juliet, &credentials)).expect("changed");
        assert!(!has_token(&accounts, &juliet));
    }

    #[test]
    fn an_account_takes_its_tokens_along() {
        let (accounts, juliet, credentials) = accounts();
        wait(accounts.add(&juliet, &credentials)).expect("added");
        give_token(&accounts, &juliet);
        wait(accounts.remove(&juliet)).expect("removed");
        assert!(!has_token(&accounts, &juliet));
        assert_eq!(wait(accounts.exists(&juliet)), Ok(false));
    }

    #[test]
    fn a_name_is_given_once() {
        let (accounts, juliet, credentials) = accounts();
        wait(accounts.add(&juliet, &credentials)).expect("added");
        let again = wait(accounts.add(&juliet, &credentials));
        assert!(matches!(again, Err(AccountError::Exists)), "{again:?}");
    }
}
