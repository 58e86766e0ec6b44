//! One change of one roster: decided under the account's lock, durable before anybody hears of it.
//!
//! Every writer of a roster comes through [`Rosters::change`]: a roster set, a subscription stanza
//! that leaves, one that arrives.

use std::sync::Arc;

use bytes::Bytes;
use jackdaw_ext::{Roster, RosterItem, Services, Timestamp};
use jackdaw_jid::BareJid;
use jackdaw_session::Account;
use jackdaw_stanza::{Stanza, StanzaError};
use jackdaw_store::StoreError;

use crate::push;
use crate::rosters::{Rosters, Write};

/// What becomes of the kept subscription request of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Untouched,
    Kept(Bytes),
    Dropped,
}

/// What is to become of one contact.
pub(crate) struct Decision<T> {
    /// The contact's item; none takes the contact away.
    pub(crate) item: Option<RosterItem>,
    /// Its subscription request.
    pub(crate) request: Request,
    /// Push the item even if it is as it was: a roster set is always confirmed by a push
    /// (RFC 6121 §2.3.2).
    pub(crate) is_pushed: bool,
    /// What the caller learned while deciding.
    pub(crate) outcome: T,
}

/// What became of one contact.
pub(crate) struct Changed<T> {
    /// The item before; the default one if there was none.
    pub(crate) before: RosterItem,
    /// The roster push, if interested resources have to hear of it; not addressed yet.
    pub(crate) push: Option<Stanza>,
    /// What the caller learned while deciding.
    pub(crate) outcome: T,
}

/// Why nothing changed.
#[derive(Debug)]
pub(crate) enum Unchanged {
    /// There is no such account.
    NoAccount,
    /// The caller's decision.
    Refused(StanzaError),
    /// The store could not keep the change.
    Store(StoreError),
}

/// The roster in memory of an account.
pub(crate) fn roster_of(account: &Account) -> Arc<Roster> {
    account.slot::<Roster>().unwrap_or_default()
}

impl Rosters {
    /// Changes one contact of `owner`'s roster. `decide` sees the roster as it is; no other change
    /// comes between.
    pub(crate) async fn change<T>(
        &self,
        services: &Arc<Services>,
        owner: &BareJid,
        contact: &BareJid,
        decide: impl FnOnce(&Roster) -> Result<Decision<T>, StanzaError>,
    ) -> Result<Changed<T>, Unchanged> {
        let _changing = services.locks.lock(owner).await;
        let account = services.account(owner).await.map_err(Unchanged::Store)?;
        let account = account.ok_or(Unchanged::NoAccount)?;
        let roster = roster_of(&account);
        let decision = decide(&roster).map_err(Unchanged::Refused)?;
        let before = roster.items.get(contact).cloned().unwrap_or_default();
        let edit = edit(&roster, contact, &decision, services.clock.now());
        if edit.is_write {
            let write = Write {
                contact,
                item: edit.roster.items.get(contact),
                request: &decision.request,
                head: &edit.roster,
            };
            self.write(owner, write).await.map_err(Unchanged::Store)?;
            account.set_slot(Arc::new(edit.roster));
        }
        Ok(Changed { before, push: edit.push, outcome: decision.outcome })
    }
}

/// The roster after a decision.
struct Edit {
    roster: Roster,
    is_write: bool,
    push: Option<Stanza>,
}

fn edit<T>(roster: &Roster, contact: &BareJid, decision: &Decision<T>, now: Timestamp) -> Edit {
    let before = roster.items.get(contact);
    let after = decision.item.as_ref();
    let is_visible = decision.is_pushed || !looks_alike(before, after);
    let is_write = is_visible || before != after || decision.request != Request::Untouched;
    if !is_write {
        return Edit { roster: Roster::default(), is_write, push: None };
    }
    let mut next = roster.clone();
    if is_visible {
        next.version = next_version(roster.version, now);
        if roster.version == 0 || !is_listed(after) {
            next.complete_since = next.version;
        }
    }
    match after {
        Some(item) => {
            let version = if is_visible { next.version } else { item.version };
            next.items.insert(contact.clone(), RosterItem { version, ..item.clone() });
        }
        None => {
            next.items.remove(contact);
        }
    }
    let push = is_visible.then(|| match after.filter(|item| item.is_listed) {
        Some(item) => push::updated(next.version, contact, item),
        None => push::removed(next.version, contact),
    });
    Edit { roster: next, is_write, push }
}

fn is_listed(item: Option<&RosterItem>) -> bool {
    item.is_some_and(|item| item.is_listed)
}

/// Whether clients see no difference between the two.
fn looks_alike(before: Option<&RosterItem>, after: Option<&RosterItem>) -> bool {
    let visible = |item: Option<&RosterItem>| {
        item.filter(|item| item.is_listed).map(|item| RosterItem {
            is_pending_in: false,
            version: 0,
            ..item.clone()
        })
    };
    visible(before) == visible(after)
}

/// The version after `version`. It follows the clock, so that an account that is made again under
/// an old name, or comes back from a backup, gives out no version that some client has cached.
fn next_version(version: u64, now: Timestamp) -> u64 {
    (version + 1).max(now.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn contact() -> BareJid {
        BareJid::parse("nurse@example.com").expect("a JID")
    }

    fn decide(item: Option<RosterItem>) -> Decision<()> {
        Decision { item, request: Request::Untouched, is_pushed: false, outcome: () }
    }

    fn listed() -> RosterItem {
        RosterItem { is_listed: true, ..RosterItem::default() }
    }

    #[test]
    fn a_version_rises_also_when_the_clock_stands_still_or_goes_back() {
        assert_eq!(next_version(0, NOW), NOW.0);
        assert_eq!(next_version(NOW.0, NOW), NOW.0 + 1);
        assert_eq!(next_version(NOW.0 + 50, NOW), NOW.0 + 51);
    }

    #[test]
    fn the_first_change_of_a_roster_is_where_its_history_begins() {
        let edit = edit(&Roster::default(), &contact(), &decide(Some(listed())), NOW);
        assert_eq!(edit.roster.version, NOW.0);
        assert_eq!(edit.roster.complete_since, NOW.0);
        assert_eq!(edit.roster.items[&contact()].version, NOW.0);
        assert!(edit.push.is_some());
    }

    #[test]
    fn an_update_keeps_the_history_and_a_removal_ends_it() {
        let first = edit(&Roster::default(), &contact(), &decide(Some(listed())), NOW).roster;
        let named = RosterItem { name: Some("Nurse".to_owned()), ..listed() };
        let second = edit(&first, &contact(), &decide(Some(named)), NOW).roster;
        assert_eq!((second.version, second.complete_since), (NOW.0 + 1, NOW.0));
        let third = edit(&second, &contact(), &decide(None), NOW).roster;
        assert_eq!((third.version, third.complete_since), (NOW.0 + 2, NOW.0 + 2));
        assert!(third.items.is_empty());
    }

    #[test]
    fn a_pending_request_is_written_but_is_no_roster_modification() {
        let asked = RosterItem { is_pending_in: true, ..RosterItem::default() };
        let edit = edit(&Roster::default(), &contact(), &decide(Some(asked)), NOW);
        assert!(edit.is_write);
        assert!(edit.push.is_none());
        assert_eq!(edit.roster.version, 0);
    }

    #[test]
    fn what_changes_nothing_is_not_written() {
        let first = edit(&Roster::default(), &contact(), &decide(Some(listed())), NOW).roster;
        let same = first.items[&contact()].clone();
        assert!(!edit(&first, &contact(), &decide(Some(same.clone())), NOW).is_write);
        let confirmed = Decision { is_pushed: true, ..decide(Some(same)) };
        assert!(edit(&first, &contact(), &confirmed, NOW).push.is_some());
    }
}
