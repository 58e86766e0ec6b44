//! Instant messaging and presence: RFC 6121 §2 (roster), §3 (subscriptions) and §4 (presence).
//!
//! Two entrances: [`register`] for what comes as an IQ, [`Im`] for presence, which the router
//! hands over by kind. In reading order:
//!
//! - `roster`: gets and sets; `push`: how items look and who is told;
//! - `subscription`: the state tables of Appendix A, pure; `subscribe`: what follows from them;
//! - `broadcast`, `probe`, `directed`: presence that leaves; `inbound`: presence that arrives;
//! - `change`: one change of one roster, durable before it shows; `rosters`, `rows`: the store;
//! - `limits`: what one account may make the server keep.
//!
//! Everything that concerns another account is a stanza to it, also where that account is ours: it
//! passes that account's block list and may be on another node.
//!
//! Does not: decide which resources get a message, block anybody, or know of entity capabilities.
#![forbid(unsafe_code)]

mod roster;

mod push;

mod subscription;

mod subscribe;

mod broadcast;
mod directed;
mod inbound;
mod probe;

mod change;
mod rosters;
mod rows;

pub mod limits;

use std::sync::Arc;

use jackdaw_ext::{At, Ctx, Deps, Pending, Presence, Registry, Status, Xep};
use jackdaw_jid::BareJid;
use jackdaw_session::{Account, Session};
use jackdaw_stanza::{Stanza, ns};
use jackdaw_store::StoreError;
use jackdaw_xml::Element;

use rosters::Rosters;

/// What is implemented beside RFC 6121 itself; the RFC took it over (§2.6).
pub const ROSTER_VERSIONING: Xep = Xep {
    number: 237,
    name: "Roster Versioning",
    version: "1.3",
    status: Status::Complete,
    features: &[],
};

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Contacts in one roster, at most [`limits::ROSTER_ITEMS_CEILING`].
    pub roster_items_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { roster_items_max: limits::ROSTER_ITEMS_MAX }
    }
}

/// Registers the roster: its IQs, its state in memory, its stream features.
pub fn register(registry: &mut Registry, deps: &Deps) {
    let rosters = Rosters::new(deps);
    registry.iq_get(At::Account, ns::ROSTER, "query", roster::get);
    let changed = rosters.clone();
    registry.iq_set(At::Account, ns::ROSTER, "query", move |ctx, iq| {
        roster::set(changed.clone(), ctx, iq)
    });
    registry.iq_set(At::Bare, ns::ROSTER, "query", roster::forbid);
    let loaded = rosters.clone();
    registry.account_state(move |_, owner| {
        let rosters = loaded.clone();
        async move { rosters.load(&owner).await }
    });
    registry.account_deleted(move |_, owner| {
        let rosters = rosters.clone();
        async move { rosters.erase(&owner).await }
    });
    registry.session_state(directed::STATE);
    registry.stream_feature(Element::new(ns::ROSTER_VERSIONING, "ver"));
    registry.stream_feature(Element::new(ns::PRE_APPROVAL, "sub"));
}

/// Whether an account hides from a contact, although the contact is subscribed: it gets neither
/// the account's presence nor a probe (XEP-0191 §3.2).
pub type Hides = fn(&Account, &BareJid) -> bool;

/// Presence and subscriptions, as the router calls them. Cheap to clone.
#[derive(Clone)]
pub struct Im {
    rosters: Rosters,
    hides: Hides,
}

impl Im {
    /// Over the same store as [`register`]. `hides` is the block list's: a broadcast does not pass
    /// the sender's phases contact by contact.
    pub fn new(deps: &Deps, hides: Hides) -> Im {
        Im { rosters: Rosters::new(deps), hides }
    }

    /// Ends every subscription from and to an account that is about to be deleted, so that whoever
    /// gets its name later does not inherit what its contacts granted. To be called before the
    /// registry's erasers; causes only routed stanzas.
    pub async fn part(&self, ctx: &Ctx, owner: &BareJid) -> Result<(), StoreError> {
        let roster = self.rosters.load(owner).await?.unwrap_or_default();
        for (contact, item) in &roster.items {
            subscribe::part(ctx, owner, contact, item);
        }
        Ok(())
    }
}

impl Presence for Im {
    fn part(&self, ctx: Ctx, account: BareJid) -> Pending<()> {
        let im = self.clone();
        Box::pin(async move {
            if let Err(error) = Im::part(&im, &ctx, &account).await {
                tracing::error!(%error, "the subscriptions of a deleted account stay");
            }
        })
    }

    fn broadcast(&self, ctx: Ctx, stanza: Stanza) -> Pending<()> {
        let Im { rosters, hides } = self.clone();
        Box::pin(async move { broadcast::broadcast(&rosters, hides, &ctx, stanza).await })
    }

    fn directed(&self, ctx: Ctx, stanza: Stanza) -> Pending<()> {
        directed::send(&ctx, stanza);
        Box::pin(std::future::ready(()))
    }

    fn subscription_outbound(&self, ctx: Ctx, stanza: Stanza) -> Pending<()> {
        let rosters = self.rosters.clone();
        Box::pin(async move { subscribe::outbound(&rosters, &ctx, stanza).await })
    }

    fn inbound(&self, ctx: Ctx, account: BareJid, stanza: Stanza) -> Pending<()> {
        let rosters = self.rosters.clone();
        Box::pin(async move { inbound::receive(&rosters, &ctx, &account, stanza).await })
    }

    fn restored(&self, ctx: Ctx, session: Arc<Session>) -> Pending<()> {
        broadcast::forget_contacts(&ctx, &session);
        Box::pin(std::future::ready(()))
    }

    fn session_ended(&self, ctx: Ctx, session: Arc<Session>) -> Pending<()> {
        broadcast::session_ended(self.hides, &ctx, &session);
        Box::pin(std::future::ready(()))
    }
}
