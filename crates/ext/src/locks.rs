//! One account changes at a time.

use async_lock::{Mutex, MutexGuard};
use jackdaw_jid::BareJid;
use std::hash::{BuildHasher, RandomState};

/// Locks, each for many accounts. Enough that two busy accounts seldom share one.
const LOCKS: usize = 1024;

/// Serialises read-modify-write of account state (roster, block list). Never hold two: a change
/// that concerns two accounts is two changes, joined by a routed stanza.
pub struct Locks {
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

/// Held while an account changes.
pub type AccountLock<'a> = MutexGuard<'a, ()>;

impl Default for Locks {
    fn default() -> Locks {
        Locks { locks: (0..LOCKS).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }
}

impl Locks {
    /// Waits until nobody else changes this account.
    pub async fn lock(&self, account: &BareJid) -> AccountLock<'_> {
        let at = self.hasher.hash_one(account.as_str()) as usize % self.locks.len();
        self.locks[at].lock().await
    }
}
