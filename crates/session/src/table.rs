//! The sharded map from bare JID to its sessions.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher, RandomState};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as MapEntry;
use jackdaw_jid::{BareJid, FullJid, JidRef};
use smallvec::SmallVec;

use crate::{Account, Address, Session, SessionId};

/// Shards of the map. With the default count the rehash of one shard stalls inserts for 0.1–0.2 s
/// at a million entries; with 4096 it is not visible.
const SHARDS: usize = 4096;

/// What to do when a resource that is wanted is bound already (RFC 6120 §7.7.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictPolicy {
    /// The newcomer gets the resource, the older session is closed with `conflict`. Mobile clients
    /// whose old connection is dead without knowing it need this.
    #[default]
    CloseOld,
    /// The newcomer is refused with `conflict`.
    RefuseNew,
}

/// The outcome of a successful bind.
#[derive(Debug)]
pub struct Bound {
    /// The new session.
    pub session: Arc<Session>,
    /// The session that had the resource; it is out of the table already.
    pub evicted: Option<Arc<Session>>,
}

/// Why a resource was not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The resource is taken and the policy says that it stays so.
    #[error("the resource is bound already")]
    Taken,
    /// The account has as many sessions as it may.
    #[error("the account has too many sessions")]
    TooMany,
}

/// What stands behind a JID.
#[derive(Clone, Debug)]
pub enum Found {
    /// The session of this full JID.
    Session(Arc<Session>),
    /// An account with sessions; none of them has just this JID.
    Account(Arc<Account>),
}

impl Found {
    /// The session, if the JID is that of one.
    pub fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Found::Session(session) => Some(session),
            Found::Account(_) => None,
        }
    }

    /// The account, of the session or by itself.
    pub fn account(&self) -> &Arc<Account> {
        match self {
            Found::Session(session) => session.account(),
            Found::Account(account) => account,
        }
    }
}

/// An account under its bare JID: the table has its state and its name in one pointer.
struct Key(Arc<Account>);

impl Key {
    fn of(account: &Arc<Account>) -> Key {
        Key(Arc::clone(account))
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.0.jid().as_str()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.0.jid() == other.0.jid()
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.jid().as_str().hash(state);
    }
}

/// The sessions of one account, oldest first. One is usual.
type Entry = SmallVec<[Arc<Session>; 1]>;

/// Places that are free count as well, and a quarter to a half of them is.
const _: () = assert!(size_of::<(Key, Entry)>() <= 32);

/// Every session that this node knows.
pub struct Sessions {
    accounts: DashMap<Key, Entry, RandomState>,
    count: AtomicUsize,
    first_id: u64,
    next_id: AtomicU64,
}

/// A session that is to be in the table.
struct Newcomer {
    id: SessionId,
    jid: FullJid,
    address: Address,
    now_secs: u64,
}

impl Sessions {
    /// An empty table. `first_id` must be above every id given out before, also by an earlier
    /// process: sessions are named in the store.
    pub fn new(first_id: u64) -> Sessions {
        Sessions {
            accounts: DashMap::with_capacity_and_hasher_and_shard_amount(
                0,
                RandomState::new(),
                SHARDS,
            ),
            count: AtomicUsize::new(0),
            first_id,
            next_id: AtomicU64::new(first_id),
        }
    }

    /// Binds `jid`. The table decides the order: of two binds of one full JID one is first, and
    /// at every moment at most one session has it (RFC 6120 §7.7.2.2).
    pub fn bind(
        &self,
        account: &Arc<Account>,
        jid: FullJid,
        address: Address,
        now_secs: u64,
        policy: ConflictPolicy,
        sessions_max: usize,
    ) -> Result<Bound, Conflict> {
        let id = SessionId(self.next_id.fetch_add(1, Ordering::Relaxed));
        self.insert(account, Newcomer { id, jid, address, now_secs }, policy, sessions_max)
    }

    /// Brings back a session of an earlier process, by the id it had. Its resource must be free:
    /// whoever has it now came later.
    pub fn restore(
        &self,
        account: &Arc<Account>,
        id: SessionId,
        jid: FullJid,
        address: Address,
        now_secs: u64,
        sessions_max: usize,
    ) -> Result<Arc<Session>, Conflict> {
        let newcomer = Newcomer { id, jid, address, now_secs };
        let policy = ConflictPolicy::RefuseNew;
        self.insert(account, newcomer, policy, sessions_max).map(|bound| bound.session)
    }

    /// Whether an id was given out by an earlier process.
    pub fn is_earlier(&self, id: SessionId) -> bool {
        id.0 < self.first_id
    }

    fn insert(
        &self,
        account: &Arc<Account>,
        newcomer: Newcomer,
        policy: ConflictPolicy,
        sessions_max: usize,
    ) -> Result<Bound, Conflict> {
        let Newcomer { id, jid, address, now_secs } = newcomer;
        let mut entry = self.accounts.entry(Key::of(account)).or_default();
        let taken = entry.iter().position(|session| *session.jid() == jid);
        match taken {
            Some(_) if policy == ConflictPolicy::RefuseNew => return Err(Conflict::Taken),
            None if entry.len() >= sessions_max => return Err(Conflict::TooMany),
            Some(_) | None => {}
        }
        // The state that is in the table counts: other sessions of the account use it.
        let account = Arc::clone(&entry.key().0);
        let session = Arc::new(Session::new(id, jid, account, address, now_secs));
        let evicted = match taken {
            Some(at) => Some(std::mem::replace(&mut entry[at], Arc::clone(&session))),
            None => {
                entry.push(Arc::clone(&session));
                entry.key().0.sessions.fetch_add(1, Ordering::Relaxed);
                self.count.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        Ok(Bound { session, evicted })
    }

    /// Removes this session, and only this one; false if it was out already (evicted).
    pub fn unbind(&self, session: &Session) -> bool {
        let MapEntry::Occupied(mut entry) = self.accounts.entry(Key::of(session.account())) else {
            return false;
        };
        let sessions = entry.get_mut();
        let before = sessions.len();
        sessions.retain(|other| other.id() != session.id());
        let removed = before != sessions.len();
        if sessions.is_empty() {
            entry.remove();
        }
        if removed {
            session.account().sessions.fetch_sub(1, Ordering::Relaxed);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }

    /// The session of this full JID.
    pub fn find(&self, jid: JidRef<'_>) -> Option<Arc<Session>> {
        let entry = self.accounts.get(jid.bare_str())?;
        entry.iter().find(|session| session.jid().as_str() == jid.as_str()).cloned()
    }

    /// The session of this JID, else its account: one look at the table serves both.
    pub fn look_up(&self, jid: JidRef<'_>) -> Option<Found> {
        let entry = self.accounts.get(jid.bare_str())?;
        if jid.is_full() {
            let found = entry.iter().find(|s| s.jid().as_str() == jid.as_str());
            if let Some(session) = found {
                return Some(Found::Session(Arc::clone(session)));
            }
        }
        Some(Found::Account(Arc::clone(&entry.key().0)))
    }

    /// The session with this id, if it belongs to this account.
    pub fn find_id(&self, account: &str, id: SessionId) -> Option<Arc<Session>> {
        let entry = self.accounts.get(account)?;
        entry.iter().find(|session| session.id() == id).cloned()
    }

    /// Every session of this bare JID, oldest first.
    pub fn of(&self, bare: &str) -> SmallVec<[Arc<Session>; 4]> {
        self.accounts.get(bare).map(|entry| entry.iter().cloned().collect()).unwrap_or_default()
    }

    /// The state of this account, if it has a session.
    pub fn account(&self, bare: &str) -> Option<Arc<Account>> {
        self.accounts.get(bare).map(|entry| Arc::clone(&entry.key().0))
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows every account that has sessions, in no order, until `visit` breaks. For
    /// administrators: a part of the table is locked during each call, so `visit` must not use it.
    pub fn visit(&self, mut visit: impl FnMut(&BareJid, &[Arc<Session>]) -> ControlFlow<()>) {
        for entry in &self.accounts {
            if visit(entry.key().0.jid(), &entry).is_break() {
                return;
            }
        }
    }

    /// A snapshot of at most `limit` sessions; for administrators.
    pub fn some(&self, limit: usize) -> Vec<Arc<Session>> {
        let sessions = self.accounts.iter();
        sessions.flat_map(|entry| entry.to_vec()).take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slots;

    const HERE: Address = Address { worker: 0, slot: 1, generation: 1 };

    fn account(jid: &str) -> Arc<Account> {
        Arc::new(Account::new(BareJid::parse(jid).expect("a JID"), Slots::default()))
    }

    fn full(jid: &str) -> FullJid {
        FullJid::parse(jid).expect("a JID")
    }

    fn bind(table: &Sessions, jid: &str, policy: ConflictPolicy) -> Result<Bound, Conflict> {
        let jid = full(jid);
        table.bind(&account(jid.bare_str()), jid, HERE, 0, policy, 2)
    }

    #[test]
    fn a_newcomer_evicts_the_older_session_of_its_resource() {
        let table = Sessions::new(1);
        let old = bind(&table, "a@b/c", ConflictPolicy::CloseOld).expect("free");
        let new = bind(&table, "a@b/c", ConflictPolicy::CloseOld).expect("evicts");
        assert_eq!(new.evicted.expect("the old one").id(), old.session.id());
        assert_eq!(table.len(), 1);
        assert!(!table.unbind(&old.session), "the old one is out already");
        assert!(table.find(full("a@b/c").as_jid_ref()).is_some());
    }

    #[test]
    fn a_newcomer_is_refused_where_the_policy_says_so() {
        let table = Sessions::new(1);
        bind(&table, "a@b/c", ConflictPolicy::CloseOld).expect("free");
        let refused = bind(&table, "a@b/c", ConflictPolicy::RefuseNew);
        assert_eq!(refused.expect_err("taken"), Conflict::Taken);
    }

    #[test]
    fn an_account_has_a_bounded_number_of_sessions() {
        let table = Sessions::new(1);
        bind(&table, "a@b/1", ConflictPolicy::CloseOld).expect("free");
        bind(&table, "a@b/2", ConflictPolicy::CloseOld).expect("free");
        let third = bind(&table, "a@b/3", ConflictPolicy::CloseOld);
        assert_eq!(third.expect_err("one too many"), Conflict::TooMany);
        bind(&table, "a@b/2", ConflictPolicy::CloseOld).expect("takes the place of an old one");
    }

    #[test]
    fn a_visit_sees_each_account_once_and_ends_when_told() {
        let table = Sessions::new(1);
        for jid in ["a@b/1", "a@b/2", "c@b/1"] {
            bind(&table, jid, ConflictPolicy::CloseOld).expect("free");
        }
        let mut seen = Vec::new();
        table.visit(|account, sessions| {
            seen.push((account.to_string(), sessions.len()));
            ControlFlow::Continue(())
        });
        seen.sort();
        assert_eq!(seen, [("a@b".to_owned(), 2), ("c@b".to_owned(), 1)]);
        let mut visits = 0;
        table.visit(|_, _| {
            visits += 1;
            ControlFlow::Break(())
        });
        assert_eq!(visits, 1);
    }

    #[test]
    fn one_look_finds_the_session_or_else_its_account() {
        let table = Sessions::new(1);
        let bound = bind(&table, "a@b/1", ConflictPolicy::CloseOld).expect("free").session;
        let look_up = |jid: &str| {
            let jid = jackdaw_jid::Jid::parse(jid).expect("a JID");
            table.look_up(jid.as_jid_ref())
        };
        let found = look_up("a@b/1");
        assert!(matches!(&found, Some(Found::Session(session)) if session.id() == bound.id()));
        assert!(Arc::ptr_eq(found.expect("found").account(), bound.account()));
        for other in ["a@b", "a@b/2"] {
            let found = look_up(other);
            assert!(matches!(found, Some(Found::Account(a)) if Arc::ptr_eq(&a, bound.account())));
        }
        assert!(look_up("c@b/1").is_none());
    }

    #[test]
    fn the_last_session_takes_its_account_out_of_the_table() {
        let table = Sessions::new(1);
        let one = bind(&table, "a@b/1", ConflictPolicy::CloseOld).expect("free");
        let two = bind(&table, "a@b/2", ConflictPolicy::CloseOld).expect("free");
        assert!(Arc::ptr_eq(one.session.account(), two.session.account()));
        assert_eq!(one.session.account().session_count(), 2);
        assert!(table.unbind(&one.session));
        assert!(!table.unbind(&one.session));
        assert_eq!(two.session.account().session_count(), 1);
        assert!(table.account("a@b").is_some());
        assert!(table.unbind(&two.session));
        assert!(table.account("a@b").is_none());
        assert!(table.is_empty());
    }
}
