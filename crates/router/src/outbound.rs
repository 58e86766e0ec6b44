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
        session: Option<&Arc<Session>>,
        account: &Arc<Account>,
        stanza: &mut Stanza,
        effects: &mut Effects,
    ) -> Passed {
        for hook in self.registry.hooks(direction) {
            let mut ctx = PhaseCtx { services: &self.services, session, account, effects };
            match hook(&mut ctx, stanza) {
                Flow::Continue => {}
                Flow::Stop(reason) => {
                    tracing::debug!(reason, ?direction, "stanza stopped");
                    self.stats.add(Count::Stopped);
                    return Passed::Ended;
                }
                Flow::Refuse(error) => {
                    self.refuse(stanza, &error, effects);
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
