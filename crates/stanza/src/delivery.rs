//! The last form of a stanza before it is bytes: chosen for one session.

use crate::Stanza;

/// Names a delivery that somebody waits for; given out by the router, reported back when the
/// client acknowledged it (XEP-0198 §4) or, without stream management, when it was written.
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
}

impl Delivery {
    /// A delivery that nobody waits for.
    pub fn untracked(stanza: Stanza) -> Delivery {
        Delivery { stanza, settle: None }
    }
}
