//! The roster as data (RFC 6121 §2); `im` changes it, others may look.

use std::collections::BTreeMap;

use jackdaw_jid::BareJid;

use crate::AccountState;

/// State of the subscriptions between the user and a contact (RFC 6121 §2.1.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Subscription {
    /// Neither gets the other's presence.
    #[default]
    None,
    /// The user gets the contact's presence.
    To,
    /// The contact gets the user's presence.
    From,
    /// Both.
    Both,
}

impl Subscription {
    /// The value of the `subscription` attribute.
    pub fn name(self) -> &'static str {
        match self {
            Subscription::None => "none",
            Subscription::To => "to",
            Subscription::From => "from",
            Subscription::Both => "both",
        }
    }

    /// Whether the user gets the contact's presence.
    pub fn has_to(self) -> bool {
        matches!(self, Subscription::To | Subscription::Both)
    }

    /// Whether the contact gets the user's presence.
    pub fn has_from(self) -> bool {
        matches!(self, Subscription::From | Subscription::Both)
    }

    /// From the two halves.
    pub fn new(to: bool, from: bool) -> Subscription {
        match (to, from) {
            (false, false) => Subscription::None,
            (true, false) => Subscription::To,
            (false, true) => Subscription::From,
            (true, true) => Subscription::Both,
        }
    }
}

/// One contact, and what the server remembers of a subscription under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosterItem {
    /// The user's name for the contact.
    pub name: Option<String>,
    /// The groups it is in.
    pub groups: Vec<String>,
    /// The state of the subscriptions.
    pub subscription: Subscription,
    /// The user asked for a subscription and has no answer yet (`ask='subscribe'`).
    pub is_pending_out: bool,
    /// The contact asked and the user has not answered. The whole request is kept by `im` in a row
    /// of its own; such an item alone is not shown in the roster.
    pub is_pending_in: bool,
    /// The user approved a subscription that was not asked for yet (RFC 6121 §3.4).
    pub is_approved: bool,
    /// Whether the item is the user's own, and shown in the roster. False for one that only
    /// remembers a pending request.
    pub is_listed: bool,
    /// The version of the roster in which it last changed (RFC 6121 §2.6).
    pub version: u64,
}

/// An account's contacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// By bare JID.
    pub items: BTreeMap<BareJid, RosterItem>,
    /// Rises with every change that is pushed (RFC 6121 §2.6).
    pub version: u64,
    /// Nothing was removed after this version: for a client that has it or a later one, the items
    /// with a higher version than the client's are all that changed.
    pub complete_since: u64,
}

impl AccountState for Roster {
    fn bytes(&self) -> usize {
        let of = |(jid, item): (&BareJid, &RosterItem)| {
            let texts = item.name.iter().chain(&item.groups);
            let texts: usize = texts.map(|text| size_of::<String>() + text.len()).sum();
            size_of::<(BareJid, RosterItem)>() + jid.as_str().len() + texts
        };
        size_of::<Roster>() + self.items.iter().map(of).sum::<usize>()
    }
}

impl Roster {
    /// The subscription with this contact.
    pub fn subscription(&self, contact: &str) -> Subscription {
        self.items.get(contact).map(|item| item.subscription).unwrap_or_default()
    }
}
