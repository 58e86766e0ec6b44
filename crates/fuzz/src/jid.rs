//! Addresses: the normal form is normal, and the parts make the whole (RFC 7622, bad-inputs A12).

use jackdaw_jid::{
    BareJid, FullJid, Jid, JidRef, PART_BYTES_MAX, prepare_domain, prepare_local, prepare_resource,
};

/// A JID as a client might write it.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    check_parts(text);
    check_borrowed(text);
    if let Ok(jid) = Jid::parse(text) {
        check_whole(&jid);
    }
}

/// Preparing twice is preparing once: else two spellings of one account could differ.
fn check_parts(text: &str) {
    for prepare in [prepare_local, prepare_domain, prepare_resource] {
        if let Ok(once) = prepare(text) {
            assert!(!once.is_empty() && once.len() <= PART_BYTES_MAX);
            assert_eq!(prepare(&once).as_deref(), Ok(&*once), "{text:?}");
        }
    }
}

/// What needs no preparation is what preparation leaves alone.
fn check_borrowed(text: &str) {
    let Some(borrowed) = JidRef::parse_normalised(text) else { return };
    let owned = Jid::parse(text).expect("normal text is valid");
    assert_eq!(owned.as_str(), text);
    assert_eq!(owned.as_jid_ref(), borrowed);
    assert_eq!(borrowed.to_jid(), owned);
    assert_eq!(JidRef::from_parts(text, borrowed.parts()), Some(borrowed));
}

fn check_whole(jid: &Jid) {
    assert_eq!(Jid::parse(jid.as_str()).as_ref(), Ok(jid), "its normal form is another");
    let (local, domain, resource) = (jid.local(), jid.domain(), jid.resource());
    assert_eq!(Jid::new(local, domain, resource).as_ref(), Ok(jid), "its parts make another");
    let parts = [local, Some(domain), resource];
    assert!(parts.iter().flatten().all(|part| !part.is_empty() && part.len() <= PART_BYTES_MAX));
    let bare = jid.to_bare();
    assert_eq!(bare.as_str(), jid.bare_str());
    assert_eq!(BareJid::parse(bare.as_str()).as_ref(), Ok(&bare));
    assert_eq!((bare.local(), bare.domain()), (local, domain));
    assert_eq!(jid.to_full().is_some(), jid.is_full());
    if let Some(full) = jid.to_full() {
        assert_eq!(FullJid::parse(full.as_str()).as_ref(), Ok(&full));
        assert_eq!((full.bare(), full.resource()), (bare.clone(), resource.unwrap_or_default()));
        assert_eq!(bare.with_resource(full.resource()), Ok(full));
    }
}
