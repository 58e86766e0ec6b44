//! In which order extensions look at a stanza: XEP numbers, one per line, the reason beside it.

/// A stanza leaves the sender's account.
pub const OUTBOUND: &[u16] = &[
    191, // Blocking: what may not leave is not copied either.
    359, // Stanza ids: what the sender forged is gone before anybody gets a copy.
    203, // Delay: likewise.
    153, // Avatars: after what refuses; it adds to presence only.
    280, // Carbons: last, copies look like what was sent.
];

/// A stanza reaches the recipient's account.
pub const INBOUND: &[u16] = &[
    191, // Blocking: a blocked sender learns nothing of what the others would say.
    12,  // Last activity: refuses, so before anything is added.
    359, // Stanza ids: forged ones go, ours comes; before carbons, so that copies carry it.
    203, // Delay: what the sender forged in our name is gone before anybody gets a copy.
    280, // Carbons: copies of what will be delivered.
    160, // Offline: drops what is not worth keeping; carbons may still have shown it to somebody.
];
