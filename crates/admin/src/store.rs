//! Accounts in the store of this process.

use std::num::NonZeroU32;
use std::sync::Arc;

use jackdaw_ext::{AccountError, Accounts, Pending};
use jackdaw_jid::BareJid;
use jackdaw_store::StoreError;
use jackdaw_stream::sasl::{Credentials, Generation, Password, SALT_BYTES, Secret};
use tokio::sync::Semaphore;

use crate::{AccountAdmin, AdminError, PAGE_MAX};

/// Key derivations at once. Each keeps a core busy for some 30 ms; administration must not take the
/// cores from the clients.
const DERIVATIONS_MAX: usize = 1;

/// Derivations that may wait: two seconds of them. The next one is told that the server is busy.
const DERIVATIONS_QUEUE_MAX: usize = 64;

/// What new accounts must be like.
#[derive(Debug, Clone)]
pub struct AccountPolicy {
    /// The domains accounts may be added to.
    pub domains: Vec<String>,
    /// PBKDF2 iterations of new passwords.
    pub scram_iterations: NonZeroU32,
}

/// Erases what is kept for an account besides its credentials, and ends its sessions. Doing it
/// twice does no harm.
pub type Eraser = Arc<dyn Fn(BareJid) -> Pending<Result<(), StoreError>> + Send + Sync>;

/// The accounts of a store.
pub struct StoreAccounts {
    accounts: Accounts,
    policy: AccountPolicy,
    erase: Eraser,
    /// A place for each derivation that runs or waits.
    queue: Semaphore,
    running: Semaphore,
}

impl StoreAccounts {
    /// The accounts in `accounts`; `erase` is what deletion does before it removes the account
    /// itself.
    pub fn new(accounts: Accounts, policy: AccountPolicy, erase: Eraser) -> StoreAccounts {
        let queue = Semaphore::new(DERIVATIONS_MAX + DERIVATIONS_QUEUE_MAX);
        let running = Semaphore::new(DERIVATIONS_MAX);
        StoreAccounts { accounts, policy, erase, queue, running }
    }

    /// Makes an account of a served domain. [`StoreError::Busy`] if too many passwords are waiting.
    pub async fn create(&self, account: &BareJid, password: Password) -> Result<(), AccountError> {
        // Asked again by the store, but a derivation for nothing is worth avoiding.
        if self.accounts.exists(account).await? {
            return Err(AccountError::Exists);
        }
        let generation = Generation(u64::from_be_bytes(random()?));
        let credentials = self.derive(generation, password).await?;
        self.accounts.add(account, &credentials).await
    }

    /// Sets another password of the same account. [`StoreError::Busy`] if too many are waiting.
    pub async fn change_password(
        &self,
        account: &BareJid,
        password: Password,
    ) -> Result<(), AccountError> {
        let old = self.accounts.credentials(account).await?.ok_or(AccountError::Missing)?;
        let credentials = self.derive(old.generation(), password).await?;
        self.accounts.set_credentials(account, &credentials).await
    }

    /// Deletes an account.
    ///
    /// What belongs to it goes first: an interruption leaves an account that can be deleted again,
    /// and never data that a later account of the same name would inherit (bad-inputs A11).
    pub async fn remove(&self, account: &BareJid) -> Result<(), AccountError> {
        if !self.accounts.exists(account).await? {
            return Err(AccountError::Missing);
        }
        (self.erase)(account.clone()).await?;
        match self.accounts.remove(account).await {
            // The eraser has taken the row along.
            Err(AccountError::Missing) => Ok(()),
            other => other,
        }
    }

    async fn derive(
        &self,
        generation: Generation,
        password: Password,
    ) -> Result<Credentials, StoreError> {
        let _place = self.queue.try_acquire().map_err(|_| StoreError::Busy)?;
        let failed = |error: &dyn std::fmt::Display| StoreError::Failed(error.to_string());
        let _turn = self.running.acquire().await.map_err(|error| failed(&error))?;
        let salt: [u8; SALT_BYTES] = random()?;
        let iterations = self.policy.scram_iterations;
        tokio::task::spawn_blocking(move || {
            Credentials::derive(generation, &password, salt, iterations)
        })
        .await
        .map_err(|error| failed(&error))
    }
}

/// Bytes nobody can foresee. A [`Generation`] is made of them so that no counter has to be kept.
fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| StoreError::Failed("the operating system gives no random bytes".into()))?;
    Ok(bytes)
}

impl AccountAdmin for StoreAccounts {
    async fn add(&self, account: &BareJid, password: &Secret) -> Result<(), AdminError> {
        if account.local().is_none() {
            return Err(AdminError::Request(format!("{account} is a domain, not an account")));
        }
        if !self.policy.domains.iter().any(|domain| domain == account.domain()) {
            return Err(AdminError::NotServed(account.domain().into()));
        }
        Ok(self.create(account, prepare(password)?).await?)
    }

    async fn set_password(&self, account: &BareJid, password: &Secret) -> Result<(), AdminError> {
        Ok(self.change_password(account, prepare(password)?).await?)
    }

    async fn delete(&self, account: &BareJid) -> Result<(), AdminError> {
        Ok(self.remove(account).await?)
    }

    async fn list(
        &self,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Result<Vec<BareJid>, AdminError> {
        let page = self.accounts.list(after, limit.min(PAGE_MAX)).await;
        page.map_err(|error| AdminError::Failed(error.to_string()))
    }
}

fn prepare(password: &Secret) -> Result<Password, AdminError> {
    Password::prepare(password.reveal()).map_err(|error| AdminError::Password(error.to_string()))
}

impl From<AccountError> for AdminError {
    fn from(error: AccountError) -> AdminError {
        match error {
            AccountError::Exists => AdminError::Exists,
            AccountError::Missing => AdminError::Missing,
            AccountError::Damaged(_) | AccountError::Store(_) => {
                AdminError::Failed(error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jackdaw_store::{Durability, MemoryEngine, Stores};
    use jackdaw_stream::sasl::ITERATIONS_MIN;

    use super::*;

    fn jid(text: &str) -> BareJid {
        BareJid::parse(text).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.into())
    }

    /// Accounts of `localhost` in memory, and the store below them.
    fn accounts(erase: Eraser) -> (StoreAccounts, Accounts) {
        let stores = Stores::new(Arc::new(MemoryEngine::default()), Durability::Durable);
        let below = Accounts::new(stores);
        let policy = AccountPolicy {
            domains: vec!["localhost".into()],
            scram_iterations: NonZeroU32::new(ITERATIONS_MIN).unwrap(),
        };
        (StoreAccounts::new(below.clone(), policy, erase), below)
    }

    fn nothing() -> Eraser {
        Arc::new(|_| Box::pin(async { Ok(()) }))
    }

    #[tokio::test]
    async fn an_account_is_added_once_and_only_where_it_is_served() {
        let (accounts, _) = accounts(nothing());
        let juliet = jid("juliet@localhost");
        accounts.add(&juliet, &secret("r0m30")).await.unwrap();
        assert_eq!(accounts.add(&juliet, &secret("r0m30")).await, Err(AdminError::Exists));
        let elsewhere = accounts.add(&jid("juliet@example.org"), &secret("r0m30")).await;
        assert_eq!(elsewhere, Err(AdminError::NotServed("example.org".into())));
        assert!(matches!(
            accounts.add(&jid("localhost"), &secret("r0m30")).await,
            Err(AdminError::Request(_))
        ));
        assert!(matches!(
            accounts.add(&jid("romeo@localhost"), &secret("")).await,
            Err(AdminError::Password(_))
        ));
        assert_eq!(accounts.list(None, 9).await.unwrap(), [juliet]);
    }

    #[tokio::test]
    async fn another_password_gives_other_keys_of_the_same_account() {
        let (accounts, below) = accounts(nothing());
        let juliet = jid("juliet@localhost");
        assert_eq!(accounts.set_password(&juliet, &secret("x")).await, Err(AdminError::Missing));
        accounts.add(&juliet, &secret("r0m30")).await.unwrap();
        let before = below.credentials(&juliet).await.unwrap().unwrap();
        accounts.set_password(&juliet, &secret("other")).await.unwrap();
        let after = below.credentials(&juliet).await.unwrap().unwrap();
        assert_eq!(before.generation(), after.generation());
        assert_ne!(before, after);
    }

    #[tokio::test]
    async fn too_many_waiting_passwords_are_refused_and_not_queued() {
        let (accounts, _) = accounts(nothing());
        let places = DERIVATIONS_MAX + DERIVATIONS_QUEUE_MAX;
        let taken = accounts.queue.try_acquire_many(places as u32).unwrap();
        let password = || Password::prepare("r0m30").unwrap();
        let refused = accounts.create(&jid("juliet@localhost"), password()).await;
        assert!(matches!(refused, Err(AccountError::Store(StoreError::Busy))));
        drop(taken);
        accounts.create(&jid("juliet@localhost"), password()).await.unwrap();
    }

    #[tokio::test]
    async fn an_account_outlives_a_failed_deletion_of_what_belongs_to_it() {
        let (accounts, below) = accounts(Arc::new(|_| Box::pin(async { Err(StoreError::Busy) })));
        let juliet = jid("juliet@localhost");
        accounts.add(&juliet, &secret("r0m30")).await.unwrap();
        assert!(accounts.delete(&juliet).await.is_err());
        assert!(below.exists(&juliet).await.unwrap());
    }

    #[tokio::test]
    async fn a_deleted_account_is_gone_and_its_successor_is_another() {
        let (accounts, below) = accounts(nothing());
        let juliet = jid("juliet@localhost");
        accounts.add(&juliet, &secret("r0m30")).await.unwrap();
        let first = below.credentials(&juliet).await.unwrap().unwrap();
        accounts.delete(&juliet).await.unwrap();
        assert_eq!(accounts.delete(&juliet).await, Err(AdminError::Missing));
        accounts.add(&juliet, &secret("r0m30")).await.unwrap();
        let second = below.credentials(&juliet).await.unwrap().unwrap();
        assert_ne!(first.generation(), second.generation());
    }
}
