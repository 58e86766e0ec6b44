//! Roster gets and sets (RFC 6121 §2), with versioning (§2.6).

use std::collections::BTreeSet;
use std::sync::Arc;

use jackdaw_ext::{Ctx, Effect, Iq, Reply, Roster, RosterItem, stanza_error};
use jackdaw_jid::{BareJid, Jid};
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_xml::Element;

use crate::change::{Decision, Request, Unchanged, roster_of};
use crate::limits::{GROUP_BYTES_MAX, GROUPS_MAX, INTERIM_PUSHES_MAX, NAME_BYTES_MAX};
use crate::rosters::Rosters;
use crate::{push, subscribe};

/// Answers a roster get (RFC 6121 §2.1.3). The session is interested from here on.
///
/// A client that says which version it has gets nothing if that is the current one, and only the
/// changes where that is less to send (§2.6.3).
pub(crate) async fn get(ctx: Ctx, iq: Iq) -> Result<Reply, StanzaError> {
    let session = ctx.session()?;
    let query = iq.element()?;
    // Before the roster is read: what changes from now on is pushed.
    session.set_interested();
    let roster = roster_of(session.account());
    let known = query.attr("ver").and_then(|version| version.parse().ok());
    let Some(changes) = known.and_then(|version| changes_since(&roster, version)) else {
        return Ok(Reply::new(push::whole(&roster)));
    };
    for (contact, item) in changes {
        let push = push::updated(item.version, contact, item);
        let push = push.addressed_to(session.jid().clone().into());
        ctx.effect(Effect::Deliver(Arc::clone(session), push));
    }
    Ok(Reply::empty())
}

/// What changed after this version, in order; none where that is not known, or is more to send
/// than the roster.
///
/// Removed contacts leave no trace, so the changes are known back to the last removal: contacts
/// are seldom removed, and a trace would be a row that nobody ever collects.
fn changes_since(roster: &Roster, version: u64) -> Option<Vec<(&BareJid, &RosterItem)>> {
    if version < roster.complete_since || version > roster.version {
        return None;
    }
    let listed = || roster.items.iter().filter(|(_, item)| item.is_listed);
    let mut changes: Vec<_> = listed().filter(|(_, item)| item.version > version).collect();
    // A push is about twice as long as an item in a result.
    if changes.len() > INTERIM_PUSHES_MAX || changes.len() * 2 > listed().count() {
        return None;
    }
    changes.sort_unstable_by_key(|(_, item)| item.version);
    Some(changes)
}

/// A roster set (RFC 6121 §2.1.5): adds or updates a contact, or removes it.
pub(crate) async fn set(rosters: Rosters, ctx: Ctx, iq: Iq) -> Result<Reply, StanzaError> {
    let session = Arc::clone(ctx.session()?);
    let owner = session.account().jid().clone();
    let wish = Wish::read(&iq.element()?, &owner)?;
    match wish.edit {
        Some(edit) => update(&rosters, &ctx, &owner, &wish.contact, edit).await?,
        None => remove(&rosters, &ctx, &owner, &wish.contact).await?,
    }
    Ok(Reply::empty())
}

/// Nobody may change the roster of another account (RFC 6121 §2.3.3).
pub(crate) async fn forbid(_: Ctx, _: Iq) -> Result<Reply, StanzaError> {
    Err(StanzaError::forbidden())
}

async fn update(
    rosters: &Rosters,
    ctx: &Ctx,
    owner: &BareJid,
    contact: &BareJid,
    edit: Edit,
) -> Result<(), StanzaError> {
    let changing = rosters.change(ctx.services(), owner, contact, |roster| {
        let before = roster.items.get(contact).cloned().unwrap_or_default();
        if !before.is_listed {
            check_room(roster, rosters.items_max)?;
        }
        let item = RosterItem { name: edit.name, groups: edit.groups, is_listed: true, ..before };
        Ok(Decision { item: Some(item), request: Request::Untouched, is_pushed: true, outcome: () })
    });
    let changed = changing.await.map_err(refusal)?;
    if let Some(push) = &changed.push {
        push::to_interested(ctx, owner, push);
    }
    Ok(())
}

/// Takes a contact away, and with it whatever the two were to each other (RFC 6121 §2.5.2).
async fn remove(
    rosters: &Rosters,
    ctx: &Ctx,
    owner: &BareJid,
    contact: &BareJid,
) -> Result<(), StanzaError> {
    let changing = rosters.change(ctx.services(), owner, contact, |roster| {
        let is_listed = roster.items.get(contact).is_some_and(|item| item.is_listed);
        if !is_listed {
            return Err(StanzaError::item_not_found());
        }
        Ok(Decision { item: None, request: Request::Dropped, is_pushed: true, outcome: () })
    });
    let changed = changing.await.map_err(refusal)?;
    if let Some(push) = &changed.push {
        push::to_interested(ctx, owner, push);
    }
    subscribe::part(ctx, owner, contact, &changed.before);
    Ok(())
}

/// Whether a roster that may have `items_max` contacts takes one more.
pub(crate) fn check_room(roster: &Roster, items_max: usize) -> Result<(), StanzaError> {
    let listed = roster.items.values().filter(|item| item.is_listed).count();
    if listed < items_max {
        Ok(())
    } else {
        Err(StanzaError::policy_violation().text("the roster is full"))
    }
}

/// What the client is told when its change did not happen.
pub(crate) fn refusal(unchanged: Unchanged) -> StanzaError {
    match unchanged {
        // The account was deleted under its session.
        Unchanged::NoAccount => StanzaError::not_allowed(),
        Unchanged::Refused(error) => error,
        Unchanged::Store(error) => stanza_error(&error),
    }
}

/// What a roster set asks for.
#[derive(Debug, PartialEq)]
struct Wish {
    contact: BareJid,
    /// None: remove the contact.
    edit: Option<Edit>,
}

/// What the user may say about a contact.
#[derive(Debug, PartialEq)]
struct Edit {
    name: Option<String>,
    groups: Vec<String>,
}

impl Wish {
    fn read(query: &Element, owner: &BareJid) -> Result<Wish, StanzaError> {
        let mut items = query.children();
        let (Some(item), None) = (items.next(), items.next()) else {
            return Err(StanzaError::bad_request().text("a roster set has one item"));
        };
        if !item.is(ns::ROSTER, "item") {
            return Err(StanzaError::bad_request());
        }
        let contact = read_contact(item, owner)?;
        // Other values of `subscription`, and `ask` and `approved`, are the server's: ignored.
        if item.attr("subscription") == Some("remove") {
            return Ok(Wish { contact, edit: None });
        }
        let name = item.attr("name").filter(|name| !name.is_empty()).map(str::to_owned);
        if name.as_ref().is_some_and(|name| name.len() > NAME_BYTES_MAX) {
            return Err(StanzaError::not_acceptable().text("the name is too long"));
        }
        Ok(Wish { contact, edit: Some(Edit { name, groups: read_groups(item)? }) })
    }
}

/// Subscriptions are between bare JIDs, so contacts are bare JIDs; and nobody is one's own contact
/// (RFC 6121 §2.3.3, interoperability note).
fn read_contact(item: &Element, owner: &BareJid) -> Result<BareJid, StanzaError> {
    let jid = item.attr("jid").ok_or_else(StanzaError::bad_request)?;
    let jid = Jid::parse(jid).map_err(|_| StanzaError::jid_malformed())?;
    if jid.is_full() {
        return Err(StanzaError::bad_request().text("a contact is a bare JID"));
    }
    let contact = jid.to_bare();
    if contact == *owner {
        return Err(StanzaError::not_allowed().text("an account is not in its own roster"));
    }
    Ok(contact)
}

fn read_groups(item: &Element) -> Result<Vec<String>, StanzaError> {
    let mut groups = Vec::new();
    let mut seen = BTreeSet::new();
    for group in item.children().filter(|child| child.is(ns::ROSTER, "group")) {
        let group = group.text();
        if group.is_empty() || group.len() > GROUP_BYTES_MAX || groups.len() == GROUPS_MAX {
            return Err(StanzaError::not_acceptable().text("a group without name, or too much"));
        }
        if !seen.insert(group.clone()) {
            return Err(StanzaError::bad_request().text("a group is named twice"));
        }
        groups.push(group);
    }
    Ok(groups)
}
