//! Directed presence (RFC 6121 §4.6): shared with somebody who is not subscribed.
//!
//! A session remembers whom it told that it is available, so that they hear when it is not.

use std::collections::BTreeSet;
use std::sync::Arc;

use jackdaw_ext::{Ctx, Effect, SessionState};
use jackdaw_jid::{Jid, JidRef};
use jackdaw_session::Session;
use jackdaw_stanza::{PresenceType, Stanza, StanzaError};
use parking_lot::Mutex;

use crate::change::roster_of;
use crate::limits::DIRECTED_MAX;
use crate::push;

/// Session slot: who got directed presence and no `unavailable` since.
#[derive(Debug, Default)]
struct Directed {
    targets: Mutex<BTreeSet<Jid>>,
}

/// Outlives the process with the session: whoever was told is to hear of its end.
pub(crate) const STATE: SessionState = SessionState { name: "directed", save, restore };

fn save(session: &Session) -> Option<Vec<u8>> {
    let directed = session.slot::<Directed>()?;
    let targets = directed.targets.lock();
    let lines: Vec<_> = targets.iter().map(Jid::as_str).collect();
    (!lines.is_empty()).then(|| lines.join("\n").into_bytes())
}

fn restore(session: &Session, saved: &[u8]) {
    let lines = String::from_utf8_lossy(saved);
    let targets = lines.lines().take(DIRECTED_MAX).filter_map(|line| Jid::parse(line).ok());
    session.set_slot(Directed { targets: Mutex::new(targets.collect()) });
}

/// Available or unavailable presence with a `to` from a session of ours.
pub(crate) fn send(ctx: &Ctx, stanza: Stanza) {
    let Ok(session) = ctx.session() else { return };
    let Some(target) = stanza.to() else { return };
    if stanza.presence_type() == Some(PresenceType::Unavailable) {
        forget(session, target);
    } else if !is_subscribed(session, target) && !remember(session, target) {
        let error = StanzaError::resource_constraint().text("too many directed presences");
        push::refuse(ctx, session, &stanza, &error);
        return;
    }
    ctx.effect(Effect::Route(stanza));
}

/// Whether the target hears anyway when this session becomes unavailable (§4.6.3, rule 1).
fn is_subscribed(session: &Session, target: JidRef<'_>) -> bool {
    session.is_available()
        && (target.bare_str() == session.jid().bare_str()
            || roster_of(session.account()).subscription(target.bare_str()).has_from())
}

/// False where the session is at its bound.
fn remember(session: &Session, target: JidRef<'_>) -> bool {
    // The stanzas of a session are handled one after the other: nobody else makes the slot.
    let directed = session.slot::<Directed>().unwrap_or_else(|| {
        session.set_slot(Directed::default());
        session.slot().unwrap_or_default()
    });
    let mut targets = directed.targets.lock();
    if targets.contains(target.as_str()) {
        return true;
    }
    targets.len() < DIRECTED_MAX && targets.insert(target.to_jid())
}

fn forget(session: &Session, target: JidRef<'_>) {
    if let Some(directed) = session.slot::<Directed>() {
        directed.targets.lock().remove(target.as_str());
    }
}

/// The session is unavailable now: everybody it told otherwise hears of it, but those who hear it
/// already (§4.6.3, rule 2).
pub(crate) fn end(
    ctx: &Ctx,
    session: &Arc<Session>,
    unavailable: &Stanza,
    hears_already: impl Fn(JidRef<'_>) -> bool,
) {
    let Some(directed) = session.slot::<Directed>() else { return };
    let targets = std::mem::take(&mut *directed.targets.lock());
    session.remove_slot::<Directed>();
    for target in targets {
        if !hears_already(target.as_jid_ref()) {
            ctx.effect(Effect::Route(unavailable.addressed_to(target)));
        }
    }
}

/// Whether this session shares its presence with `other` for the time being (§4.6.6). A whole
/// account or room may ask about what was sent to one of its full JIDs, not the other way round.
pub(crate) fn is_shared_with(session: &Session, other: JidRef<'_>) -> bool {
    let Some(directed) = session.slot::<Directed>() else { return false };
    let targets = directed.targets.lock();
    targets.contains(other.as_str())
        || (!other.is_full() && targets.iter().any(|target| target.bare_str() == other.as_str()))
}
