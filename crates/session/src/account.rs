//! What is known of an account while it has sessions.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jackdaw_jid::BareJid;
use parking_lot::RwLock;

use crate::Slots;

/// An account and its state in memory (roster, block list, ...): one slot per extension that loads
/// some. An absent slot means the default: an empty roster costs nothing.
pub struct Account {
    jid: BareJid,
    slots: RwLock<Slots>,
    /// Kept by the table, under the lock of its entry.
    pub(crate) sessions: AtomicU32,
}

/// What an account that has stored nothing costs while it is connected: with its reference counts a
/// cache line. The text of its JID comes on top.
const _: () = assert!(size_of::<Account>() <= 48);

impl Account {
    /// An account with the state that was loaded for it.
    pub fn new(jid: BareJid, slots: Slots) -> Account {
        Account { jid, slots: RwLock::new(slots), sessions: AtomicU32::new(0) }
    }

    /// The account's bare JID.
    pub fn jid(&self) -> &BareJid {
        &self.jid
    }

    /// How many sessions it has. Most have one, and then nothing needs to be copied to others.
    pub fn session_count(&self) -> u32 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// The state of this type.
    pub fn slot<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.slots.read().get()
    }

    /// Puts new state in place of the old. Whoever changes state does so under the account's lock
    /// (`jackdaw_ext::Locks`) and writes the store first.
    pub fn set_slot<T: Any + Send + Sync>(&self, value: Arc<T>) {
        self.slots.write().set_shared(value);
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("jid", &self.jid).finish_non_exhaustive()
    }
}
