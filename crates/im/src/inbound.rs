//! Probes and subscription stanzas that reached the owner of their recipient's account. Other
//! presence is only shown, which the router does (RFC 6121 §8.5.2.1.2).

use jackdaw_ext::Ctx;
use jackdaw_jid::BareJid;
use jackdaw_stanza::{PresenceType, Stanza};

use crate::rosters::Rosters;
use crate::subscription::Handshake;
use crate::{probe, subscribe};

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
