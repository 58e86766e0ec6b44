//! XEP-0012: Last Activity. Since when a user is away, and how long the server runs.
//!
//! Owns the moment at which an account's last resource became unavailable. Does not: know how long
//! a user is idle; a client answers for its full JID.
//!
//! Nobody waits for the write of that moment, but who has seen the unavailable presence may ask at
//! once: what is under way to the store is answered from memory.

use jackdaw_ext::{
    At, Ctx, Deps, Direction, Flow, Iq, Lifecycle, PhaseCtx, Registry, Reply, Roster, Status, Xep,
    stanza_error,
};
use jackdaw_jid::BareJid;
use jackdaw_session::Session;
use jackdaw_stanza::{IqType, Stanza, StanzaError, ns};
use jackdaw_store::{Batch, Durability, Fields, Map, StoreError, Table, Value, Writer};
use jackdaw_xml::Element;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 12,
    name: "Last Activity",
    version: "2.0",
    status: Status::Complete,
    features: &[ns::LAST],
};

/// The last unavailable presence of an account.
const LAST_ACTIVITY: Table = Table::new("last_activity");

/// The only item of an account.
const ONLY: &[u8] = b"";

/// Bytes of a status text that are kept: a sentence, not a novel.
const STATUS_BYTES_MAX: usize = 1024;

/// Registers the handlers and hooks.
pub fn register(on: &mut Registry, deps: &Deps) {
    let moments =
        Moments { rows: deps.stores.map(LAST_ACTIVITY), unwritten: Arc::new(Unwritten::default()) };
    on.feature(At::Host, ns::LAST);
    on.feature(At::Account, ns::LAST);
    on.iq_get(At::Host, ns::LAST, "query", uptime);
    for at in [At::Account, At::Bare] {
        let moments = moments.clone();
        on.iq_get(at, ns::LAST, "query", move |ctx, iq| answer(moments.clone(), ctx, iq));
    }
    on.phase(12, Direction::Inbound, guard_resources);
    let unwritten = Arc::clone(&moments.unwritten);
    on.session(Lifecycle::Unavailable, move |ctx, session, presence| {
        remember(&unwritten, ctx, session, presence);
    });
    on.account_deleted(move |_, account| {
        let rows = moments.rows.clone();
        async move { rows.clear(&account).await }
    });
}

/// §5.
async fn uptime(ctx: Ctx, _: Iq) -> Result<Reply, StanzaError> {
    let server = ctx.services().administration.get();
    let server = server.ok_or_else(StanzaError::service_unavailable)?;
    let now = ctx.services().clock.now();
    Ok(Reply::new(query(now.secs().saturating_sub(server.started_at().secs()), "")))
}

/// §3: only who may see presence learns since when there is none.
async fn answer(moments: Moments, ctx: Ctx, iq: Iq) -> Result<Reply, StanzaError> {
    let requester = iq.stanza().from().ok_or_else(StanzaError::bad_request)?;
    if !ctx.may_see_presence(requester).await? {
        return Err(StanzaError::forbidden());
    }
    if !ctx.services().sessions.of(ctx.target().as_str()).is_empty() {
        return Ok(Reply::new(query(0, "")));
    }
    let row = moments.last(ctx.target()).await.map_err(|error| stanza_error(&error))?;
    // An account that was never available.
    let row = row.ok_or_else(StanzaError::item_not_found)?;
    let now = ctx.services().clock.now();
    Ok(Reply::new(query(now.secs().saturating_sub(row.at_secs), &row.status)))
}

fn query(seconds: u64, status: &str) -> Element {
    Element::new(ns::LAST, "query").with_attr("seconds", seconds.to_string()).with_text(status)
}

/// §4: a question to a resource passes only if its sender may see presence.
fn guard_resources(ctx: &mut PhaseCtx<'_>, stanza: &mut Stanza) -> Flow {
    if stanza.iq_type() != Some(IqType::Get) || !stanza.has(ns::LAST, "query") {
        return Flow::Continue;
    }
    let (Some(to), Some(from)) = (stanza.to(), stanza.from()) else { return Flow::Continue };
    let is_own = from.bare_str() == ctx.account.jid().as_str();
    if !to.is_full() || is_own {
        return Flow::Continue;
    }
    let roster = ctx.account.slot::<Roster>();
    let may_see = roster.is_some_and(|roster| roster.subscription(from.bare_str()).has_from());
    if may_see { Flow::Continue } else { Flow::Refuse(StanzaError::forbidden()) }
}

/// Writes down when, and with which words. Nobody waits for it, and a crash of the machine may take
/// it: then the time before is told.
fn remember(
    unwritten: &Arc<Unwritten>,
    ctx: &mut PhaseCtx<'_>,
    session: &Arc<Session>,
    presence: Option<&Stanza>,
) {
    let account = session.account().jid();
    let row = Row {
        at_secs: ctx.services.clock.now().secs(),
        status: presence.map(status).unwrap_or_default(),
    };
    let mut batch = Batch::new();
    batch.put(LAST_ACTIVITY, account, ONLY, row.encode());
    let mark = unwritten.begin(account, row);
    let (unwritten, account) = (Arc::clone(unwritten), account.clone());
    let done = move |outcome: Result<(), StoreError>| {
        unwritten.end(&account, mark);
        if let Err(error) = outcome {
            tracing::warn!(%error, "a last activity was not written");
        }
    };
    let engine = ctx.services.stores.engine();
    engine.commit_then(batch, Durability::Fast, Box::new(done));
}

fn status(presence: &Stanza) -> String {
    let status = presence.payload(ns::CLIENT, "status").and_then(|p| p.element().ok());
    let mut text = status.map(|status| status.text()).unwrap_or_default();
    text.truncate(text.floor_char_boundary(STATUS_BYTES_MAX));
    text
}

/// The moments of all accounts: those in the store, and before them those on the way to it.
#[derive(Clone)]
struct Moments {
    rows: Map<Row>,
    unwritten: Arc<Unwritten>,
}

impl Moments {
    /// When `account` was last there, or nothing if it never was.
    async fn last(&self, account: &BareJid) -> Result<Option<Row>, StoreError> {
        match self.unwritten.get(account) {
            Some(row) => Ok(Some(row)),
            None => self.rows.get(account, ONLY).await,
        }
    }
}

/// Moments whose commit has not ended. As many as the engine's queue of commits takes: a commit
/// that finds it full ends at once.
#[derive(Default)]
struct Unwritten {
    marks: Mutex<Marks>,
}

#[derive(Default)]
struct Marks {
    /// Of the newest write; an older one that ends later must not take it away.
    next: u64,
    rows: HashMap<BareJid, (u64, Row)>,
}

impl Unwritten {
    /// A write begins. The mark is for [`end`](Unwritten::end).
    fn begin(&self, account: &BareJid, row: Row) -> u64 {
        let mut marks = self.marks.lock();
        marks.next += 1;
        let mark = marks.next;
        marks.rows.insert(account.clone(), (mark, row));
        mark
    }

    /// A write ended, well or not: from now on the store answers.
    fn end(&self, account: &BareJid, mark: u64) {
        let mut marks = self.marks.lock();
        if marks.rows.get(account).is_some_and(|(newest, _)| *newest == mark) {
            marks.rows.remove(account);
        }
    }

    fn get(&self, account: &BareJid) -> Option<Row> {
        self.marks.lock().rows.get(account).map(|(_, row)| row.clone())
    }
}

/// A stored moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    at_secs: u64,
    status: String,
}

/// Seconds since the epoch, then the status.
const ROW_VERSION: u8 = 1;

impl Value for Row {
    fn encode(&self) -> Vec<u8> {
        Writer::new(ROW_VERSION).u64(self.at_secs).text(&self.status).finish()
    }

    fn decode(row: &[u8]) -> Result<Row, StoreError> {
        let mut fields = Fields::new(row)?;
        if fields.version() != ROW_VERSION {
            return Err(StoreError::Corrupt("a last activity of an unknown version"));
        }
        Ok(Row { at_secs: fields.u64()?, status: fields.text()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_harness::Harness;
    use jackdaw_ext::Subscription;

    const QUERY: &str = "<query xmlns='jabber:iq:last'/>";

    #[test]
    fn the_server_tells_how_long_it_runs() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        harness.set_time(123_456_000);
        let expected = "<query xmlns='jabber:iq:last' seconds='123456'/>";
        assert_eq!(harness.get(&juliet, "capulet.lit", QUERY), expected);
    }

    #[test]
    fn a_contact_hears_since_when_and_why_the_user_is_away() {
        let harness = Harness::new();
        let romeo = harness.connect("romeo@capulet.lit/orchard");
        let juliet = harness.online("juliet@capulet.lit/balcony");
        harness.subscribe("juliet@capulet.lit", "romeo@capulet.lit", Subscription::From);
        harness.set_time(1_000_000);
        let presence = "<presence type='unavailable'><status>Heading Home</status></presence>";
        harness.tell(Lifecycle::Unavailable, &juliet, Some(presence));
        harness.set_time(1_903_000);
        let at_home = "<query xmlns='jabber:iq:last' seconds='0'/>";
        assert_eq!(harness.get(&romeo, "juliet@capulet.lit", QUERY), at_home);
        harness.services.sessions.unbind(&juliet);
        assert_eq!(
            harness.get(&juliet, "", QUERY),
            "<query xmlns='jabber:iq:last' seconds='903'>Heading Home</query>"
        );
    }

    #[test]
    fn a_stranger_is_told_nothing() {
        let harness = Harness::new();
        let romeo = harness.connect("romeo@capulet.lit/orchard");
        harness.online("juliet@capulet.lit/balcony");
        harness.subscribe("juliet@capulet.lit", "romeo@capulet.lit", Subscription::To);
        assert_eq!(harness.get(&romeo, "juliet@capulet.lit", QUERY), "forbidden");
        let to_resource = format!(
            "<iq type='get' id='1' from='romeo@capulet.lit/o' \
             to='juliet@capulet.lit/balcony'>{QUERY}</iq>"
        );
        let outcome = harness.inbound("juliet@capulet.lit", &to_resource);
        assert_eq!(outcome.error().condition().name(), "forbidden");
        harness.subscribe("juliet@capulet.lit", "romeo@capulet.lit", Subscription::From);
        harness.inbound("juliet@capulet.lit", &to_resource).stanza();
    }

    #[test]
    fn a_status_is_cut_between_characters() {
        let harness = Harness::new();
        let juliet = harness.online("juliet@capulet.lit/balcony");
        let text = "ü".repeat(STATUS_BYTES_MAX);
        let presence = format!("<presence type='unavailable'><status>{text}</status></presence>");
        harness.tell(Lifecycle::Unavailable, &juliet, Some(&presence));
        harness.services.sessions.unbind(&juliet);
        let answer = harness.get(&juliet, "", QUERY);
        assert_eq!(answer.matches('ü').count(), STATUS_BYTES_MAX / 2);
    }

    #[test]
    fn what_is_on_its_way_to_the_store_is_told_until_the_store_has_it() {
        let juliet = BareJid::parse("juliet@capulet.lit").expect("a JID");
        let row = |at_secs| Row { at_secs, status: String::new() };
        let unwritten = Unwritten::default();
        let first = unwritten.begin(&juliet, row(1));
        let second = unwritten.begin(&juliet, row(2));
        unwritten.end(&juliet, first);
        assert_eq!(unwritten.get(&juliet), Some(row(2)), "the older write ended");
        unwritten.end(&juliet, second);
        assert_eq!(unwritten.get(&juliet), None);
    }

    #[test]
    fn a_row_survives_and_a_newer_one_is_not_misread() {
        let row = Row { at_secs: 7, status: "x".into() };
        assert_eq!(Row::decode(&row.encode()), Ok(row));
        assert!(Row::decode(&[9, 0]).is_err());
    }
}
