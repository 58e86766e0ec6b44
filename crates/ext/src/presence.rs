//! The seam between the router and presence, roster and subscriptions (RFC 6121 §2–§4).

use std::pin::Pin;
use std::sync::Arc;

use jackdaw_jid::BareJid;
use jackdaw_session::Session;
use jackdaw_stanza::Stanza;

use crate::Ctx;

/// A future that is polled once in place and moved to the runtime only if it is not ready.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Presence logic as the router calls it. What it causes goes into the context's effects; the
/// sender's later stanzas wait until the future is done.
pub trait Presence: Send + Sync {
    /// Presence without `to` from a session of ours (RFC 6121 §4.2, §4.4, §4.5), stamped.
    fn broadcast(&self, ctx: Ctx, stanza: Stanza) -> Pending<()>;

    /// Available or unavailable presence with a `to`, leaving a session of ours (RFC 6121 §4.6).
    fn directed(&self, ctx: Ctx, stanza: Stanza) -> Pending<()>;

    /// subscribe, subscribed, unsubscribe, unsubscribed leaving a session of ours (RFC 6121 §3).
    fn subscription_outbound(&self, ctx: Ctx, stanza: Stanza) -> Pending<()>;

    /// A probe or subscription stanza that reached the owner of this account, addressed to its bare
    /// JID or to one of its full JIDs. The account need not exist: to ask for a subscription or to
    /// probe is answered as if it did.
    fn inbound(&self, ctx: Ctx, account: BareJid, stanza: Stanza) -> Pending<()>;

    /// The account is about to be deleted: ends its subscriptions, so that whoever gets its name
    /// later does not inherit what its contacts granted.
    fn part(&self, ctx: Ctx, account: BareJid) -> Pending<()>;

    /// A session was restored from its record: what its client takes the contacts for is as old as
    /// that, and nobody looks online from here on but who turns out to be. Its own presence
    /// follows, as a broadcast.
    fn restored(&self, ctx: Ctx, session: Arc<Session>) -> Pending<()> {
        let _ = (ctx, session);
        Box::pin(std::future::ready(()))
    }

    /// A session ended without saying `unavailable`: say it for it (RFC 6121 §4.5.2).
    fn session_ended(&self, ctx: Ctx, session: Arc<Session>) -> Pending<()>;
}
