//! Step 2, and the hooks of step 4: extensions look at a stanza in order.

use std::sync::Arc;

use jackdaw_ext::{Direction, Effect, Effects, Flow, PhaseCtx};
use jackdaw_session::{Account, Session};
use jackdaw_stanza::Stanza;

use crate::{Count, Router};

/// Whether the stanza goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It does.
    Continue,
    /// A hook ended it; its sender was told if the hook wanted that.
    Ended,
}

/// Between whom a stanza passes.
#[derive(Clone, Copy)]
pub(crate) struct Parties<'a> {
    /// The session that sent it, if it is one of this node's.
    pub(crate) sender: Option<&'a Arc<Session>>,
    /// The session it is addressed to, at the account it is of.
    pub(crate) recipient: Option<&'a Arc<Session>>,
    /// Whose extensions look at it.
    pub(crate) account: &'a Arc<Account>,
}

impl<'a> Parties<'a> {
    /// A stanza that leaves the sender's account.
    pub(crate) fn leaving(sender: &'a Arc<Session>) -> Parties<'a> {
        Parties { sender: Some(sender), recipient: None, account: sender.account() }
    }

    /// A stanza that reaches an account as such.
    pub(crate) fn reaching(
        sender: Option<&'a Arc<Session>>,
        account: &'a Arc<Account>,
    ) -> Parties<'a> {
        Parties { sender, recipient: None, account }
    }
}

impl Passed {
    pub(crate) fn is_continue(self) -> bool {
        self == Passed::Continue
    }
}

impl Router {
    /// Runs the hooks of one direction over the stanza. A refusal becomes an effect: the error
    /// goes back to the sender like any stanza of ours.
    pub(crate) fn run_hooks(
        &self,
        direction: Direction,
        parties: Parties<'_>,
        stanza: &mut Stanza,
        effects: &mut Effects,
    ) -> Passed {
        let Parties { sender, recipient, account } = parties;
        let services = &self.services;
        let mut ctx = PhaseCtx { services, session: sender, recipient, account, effects };
        for hook in self.registry.hooks(direction) {
            match hook(&mut ctx, stanza) {
                Flow::Continue => {}
                Flow::Stop(reason) => {
                    tracing::debug!(reason, ?direction, "stanza stopped");
                    self.stats.add(Count::Stopped);
                    return Passed::Ended;
                }
                Flow::Refuse(error) => {
                    self.refuse(stanza, &error, ctx.effects);
                    return Passed::Ended;
                }
            }
        }
        Passed::Continue
    }

    /// Straight to the session that sent it, if it is one of ours: the error speaks for the
    /// recipient, and the sender's own phases are for what the recipient itself sends.
    fn back_to_sender(&self, stanza: &Stanza, reply: Stanza) -> Effect {
        let sender = stanza.from().filter(|from| from.is_full());
        match sender.and_then(|from| self.services.sessions.find(from)) {
            Some(session) => Effect::Deliver(session, reply),
            None => Effect::Route(reply),
        }
    }

    /// Causes the error reply to a stanza, if it may have one.
    pub(crate) fn refuse(
        &self,
        stanza: &Stanza,
        error: &jackdaw_stanza::StanzaError,
        effects: &mut Effects,
    ) {
        if stanza.may_be_answered() && stanza.from().is_some() {
            self.stats.add_error(error.condition());
            effects.push(self.back_to_sender(stanza, stanza.error(error)));
        }
    }
}
