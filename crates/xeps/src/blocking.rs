//! XEP-0191: Blocking Command. A user hides from, and no longer hears, chosen JIDs.
//!
//! Owns the block list of an account. It is in the account's state, so that the hooks need no
//! store. Broadcast presence does not pass them contact by contact: its sender asks [`hides`]. Does
//! not: privacy lists (XEP-0016), spam reports (XEP-0377), or end subscriptions: blocking is
//! polite (§4).

use std::collections::BTreeSet;
use std::sync::Arc;

use jackdaw_ext::{
    AccountState, At, Ctx, Deps, Direction, Effect, Flow, Iq, PhaseCtx, Registry, Reply, Roster,
    SessionState, Status, Xep, stanza_error,
};
use jackdaw_jid::{BareJid, Jid, JidRef};
use jackdaw_session::{Account, Session};
use jackdaw_stanza::{Builder, ErrorType, IqType, Kind, Stanza, StanzaError, ns};
use jackdaw_store::{Fields, KeyValue, StoreError, Table, Value, Writer};
use jackdaw_xml::{Element, Limits, Scope};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 191,
    name: "Blocking Command",
    version: "1.3",
    status: Status::Complete,
    features: &[ns::BLOCKING],
};

/// The block lists, one row per account that ever blocked somebody.
const BLOCKING: Table = Table::new("blocking");

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Config {
    /// JIDs that an account may block. The list is in memory while its account is, and is written
    /// whole.
    pub items_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { items_max: 1000 }
    }
}

/// Session slot: this session has asked for the list, and hears of changes (§3.3).
struct Interested;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Block,
    Unblock,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Change::Block => "block",
            Change::Unblock => "unblock",
        }
    }
}

/// Registers the handlers, the hooks and the state.
pub fn register(on: &mut Registry, deps: &Deps) {
    let lists: KeyValue<Row> = deps.stores.key_value(BLOCKING);
    let items_max = deps.config::<Config>().items_max;
    on.feature(At::Host, ns::BLOCKING);
    on.iq_get(At::Account, ns::BLOCKING, "blocklist", fetch);
    for kind in [Change::Block, Change::Unblock] {
        let lists = lists.clone();
        on.iq_set(At::Account, ns::BLOCKING, kind.name(), move |ctx, iq| {
            change(lists.clone(), items_max, kind, ctx, iq)
        });
    }
    on.session_state(SessionState {
        name: "blocklist",
        save: |session| session.has_slot::<Interested>().then(Vec::new),
        restore: |session, _| session.set_slot(Interested),
    });
    on.phase(191, Direction::Outbound, refuse_to_blocked);
    on.phase(191, Direction::Inbound, stop_from_blocked);
    let loaded = lists.clone();
    on.account_state(move |_, account| {
        let lists = loaded.clone();
        async move { Ok(lists.get(&account).await?.map(|row| row.0)) }
    });
    on.account_deleted(move |_, account| {
        let lists = lists.clone();
        async move { lists.delete(&account).await }
    });
}

/// Answers with the whole list; an account that never blocked anyone gets an empty one (§3.2).
async fn fetch(ctx: Ctx, _: Iq) -> Result<Reply, StanzaError> {
    let session = ctx.session()?;
    session.set_slot(Interested);
    let list = block_list(session.account());
    Ok(Reply::new(with_items("blocklist", &Vec::from_iter(&list.jids))))
}

fn block_list(account: &Account) -> Arc<BlockList> {
    account.slot().unwrap_or_default()
}

/// Blocks or unblocks: durable first, then in force, then told (§3.3–§3.5).
async fn change(
    lists: KeyValue<Row>,
    items_max: usize,
    kind: Change,
    ctx: Ctx,
    iq: Iq,
) -> Result<Reply, StanzaError> {
    let jids = items(&iq.element()?)?;
    if kind == Change::Block && jids.is_empty() {
        return Err(StanzaError::bad_request());
    }
    let _changing = ctx.services().locks.lock(ctx.target()).await;
    let account = ctx.account().await?.ok_or_else(StanzaError::item_not_found)?;
    let before = block_list(&account);
    let mut after = (*before).clone();
    match kind {
        Change::Block => after.jids.extend(jids.iter().cloned()),
        Change::Unblock if jids.is_empty() => after.jids.clear(),
        Change::Unblock => after.jids.retain(|jid| !jids.contains(jid)),
    }
    if after.jids.len() > items_max {
        return Err(StanzaError::policy_violation().text("the block list is full"));
    }
    if after != *before {
        let row = Row(after.clone());
        lists.put(ctx.target(), &row).await.map_err(|error| stanza_error(&error))?;
        account.set_slot(Arc::new(after.clone()));
    }
    push(&ctx, &with_items(kind.name(), &Vec::from_iter(&jids)));
    show_presence(&ctx, &account, &before, &after);
    Ok(Reply::empty())
}

/// The JIDs in the `<item/>`s.
fn items(payload: &Element) -> Result<Vec<Jid>, StanzaError> {
    let items = payload.children().filter(|child| child.is(ns::BLOCKING, "item"));
    let jid = |item: &Element| {
        let jid = item.attr("jid").ok_or_else(StanzaError::bad_request)?;
        Jid::parse(jid).map_err(|_| StanzaError::jid_malformed())
    };
    items.map(jid).collect()
}

fn with_items(name: &str, jids: &[&Jid]) -> Element {
    let item = |jid: &&Jid| Element::new(ns::BLOCKING, "item").with_attr("jid", jid.as_str());
    Element::new(ns::BLOCKING, name).with_children(jids.iter().map(item))
}

/// Tells the resources that have asked for the list, the one that changed it too (§3.3). Without
/// `from`: it comes from the account itself.
fn push(ctx: &Ctx, payload: &Element) {
    let id = format!("push-{}", ctx.services().random_id());
    let push = Builder::iq(IqType::Set).id(&id).payload(payload).build();
    for session in ctx.services().sessions.of(ctx.target().as_str()) {
        if session.has_slot::<Interested>() {
            let push = push.addressed_to(session.jid().clone().into());
            ctx.effect(Effect::Deliver(session, push));
        }
    }
}

/// Whoever is blocked sees the user leave, whoever is unblocked sees the user come: only those
/// that may see presence at all (§3.3, §3.4).
fn show_presence(ctx: &Ctx, account: &Account, before: &BlockList, after: &BlockList) {
    let Some(roster) = account.slot::<Roster>() else { return };
    let subscribers = roster.items.iter().filter(|(_, item)| item.subscription.has_from());
    let bare = subscribers.map(|(contact, _)| Jid::from(contact.clone()));
    let changed = before.jids.symmetric_difference(&after.jids);
    let full = changed
        .filter(|jid| jid.is_full() && roster.subscription(jid.bare_str()).has_from())
        .cloned();
    let sessions = ctx.services().sessions.of(account.jid().as_str());
    for contact in bare.chain(full) {
        let jid = contact.as_jid_ref();
        let (was_blocked, is_blocked) = (before.blocks(jid), after.blocks(jid));
        if was_blocked == is_blocked {
            continue;
        }
        for session in &sessions {
            let presence = if is_blocked { unavailable(session) } else { last_presence(session) };
            if let Some(presence) = presence {
                ctx.effect(Effect::Route(presence.addressed_to(contact.clone())));
            }
        }
    }
}

fn unavailable(session: &Session) -> Option<Stanza> {
    let from = session.jid().clone();
    let build = || Builder::presence().from(from).with_type("unavailable").build();
    session.is_available().then(build)
}

fn last_presence(session: &Session) -> Option<Stanza> {
    let bytes = session.availability().presence?;
    Stanza::parse(bytes, &Scope::client(), &Limits::trusted()).ok()
}

/// §3.3: nothing leaves for a blocked JID. Own resources are never blocked (§5).
fn refuse_to_blocked(ctx: &mut PhaseCtx<'_>, stanza: &mut Stanza) -> Flow {
    let Some(to) = stanza.to() else { return Flow::Continue };
    let Some(list) = ctx.account.slot::<BlockList>() else { return Flow::Continue };
    if !list.blocks(to) || to.bare_str() == ctx.account.jid().as_str() {
        return Flow::Continue;
    }
    let blocked = Element::new(ns::BLOCKING_ERRORS, "blocked");
    let error = StanzaError::not_acceptable().with_type(ErrorType::Cancel).application(blocked);
    Flow::Refuse(error)
}

/// The blocked sender must see the user as offline (§3.3): silence for presence and IQ answers,
/// `service-unavailable` for messages and IQ requests, as from an account that does not exist.
fn stop_from_blocked(ctx: &mut PhaseCtx<'_>, stanza: &mut Stanza) -> Flow {
    let Some(from) = stanza.from() else { return Flow::Continue };
    let Some(list) = ctx.account.slot::<BlockList>() else { return Flow::Continue };
    if !list.blocks(from) || from.bare_str() == ctx.account.jid().as_str() {
        return Flow::Continue;
    }
    match stanza.kind() {
        Kind::Presence => Flow::Stop("from a blocked JID"),
        Kind::Message | Kind::Iq => Flow::Refuse(StanzaError::service_unavailable()),
    }
}

/// Whether an account hides its presence from this contact; what `jackdaw_im` asks before it
/// broadcasts.
pub fn hides(account: &Account, contact: &BareJid) -> bool {
    account.slot::<BlockList>().is_some_and(|list| list.blocks(contact.as_jid_ref()))
}

/// Whom an account has blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct BlockList {
    /// Domains, bare and full JIDs.
    jids: BTreeSet<Jid>,
}

impl BlockList {
    /// Whether this JID is blocked: itself, its account, or its whole domain (XEP-0191 §6).
    fn blocks(&self, jid: JidRef<'_>) -> bool {
        !self.jids.is_empty()
            && [jid.as_str(), jid.bare_str(), jid.domain()]
                .into_iter()
                .any(|text| self.jids.contains(text))
    }
}

impl AccountState for BlockList {
    fn bytes(&self) -> usize {
        let of = |jid: &Jid| size_of::<Jid>() + jid.as_str().len();
        size_of::<BlockList>() + self.jids.iter().map(of).sum::<usize>()
    }
}

/// A stored block list: the number of JIDs, then each.
struct Row(BlockList);

/// What version 1 of a row looks like is in [`Row`].
const ROW_VERSION: u8 = 1;

impl Value for Row {
    fn encode(&self) -> Vec<u8> {
        let row = Writer::new(ROW_VERSION).u64(self.0.jids.len() as u64);
        self.0.jids.iter().fold(row, |row, jid| row.text(jid.as_str())).finish()
    }

    fn decode(row: &[u8]) -> Result<Row, StoreError> {
        let mut fields = Fields::new(row)?;
        if fields.version() != ROW_VERSION {
            return Err(StoreError::Corrupt("a block list of an unknown version"));
        }
        let mut list = BlockList::default();
        for _ in 0..fields.u64()? {
            let jid = Jid::parse(fields.text()?);
            list.jids.insert(jid.map_err(|_| StoreError::Corrupt("a blocked JID"))?);
        }
        Ok(Row(list))
    }
}

#[cfg(test)]
#[path = "blocking_test.rs"]
mod tests;
