//! What a handler sees of the world.

use std::sync::Arc;

use jackdaw_jid::{BareJid, JidRef};
use jackdaw_session::{Account, Session};
use jackdaw_stanza::StanzaError;
use parking_lot::Mutex;

use crate::{Effect, Effects, Services, stanza_error};

/// Context of a handler that may await a store. Cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    inner: Arc<Inner>,
}

struct Inner {
    services: Arc<Services>,
    /// The session that sent the stanza, if it is one of this node's.
    session: Option<Arc<Session>>,
    /// The account the stanza is about; a host's is its bare domain.
    target: BareJid,
    /// The target's state, where whoever made the context had it at hand.
    account: Option<Arc<Account>>,
    effects: Mutex<Effects>,
}

impl Ctx {
    /// A context for one stanza.
    pub fn new(services: Arc<Services>, session: Option<Arc<Session>>, target: BareJid) -> Ctx {
        Ctx::with(services, session, target, None)
    }

    /// A context for one stanza about an account whose state is at hand: it is not loaded again.
    pub fn of_account(
        services: Arc<Services>,
        session: Option<Arc<Session>>,
        account: Arc<Account>,
    ) -> Ctx {
        Ctx::with(services, session, account.jid().clone(), Some(account))
    }

    fn with(
        services: Arc<Services>,
        session: Option<Arc<Session>>,
        target: BareJid,
        account: Option<Arc<Account>>,
    ) -> Ctx {
        let effects = Mutex::default();
        Ctx { inner: Arc::new(Inner { services, session, target, account, effects }) }
    }

    /// The services of the node.
    pub fn services(&self) -> &Arc<Services> {
        &self.inner.services
    }

    /// The sending session. Handlers that need one are registered where only sessions reach them.
    pub fn session(&self) -> Result<&Arc<Session>, StanzaError> {
        self.inner.session.as_ref().ok_or_else(StanzaError::not_allowed)
    }

    /// The account the stanza is about (the user's own, a contact's), or the host.
    pub fn target(&self) -> &BareJid {
        &self.inner.target
    }

    /// Causes something. Drained when the handler is done, in this order.
    pub fn effect(&self, effect: Effect) {
        self.inner.effects.lock().push(effect);
    }

    /// Takes what was caused so far; the router's.
    pub fn take_effects(&self) -> Effects {
        std::mem::take(&mut self.inner.effects.lock())
    }

    /// State of the target account; `None` if there is no such account.
    pub async fn account(&self) -> Result<Option<Arc<Account>>, StanzaError> {
        if let Some(account) = &self.inner.account {
            return Ok(Some(Arc::clone(account)));
        }
        self.services().account(self.target()).await.map_err(|error| stanza_error(&error))
    }

    /// Whether `requester` may know of the target account's presence: it is the account itself,
    /// or has a subscription `from` (RFC 6121 §4.3.2).
    pub async fn may_see_presence(&self, requester: JidRef<'_>) -> Result<bool, StanzaError> {
        if requester.bare_str() == self.target().as_str() {
            return Ok(true);
        }
        let Some(account) = self.account().await? else { return Ok(false) };
        let roster = account.slot::<crate::Roster>();
        Ok(roster.is_some_and(|roster| roster.subscription(requester.bare_str()).has_from()))
    }
}

/// Context of a phase hook: synchronous, borrowed, nothing allocated.
pub struct PhaseCtx<'a> {
    /// The services of the node.
    pub services: &'a Arc<Services>,
    /// The session that sent the stanza, if it is one of this node's.
    pub session: Option<&'a Arc<Session>>,
    /// The session that the stanza is addressed to, if it reaches the account it is of: in
    /// `Inbound`, by full JID.
    pub recipient: Option<&'a Arc<Session>>,
    /// Whose phase it is: the sender's account in `Outbound`, the recipient's in `Inbound`.
    pub account: &'a Arc<Account>,
    /// What the hooks caused so far.
    pub effects: &'a mut Effects,
}

impl PhaseCtx<'_> {
    /// Causes something. Drained when the stanza is done, in this order.
    pub fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}
