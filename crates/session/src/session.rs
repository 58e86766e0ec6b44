//! One bound resource and its stream, also while resumable.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jackdaw_jid::FullJid;
use parking_lot::Mutex;

use crate::{Account, Address, Slots};

/// Names a session from its bind to its end, across resumptions. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What a session has said of itself with presence (RFC 6121 §4.2).
#[derive(Clone, Debug, Default)]
pub struct Availability {
    /// The last available presence as it was broadcast, canonical, with `from` and without `to`.
    /// None: connected, but not available.
    pub presence: Option<Bytes>,
    /// Priority of that presence (RFC 6121 §4.7.2.3).
    pub priority: i8,
}

impl Availability {
    /// Whether the resource is available.
    pub fn is_available(&self) -> bool {
        self.presence.is_some()
    }
}

/// One connected resource (RFC 6120 §7).
pub struct Session {
    id: SessionId,
    jid: FullJid,
    account: Arc<Account>,
    /// Seconds since the epoch, for the order of sessions and for administrators.
    bound_at_secs: u64,
    address: AtomicU64,
    state: Mutex<State>,
}

/// Flat, and in this order of types, because there is one for every idle client.
#[derive(Default)]
struct State {
    /// Of the [`Availability`], like `priority`.
    presence: Option<Bytes>,
    slots: Slots,
    priority: i8,
    /// Has asked for the roster and gets pushes (RFC 6121 §2.2).
    is_interested: bool,
    /// Under stream management: a delivery is confirmed by the client.
    is_managed: bool,
    /// How often its stream began or ceased to take messages: odd while it takes none.
    turns: u16,
}

/// What an idle client costs here, its reference counts apart: with them two cache lines, and a
/// size that allocators have a class for.
const _: () = assert!(size_of::<Session>() <= 112);

impl Session {
    /// A session that was just bound.
    pub fn new(
        id: SessionId,
        jid: FullJid,
        account: Arc<Account>,
        address: Address,
        bound_at_secs: u64,
    ) -> Session {
        Session {
            id,
            jid,
            account,
            bound_at_secs,
            address: AtomicU64::new(address.to_bits()),
            state: Mutex::default(),
        }
    }

    /// Its lasting id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Its full JID.
    pub fn jid(&self) -> &FullJid {
        &self.jid
    }

    /// The account it belongs to.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// When it was bound, in seconds since the epoch.
    pub fn bound_at_secs(&self) -> u64 {
        self.bound_at_secs
    }

    /// Where its stream is now.
    pub fn address(&self) -> Address {
        Address::from_bits(self.address.load(Ordering::Acquire))
    }

    /// Its stream is elsewhere now: it was resumed.
    pub fn set_address(&self, address: Address) {
        self.address.store(address.to_bits(), Ordering::Release);
    }

    /// What it said with presence.
    pub fn availability(&self) -> Availability {
        let state = self.state.lock();
        Availability { presence: state.presence.clone(), priority: state.priority }
    }

    /// Whether it is available.
    pub fn is_available(&self) -> bool {
        self.state.lock().presence.is_some()
    }

    /// Its priority if it is available.
    pub fn priority(&self) -> Option<i8> {
        let state = self.state.lock();
        state.presence.is_some().then_some(state.priority)
    }

    /// Takes new presence; gives back what was before.
    pub fn set_availability(&self, availability: Availability) -> Availability {
        let mut state = self.state.lock();
        Availability {
            presence: std::mem::replace(&mut state.presence, availability.presence),
            priority: std::mem::replace(&mut state.priority, availability.priority),
        }
    }

    /// Whether it gets messages to the bare JID: it is available, its priority is not negative
    /// (RFC 6121 §8.5.2.1.1).
    pub fn is_ready(&self) -> bool {
        let state = self.state.lock();
        state.presence.is_some() && state.priority >= 0
    }

    /// The same, and its stream takes them now.
    pub fn takes_messages(&self) -> bool {
        let state = self.state.lock();
        state.presence.is_some() && state.priority >= 0 && state.turns.is_multiple_of(2)
    }

    /// Its stream takes no messages for now. Names the time from now to when it does again, or
    /// until this is said again.
    pub fn shut(&self) -> u16 {
        let mut state = self.state.lock();
        state.turns = state.turns.wrapping_add(1) | 1;
        state.turns
    }

    /// Whether its stream takes no messages.
    pub fn is_shut(&self) -> bool {
        !self.state.lock().turns.is_multiple_of(2)
    }

    /// Whether that is so since it was said that time.
    pub fn is_shut_since(&self, turn: u16) -> bool {
        self.state.lock().turns == turn
    }

    /// Its stream takes messages again.
    pub fn open(&self) {
        let mut state = self.state.lock();
        state.turns = state.turns.wrapping_add(1) & !1;
    }

    /// Whether it gets roster pushes.
    pub fn is_interested(&self) -> bool {
        self.state.lock().is_interested
    }

    /// It asked for the roster.
    pub fn set_interested(&self) {
        self.state.lock().is_interested = true;
    }

    /// Whether its stream is under stream management.
    pub fn is_managed(&self) -> bool {
        self.state.lock().is_managed
    }

    /// Its stream is under stream management now (XEP-0198 §3).
    pub fn set_managed(&self) {
        self.state.lock().is_managed = true;
    }

    /// Session state of an extension.
    pub fn slot<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.state.lock().slots.get()
    }

    /// Whether an extension has state of this type here.
    pub fn has_slot<T: Any>(&self) -> bool {
        self.state.lock().slots.has::<T>()
    }

    /// Sets session state of an extension.
    pub fn set_slot<T: Any + Send + Sync>(&self, value: T) {
        self.state.lock().slots.set(value);
    }

    /// Removes session state of an extension; says whether there was any.
    pub fn remove_slot<T: Any>(&self) -> bool {
        self.state.lock().slots.remove::<T>()
    }

    /// Changes the state of this type under the session's lock; it starts as the default.
    pub fn update_slot<T: Any + Send + Sync + Clone + Default, R>(
        &self,
        change: impl FnOnce(&mut T) -> R,
    ) -> R {
        let mut state = self.state.lock();
        let mut value = state.slots.get::<T>().map(|v| (*v).clone()).unwrap_or_default();
        let result = change(&mut value);
        state.slots.set(value);
        result
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("jid", &self.jid)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
