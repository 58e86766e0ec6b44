//! Subscription states (RFC 6121 Appendix A) as tables, and pre-approval (§3.4) on top of them.
//!
//! Pure: what becomes of a roster item when a subscription stanza leaves or reaches its account.
//! What follows from that on the wire is `subscribe.rs`.

use jackdaw_ext::{RosterItem, Subscription};
use jackdaw_stanza::PresenceType;

use State::{
    Both, From, FromPendingOut, NonePendingIn, NonePendingOut, NonePendingOutIn, To, ToPendingIn,
};

/// The four stanzas that manage a subscription (RFC 6121 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    Subscribe,
    Unsubscribe,
    Subscribed,
    Unsubscribed,
}

impl Handshake {
    /// The handshake that a presence of this type is, if it is one.
    pub(crate) fn of(kind: PresenceType) -> Option<Handshake> {
        match kind {
            PresenceType::Subscribe => Some(Handshake::Subscribe),
            PresenceType::Unsubscribe => Some(Handshake::Unsubscribe),
            PresenceType::Subscribed => Some(Handshake::Subscribed),
            PresenceType::Unsubscribed => Some(Handshake::Unsubscribed),
            PresenceType::Available
            | PresenceType::Error
            | PresenceType::Probe
            | PresenceType::Unavailable => None,
        }
    }

    /// The value of the `type` attribute.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Handshake::Subscribe => "subscribe",
            Handshake::Unsubscribe => "unsubscribe",
            Handshake::Subscribed => "subscribed",
            Handshake::Unsubscribed => "unsubscribed",
        }
    }
}

/// The nine states, in the order of RFC 6121 §A.1, seen from the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    None,
    NonePendingOut,
    NonePendingIn,
    NonePendingOutIn,
    To,
    ToPendingIn,
    From,
    FromPendingOut,
    Both,
}

impl State {
    /// The state of an item. A stored combination that the RFC does not know (a request pending
    /// in a direction that is subscribed already) counts as subscribed.
    fn of(item: &RosterItem) -> State {
        match (item.subscription, item.is_pending_out, item.is_pending_in) {
            (Subscription::None, false, false) => State::None,
            (Subscription::None, true, false) => NonePendingOut,
            (Subscription::None, false, true) => NonePendingIn,
            (Subscription::None, true, true) => NonePendingOutIn,
            (Subscription::To, _, false) => To,
            (Subscription::To, _, true) => ToPendingIn,
            (Subscription::From, false, _) => From,
            (Subscription::From, true, _) => FromPendingOut,
            (Subscription::Both, _, _) => Both,
        }
    }

    fn subscription(self) -> Subscription {
        match self {
            State::None | NonePendingOut | NonePendingIn | NonePendingOutIn => Subscription::None,
            To | ToPendingIn => Subscription::To,
            From | FromPendingOut => Subscription::From,
            Both => Subscription::Both,
        }
    }

    fn is_pending_out(self) -> bool {
        matches!(self, NonePendingOut | NonePendingOutIn | FromPendingOut)
    }

    fn is_pending_in(self) -> bool {
        matches!(self, NonePendingIn | NonePendingOutIn | ToPendingIn)
    }
}

/// One row: in this state; is the stanza routed (outbound) or delivered (inbound); the new state.
type Row = (State, bool, State);

/// A table has a row per state, in the order of the states.
type Table = [Row; 9];

const PASS: bool = true;
const STOP: bool = false;

/// RFC 6121 §A.2.1.
const OUTBOUND_SUBSCRIBE: Table = [
    (State::None, PASS, NonePendingOut),
    (NonePendingOut, PASS, NonePendingOut),
    (NonePendingIn, PASS, NonePendingOutIn),
    (NonePendingOutIn, PASS, NonePendingOutIn),
    (To, PASS, To),
    (ToPendingIn, PASS, ToPendingIn),
    (From, PASS, FromPendingOut),
    (FromPendingOut, PASS, FromPendingOut),
    (Both, PASS, Both),
];

/// RFC 6121 §A.2.2.
const OUTBOUND_UNSUBSCRIBE: Table = [
    (State::None, PASS, State::None),
    (NonePendingOut, PASS, State::None),
    (NonePendingIn, PASS, NonePendingIn),
    (NonePendingOutIn, PASS, NonePendingIn),
    (To, PASS, State::None),
    (ToPendingIn, PASS, NonePendingIn),
    (From, PASS, From),
    (FromPendingOut, PASS, From),
    (Both, PASS, From),
];

/// RFC 6121 §A.2.3. Where it stops in a state without `from`, it is a pre-approval (§3.4.2).
const OUTBOUND_SUBSCRIBED: Table = [
    (State::None, STOP, State::None),
    (NonePendingOut, STOP, NonePendingOut),
    (NonePendingIn, PASS, From),
    (NonePendingOutIn, PASS, FromPendingOut),
    (To, STOP, To),
    (ToPendingIn, PASS, Both),
    (From, STOP, From),
    (FromPendingOut, STOP, FromPendingOut),
    (Both, STOP, Both),
];

/// RFC 6121 §A.2.4. Where it stops, it takes a pre-approval back (§3.4.2).
const OUTBOUND_UNSUBSCRIBED: Table = [
    (State::None, STOP, State::None),
    (NonePendingOut, STOP, NonePendingOut),
    (NonePendingIn, PASS, State::None),
    (NonePendingOutIn, PASS, NonePendingOut),
    (To, STOP, To),
    (ToPendingIn, PASS, To),
    (From, PASS, State::None),
    (FromPendingOut, PASS, NonePendingOut),
    (Both, PASS, To),
];

/// RFC 6121 §A.3.1. A pre-approved request does not come here.
const INBOUND_SUBSCRIBE: Table = [
    (State::None, PASS, NonePendingIn),
    (NonePendingOut, PASS, NonePendingOutIn),
    (NonePendingIn, STOP, NonePendingIn),
    (NonePendingOutIn, STOP, NonePendingOutIn),
    (To, PASS, ToPendingIn),
    (ToPendingIn, STOP, ToPendingIn),
    (From, STOP, From),
    (FromPendingOut, STOP, FromPendingOut),
    (Both, STOP, Both),
];

/// RFC 6121 §A.3.2.
const INBOUND_UNSUBSCRIBE: Table = [
    (State::None, STOP, State::None),
    (NonePendingOut, STOP, NonePendingOut),
    (NonePendingIn, PASS, State::None),
    (NonePendingOutIn, PASS, NonePendingOut),
    (To, STOP, To),
    (ToPendingIn, PASS, To),
    (From, PASS, State::None),
    (FromPendingOut, PASS, NonePendingOut),
    (Both, PASS, To),
];

/// RFC 6121 §A.3.3.
const INBOUND_SUBSCRIBED: Table = [
    (State::None, STOP, State::None),
    (NonePendingOut, PASS, To),
    (NonePendingIn, STOP, NonePendingIn),
    (NonePendingOutIn, PASS, ToPendingIn),
    (To, STOP, To),
    (ToPendingIn, STOP, ToPendingIn),
    (From, STOP, From),
    (FromPendingOut, PASS, Both),
    (Both, STOP, Both),
];

/// RFC 6121 §A.3.4.
const INBOUND_UNSUBSCRIBED: Table = [
    (State::None, STOP, State::None),
    (NonePendingOut, PASS, State::None),
    (NonePendingIn, STOP, NonePendingIn),
    (NonePendingOutIn, PASS, NonePendingIn),
    (To, PASS, State::None),
    (ToPendingIn, PASS, NonePendingIn),
    (From, STOP, From),
    (FromPendingOut, PASS, From),
    (Both, PASS, From),
];

fn outbound_table(handshake: Handshake) -> &'static Table {
    match handshake {
        Handshake::Subscribe => &OUTBOUND_SUBSCRIBE,
        Handshake::Unsubscribe => &OUTBOUND_UNSUBSCRIBE,
        Handshake::Subscribed => &OUTBOUND_SUBSCRIBED,
        Handshake::Unsubscribed => &OUTBOUND_UNSUBSCRIBED,
    }
}

fn inbound_table(handshake: Handshake) -> &'static Table {
    match handshake {
        Handshake::Subscribe => &INBOUND_SUBSCRIBE,
        Handshake::Unsubscribe => &INBOUND_UNSUBSCRIBE,
        Handshake::Subscribed => &INBOUND_SUBSCRIBED,
        Handshake::Unsubscribed => &INBOUND_UNSUBSCRIBED,
    }
}

/// Whether the stanza passes, and the item in its new state.
fn look_up(table: &Table, item: &RosterItem) -> (bool, RosterItem) {
    let (_, passes, next) = table[State::of(item) as usize];
    let item = RosterItem {
        subscription: next.subscription(),
        is_pending_out: next.is_pending_out(),
        is_pending_in: next.is_pending_in(),
        ..item.clone()
    };
    (passes, item)
}

/// What a subscription stanza that leaves its account does.
#[derive(Debug, PartialEq)]
pub(crate) struct Outbound {
    /// The stanza goes on to the contact.
    pub(crate) is_routed: bool,
    /// The item afterwards.
    pub(crate) item: RosterItem,
}

/// A subscription stanza leaves the account of the roster with this item.
pub(crate) fn outbound(handshake: Handshake, item: &RosterItem) -> Outbound {
    let (is_routed, mut item) = look_up(outbound_table(handshake), item);
    match handshake {
        // Whom the user asks or approves is in the user's roster from now on.
        Handshake::Subscribe => item.is_listed = true,
        Handshake::Subscribed => {
            item.is_approved = !item.subscription.has_from();
            item.is_listed = true;
        }
        Handshake::Unsubscribed => item.is_approved = false,
        Handshake::Unsubscribe => {}
    }
    Outbound { is_routed, item }
}

/// What a subscription stanza that reaches an account does.
#[derive(Debug, PartialEq)]
pub(crate) struct Inbound {
    /// The stanza is shown to the user's resources.
    pub(crate) is_delivered: bool,
    /// What the server answers for the user.
    pub(crate) reply: Option<Handshake>,
    /// The item afterwards.
    pub(crate) item: RosterItem,
}

/// A subscription stanza reaches the account of the roster with this item.
pub(crate) fn inbound(handshake: Handshake, item: &RosterItem) -> Inbound {
    if handshake == Handshake::Subscribe && item.is_approved {
        return pre_approved(item);
    }
    let (is_delivered, next) = look_up(inbound_table(handshake), item);
    let reply = match handshake {
        Handshake::Subscribe => item.subscription.has_from().then_some(Handshake::Subscribed),
        Handshake::Unsubscribe => is_delivered.then_some(Handshake::Unsubscribed),
        Handshake::Subscribed | Handshake::Unsubscribed => None,
    };
    // Of a request that was withdrawn the user's resources are not told if the contact never was
    // in the roster (§3.3.3): a stranger would have a way to be noticed twice.
    let is_withdrawn = handshake == Handshake::Unsubscribe && !item.is_listed;
    Inbound { is_delivered: is_delivered && !is_withdrawn, reply, item: next }
}

/// The user has approved this request before it came (§3.4.2). The approval is spent with it: an
/// item is either approved or has `from`, never both, and a contact that unsubscribed has to ask
/// again.
fn pre_approved(item: &RosterItem) -> Inbound {
    let item = RosterItem {
        subscription: Subscription::new(item.subscription.has_to(), true),
        is_approved: false,
        is_pending_in: false,
        ..item.clone()
    };
    Inbound { is_delivered: false, reply: Some(Handshake::Subscribed), item }
}

#[cfg(test)]
#[path = "subscription_test.rs"]
mod tests;
