//! The tables of Appendix A against an independent description of the same rules.
//!
//! The RFC lists 72 rows. They follow from two small machines that know nothing of each other: how
//! far the user's subscription to the contact is, and how far the contact's to the user is.

use super::*;

const STATES: [State; 9] = [
    State::None,
    NonePendingOut,
    NonePendingIn,
    NonePendingOutIn,
    To,
    ToPendingIn,
    From,
    FromPendingOut,
    Both,
];

const HANDSHAKES: [Handshake; 4] =
    [Handshake::Subscribe, Handshake::Unsubscribe, Handshake::Subscribed, Handshake::Unsubscribed];

/// How far a subscription in one direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    No,
    Asked,
    Yes,
}

/// The two halves of a state: the user's subscription, the contact's.
fn halves(state: State) -> (Half, Half) {
    match state {
        State::None => (Half::No, Half::No),
        NonePendingOut => (Half::Asked, Half::No),
        NonePendingIn => (Half::No, Half::Asked),
        NonePendingOutIn => (Half::Asked, Half::Asked),
        To => (Half::Yes, Half::No),
        ToPendingIn => (Half::Yes, Half::Asked),
        From => (Half::No, Half::Yes),
        FromPendingOut => (Half::Asked, Half::Yes),
        Both => (Half::Yes, Half::Yes),
    }
}

/// What the stanza makes of the half that it is about.
fn step(handshake: Handshake, half: Half) -> Half {
    match (handshake, half) {
        (Handshake::Subscribe, Half::No) => Half::Asked,
        (Handshake::Subscribed, Half::Asked) => Half::Yes,
        (Handshake::Unsubscribe | Handshake::Unsubscribed, _) => Half::No,
        (Handshake::Subscribe | Handshake::Subscribed, same) => same,
    }
}

fn item(state: State) -> RosterItem {
    RosterItem {
        subscription: state.subscription(),
        is_pending_out: state.is_pending_out(),
        is_pending_in: state.is_pending_in(),
        is_listed: true,
        ..RosterItem::default()
    }
}

#[test]
fn every_table_has_its_rows_in_the_order_of_the_states() {
    for handshake in HANDSHAKES {
        for table in [outbound_table(handshake), inbound_table(handshake)] {
            let states: Vec<State> = table.iter().map(|(state, _, _)| *state).collect();
            assert_eq!(states, STATES, "{handshake:?}");
        }
    }
}

#[test]
fn a_state_survives_being_written_into_an_item() {
    for state in STATES {
        assert_eq!(State::of(&item(state)), state);
    }
}

#[test]
fn outbound_stanzas_move_the_half_they_are_about() {
    for handshake in HANDSHAKES {
        for (state, passes, next) in *outbound_table(handshake) {
            let (to, from) = halves(state);
            let (expected, about_from) = match handshake {
                Handshake::Subscribe | Handshake::Unsubscribe => {
                    ((step(handshake, to), from), false)
                }
                Handshake::Subscribed | Handshake::Unsubscribed => {
                    ((to, step(handshake, from)), true)
                }
            };
            assert_eq!(halves(next), expected, "outbound {handshake:?} in {state:?}");
            // The user's own wishes always go out; answers only where they answer something.
            let expected = !about_from || next != state;
            assert_eq!(passes, expected, "outbound {handshake:?} in {state:?}");
        }
    }
}

#[test]
fn inbound_stanzas_move_the_half_they_are_about_and_are_shown_if_they_do() {
    for handshake in HANDSHAKES {
        for (state, passes, next) in *inbound_table(handshake) {
            let (to, from) = halves(state);
            let expected = match handshake {
                Handshake::Subscribe | Handshake::Unsubscribe => (to, step(handshake, from)),
                Handshake::Subscribed | Handshake::Unsubscribed => (step(handshake, to), from),
            };
            assert_eq!(halves(next), expected, "inbound {handshake:?} in {state:?}");
            assert_eq!(passes, next != state, "inbound {handshake:?} in {state:?}");
        }
    }
}

#[test]
fn subscribed_without_a_request_is_a_pre_approval() {
    for state in STATES {
        let outcome = outbound(Handshake::Subscribed, &item(state));
        let expected = matches!(state, State::None | NonePendingOut | To);
        assert_eq!(outcome.item.is_approved, expected, "{state:?}");
        assert!(outcome.item.is_listed);
        assert!(!(outcome.is_routed && outcome.item.is_approved), "{state:?}");
    }
}

#[test]
fn a_pre_approved_request_is_answered_and_not_shown() {
    for state in [State::None, NonePendingOut, To] {
        let approved = outbound(Handshake::Subscribed, &item(state)).item;
        let outcome = inbound(Handshake::Subscribe, &approved);
        assert!(!outcome.is_delivered);
        assert_eq!(outcome.reply, Some(Handshake::Subscribed));
        assert!(outcome.item.subscription.has_from());
        assert!(!outcome.item.is_pending_in && !outcome.item.is_approved);
        assert_eq!(outcome.item.subscription.has_to(), approved.subscription.has_to());
        assert_eq!(outcome.item.is_pending_out, approved.is_pending_out);
    }
}

#[test]
fn unsubscribed_takes_a_pre_approval_back_and_stays_here() {
    for state in [State::None, NonePendingOut, To] {
        let approved = outbound(Handshake::Subscribed, &item(state)).item;
        let outcome = outbound(Handshake::Unsubscribed, &approved);
        assert!(!outcome.is_routed);
        assert_eq!(outcome.item, item(state));
    }
}

#[test]
fn inbound_unsubscribed_leaves_a_pre_approval_alone() {
    let approved = outbound(Handshake::Subscribed, &item(To)).item;
    assert!(inbound(Handshake::Unsubscribed, &approved).item.is_approved);
}

#[test]
fn a_subscribed_contact_that_asks_again_is_answered_by_the_server() {
    for state in [From, FromPendingOut, Both] {
        let outcome = inbound(Handshake::Subscribe, &item(state));
        assert_eq!(outcome.reply, Some(Handshake::Subscribed));
        assert!(!outcome.is_delivered);
        assert_eq!(outcome.item, item(state));
    }
}

#[test]
fn a_request_alone_does_not_list_the_contact() {
    let asked = inbound(Handshake::Subscribe, &RosterItem::default()).item;
    assert!(asked.is_pending_in && !asked.is_listed);
    assert!(outbound(Handshake::Subscribed, &asked).item.is_listed);
    assert!(!outbound(Handshake::Unsubscribed, &asked).item.is_listed);
}

#[test]
fn a_stranger_that_withdraws_its_request_is_not_shown() {
    let asked = inbound(Handshake::Subscribe, &RosterItem::default()).item;
    let outcome = inbound(Handshake::Unsubscribe, &asked);
    assert!(!outcome.is_delivered);
    assert_eq!(outcome.item, RosterItem::default());
    assert!(inbound(Handshake::Unsubscribe, &item(NonePendingIn)).is_delivered);
}
