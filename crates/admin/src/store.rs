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
    derivations: Semaphore,
}

impl StoreAccounts {
    /// The accounts in `accounts`; `erase` is what deletion does before it removes the account
    /// itself.
    pub fn new(accounts: Accounts, policy: AccountPolicy, erase: Eraser) -> StoreAccounts {
        StoreAccounts { accounts, policy, erase, derivations: Semaphore::new(DERIVATIONS_MAX) }
    }

    async fn derive(
        &self,
        generation: Generation,
        password: &Secret,
    ) -> Result<Credentials, AdminError> {
        let password = Password::prepare(password.reveal())
            .map_err(|error| AdminError::Password(error.to_string()))?;
        let mut salt = [0; SALT_BYTES];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| no_random())?;
        let iterations = self.policy.scram_iterations;
        let _place = self.derivations.acquire().await.map_err(failed)?;
        tokio::task::spawn_blocking(move || {
            Credentials::derive(generation, &password, salt, iterations)
        })
        .await
        .map_err(failed)
    }
}

impl AccountAdmin for StoreAccounts {
    async fn add(&self, account: &BareJid, password: &Secret) -> Result<(), AdminError> {
        if account.local().is_none() {
            return Err(AdminError::Request(format!("{account} is a domain, not an account")));
        }
        if !self.policy.domains.iter().any(|domain| domain == account.domain()) {
            return Err(AdminError::NotServed(account.domain().into()));
        }
        // Asked again by the store, but a derivation for nothing is worth avoiding.
        if self.accounts.exists(account).await.map_err(failed)? {
            return Err(AdminError::Exists);
        }
        let credentials = self.derive(new_generation()?, password).await?;
        Ok(self.accounts.add(account, &credentials).await?)
    }

    async fn set_password(&self, account: &BareJid, password: &Secret) -> Result<(), AdminError> {
        let old = self.accounts.credentials(account).await?.ok_or(AdminError::Missing)?;
        let credentials = self.derive(old.generation(), password).await?;
        Ok(self.accounts.set_credentials(account, &credentials).await?)
    }

    /// What belongs to the account goes first: an interruption leaves an account that can be
    /// deleted again, and never data that a later account of the same name would inherit
    /// (bad-inputs A11).
    async fn delete(&self, account: &BareJid) -> Result<(), AdminError> {
        if !self.accounts.exists(account).await.map_err(failed)? {
            return Err(AdminError::Missing);
        }
        (self.erase)(account.clone()).await.map_err(failed)?;
        Ok(self.accounts.remove(account).await?)
    }

    async fn list(
        &self,
        after: Option<&BareJid>,
        limit: usize,
    ) -> Result<Vec<BareJid>, AdminError> {
        self.accounts.list(after, limit.min(PAGE_MAX)).await.map_err(failed)
    }
}

/// Tells this account from earlier ones of the same name. Random, so that no counter has to be
/// kept.
fn new_generation() -> Result<Generation, AdminError> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| no_random())?;
    Ok(Generation(u64::from_be_bytes(bytes)))
}

fn no_random() -> AdminError {
    AdminError::Failed("the operating system gives no random bytes".into())
}

fn failed(error: impl std::fmt::Display) -> AdminError {
    AdminError::Failed(error.to_string())
}

impl From<AccountError> for AdminError {
    fn from(error: AccountError) -> AdminError {
        match error {
            AccountError::Exists => AdminError::Exists,
            AccountError::Missing => AdminError::Missing,
            AccountError::Damaged(_) | AccountError::Store(_) => failed(error),
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
