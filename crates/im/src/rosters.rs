//! Rosters and kept subscription requests in the store.

use bytes::Bytes;
use jackdaw_ext::{Deps, Roster, RosterItem};
use jackdaw_jid::BareJid;
use jackdaw_store::{Batch, Map, StoreError, Stores, Table, Value};

use crate::Config;
use crate::change::Request;
use crate::limits::{REQUESTS_MAX, ROSTER_ITEMS_CEILING};
use crate::rows::{HEAD_KEY, Row};

/// A row per contact, and the head.
const ROSTER: Table = Table::new("roster");

/// The stanza of each subscription request that waits for an answer, by contact.
const REQUESTS: Table = Table::new("subscription_requests");

/// The most rows that an account can have: contacts, strangers that wait, the head.
const ROWS_MAX: usize = ROSTER_ITEMS_CEILING + REQUESTS_MAX + 1;

/// The stored rosters. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rosters {
    stores: Stores,
    roster: Map<Row>,
    requests: Map<Bytes>,
    /// Contacts that a roster may have.
    pub(crate) items_max: usize,
}

/// One contact's rows as they are to be, and the roster they belong to.
pub(crate) struct Write<'a> {
    pub(crate) contact: &'a BareJid,
    pub(crate) item: Option<&'a RosterItem>,
    pub(crate) request: &'a Request,
    pub(crate) head: &'a Roster,
}

impl Rosters {
    pub(crate) fn new(deps: &Deps) -> Rosters {
        let stores = &deps.stores;
        Rosters {
            stores: stores.clone(),
            roster: stores.map(ROSTER),
            requests: stores.map(REQUESTS),
            items_max: deps.config::<Config>().roster_items_max,
        }
    }

    /// The roster of an account; none if it never had a contact.
    pub(crate) async fn load(&self, owner: &BareJid) -> Result<Option<Roster>, StoreError> {
        let rows = self.roster.list(owner, ROWS_MAX).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut roster = Roster::default();
        for (key, row) in rows {
            match row {
                Row::Head { version, complete_since } => {
                    roster.version = version;
                    roster.complete_since = complete_since;
                }
                Row::Item(item) => {
                    roster.items.insert(contact(&key)?, item);
                }
            }
        }
        Ok(Some(roster))
    }

    /// Writes one contact and the head of its roster: both or neither.
    pub(crate) async fn write(&self, owner: &BareJid, write: Write<'_>) -> Result<(), StoreError> {
        let key = write.contact.as_str().as_bytes();
        let mut batch = Batch::new();
        match write.item {
            Some(item) => batch.put(ROSTER, owner, key, Row::Item(item.clone()).encode()),
            None => batch.delete(ROSTER, owner, key),
        }
        batch.put(ROSTER, owner, HEAD_KEY, Row::head(write.head).encode());
        match write.request {
            Request::Untouched => {}
            Request::Kept(stanza) => batch.put(REQUESTS, owner, key, stanza.encode()),
            Request::Dropped => batch.delete(REQUESTS, owner, key),
        }
        self.stores.commit(batch).await
    }

    /// The kept requests of an account, by contact.
    pub(crate) async fn requests(&self, owner: &BareJid) -> Result<Vec<Bytes>, StoreError> {
        let rows = self.requests.list(owner, REQUESTS_MAX).await?;
        Ok(rows.into_iter().map(|(_, stanza)| stanza).collect())
    }

    /// Removes everything of a deleted account.
    pub(crate) async fn erase(&self, owner: &BareJid) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.clear(ROSTER, owner);
        batch.clear(REQUESTS, owner);
        self.stores.commit(batch).await
    }
}

fn contact(key: &[u8]) -> Result<BareJid, StoreError> {
    std::str::from_utf8(key)
        .ok()
        .and_then(|text| BareJid::parse(text).ok())
        .ok_or(StoreError::Corrupt("a contact is no JID"))
}
