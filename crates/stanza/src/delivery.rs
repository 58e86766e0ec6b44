//! The last form of a stanza before it is bytes: chosen for one session.

use crate::Stanza;

/// Names a delivery that somebody waits for; given out by the router, reported back when the
/// client acknowledged it (XEP-0198 §4) or, without stream management, when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settle(pub u64);

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
