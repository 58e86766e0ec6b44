//! Presence that reached the owner of its recipient's account (RFC 6121 §8.5.2.1.2).

use jackdaw_ext::Ctx;
use jackdaw_jid::BareJid;
use jackdaw_stanza::{PresenceType, Stanza};

use crate::rosters::Rosters;
use crate::subscription::Handshake;
use crate::{probe, subscribe};

/// Presence that is only shown to the available resources: nearly all of it. From contacts and
/// strangers alike: a stranger's is directed presence (§4.6.4), and whether the user wants to hear
/// of strangers is for the user's block list.
pub(crate) fn is_shown_as_it_is(stanza: &Stanza) -> bool {
    matches!(
        stanza.presence_type(),
        Some(PresenceType::Available | PresenceType::Unavailable | PresenceType::Error)
    )
}

/// A probe or subscription stanza to an account or to one of its resources.
pub(crate) async fn receive(rosters: &Rosters, ctx: &Ctx, owner: &BareJid, stanza: Stanza) {
    let Some(kind) = stanza.presence_type() else { return };
    if kind == PresenceType::Probe {
        probe::answer(ctx, owner, &stanza).await;
        return;
    }
    let Some(handshake) = Handshake::of(kind) else { return };
    if handshake == Handshake::Subscribe || reaches_account(ctx, &stanza) {
        subscribe::inbound(rosters, ctx, owner, handshake, stanza).await;
    }
}

/// False for a full JID that no session has: such a stanza is ignored (§8.5.3.2.2).
fn reaches_account(ctx: &Ctx, stanza: &Stanza) -> bool {
    stanza.to().is_some_and(|to| !to.is_full() || ctx.services().sessions.find(to).is_some())
}
