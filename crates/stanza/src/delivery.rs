//! The last form of a stanza before it is bytes: chosen for one session.

use crate::Stanza;

/// Names a delivery that somebody waits for; given out by the router, reported back when the
/// client acknowledged it (XEP-0198 §4) or, without stream management, when its socket took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settle(pub u64);

/// The bit of a token that says whether its delivery is held; no place in a ledger needs it.
const HELD: u64 = 1 << 63;

impl Settle {
    /// For a delivery that may be written to the client only when the number that it gets in the
    /// session is durable: until then its client must not have it, and nor what comes behind it.
    #[must_use]
    pub fn held(self) -> Settle {
        Settle(self.0 | HELD)
    }

    /// Whether the delivery is held.
    pub fn is_held(self) -> bool {
        self.0 & HELD != 0
    }

    /// The same token for a delivery that may be written at once.
    #[must_use]
    pub fn released(self) -> Settle {
        Settle(self.0 & !HELD)
    }
}

/// A stanza for one session. Made only from a routed stanza; no step turns it back into one but
/// the end of its session.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What is delivered, with its final `to` and `from`.
    pub stanza: Stanza,
    /// Who waits for it, if anybody does.
    pub settle: Option<Settle>,
    /// Of a message that nobody waits for, its place in the account's spool: its stream may refuse
    /// it, and then its order among the others counts. Zero: it has none.
    pub position: u64,
}

impl Delivery {
    /// A delivery that nobody waits for.
    pub fn untracked(stanza: Stanza) -> Delivery {
        Delivery { stanza, settle: None, position: 0 }
    }

    /// A delivery that somebody waits for.
    pub fn tracked(stanza: Stanza, settle: Settle) -> Delivery {
        Delivery { stanza, settle: Some(settle), position: 0 }
    }

    /// Whether a stream may refuse it: it can wait in the spool, or its sender is told.
    pub fn can_wait(&self) -> bool {
        self.settle.is_some() || self.position > 0
    }
}
