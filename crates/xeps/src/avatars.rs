//! XEP-0153: vCard-Based Avatars. A hash in presence says which avatar the vCard has.
//!
//! Owns the hash of an account's avatar, and puts it into the presence its clients send: not every
//! client knows what another one, or an administrator, has put into the vCard. Without an avatar
//! presence stays as it came: only a client knows whether it is "not yet ready" (§4.1).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jackdaw_ext::{AccountState, At, Deps, Direction, Flow, PhaseCtx, Registry, Status, Xep};
use jackdaw_stanza::{PresenceType, Stanza, ns};
use jackdaw_store::{Map, StoreError, Value};
use jackdaw_xml::Element;

use crate::vcard;

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 153,
    name: "vCard-Based Avatars",
    version: "1.1.1",
    status: Status::Complete,
    features: &[ns::VCARD_UPDATE],
};

/// Account slot, and row beside the vCard: SHA-1 of the avatar's image (§3.1). The document's
/// choice; nothing here relies on there being no second image of that hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AvatarHash([u8; 20]);

impl AvatarHash {
    /// The hash of the image in a vCard, if there is one.
    pub(crate) fn of(card: &Element) -> Option<AvatarHash> {
        let photo = card.child(ns::VCARD, "PHOTO")?.child(ns::VCARD, "BINVAL")?;
        let mut encoded = photo.text();
        // §4.6: with line breaks, as in RFC 2045.
        encoded.retain(|c| !c.is_ascii_whitespace());
        let image = STANDARD.decode(encoded).ok().filter(|image| !image.is_empty())?;
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &image);
        hash.as_ref().try_into().ok().map(AvatarHash)
    }

    fn to_element(self) -> Element {
        let hash: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let photo = Element::new(ns::VCARD_UPDATE, "photo").with_text(hash);
        Element::new(ns::VCARD_UPDATE, "x").with_child(photo)
    }
}

/// The version of the row, before the hash.
const ROW_VERSION: u8 = 1;

impl Value for AvatarHash {
    fn encode(&self) -> Vec<u8> {
        [&[ROW_VERSION], self.0.as_slice()].concat()
    }

    fn decode(row: &[u8]) -> Result<AvatarHash, StoreError> {
        let hash = row.strip_prefix(&[ROW_VERSION]).and_then(|hash| hash.try_into().ok());
        hash.map(AvatarHash).ok_or(StoreError::Corrupt("the hash of an avatar"))
    }
}

/// Account slot: the avatar that the account's presence shows. None after it was removed.
pub(crate) struct Avatar(pub(crate) Option<AvatarHash>);

impl AccountState for Avatar {
    fn bytes(&self) -> usize {
        size_of::<Avatar>()
    }
}

/// Registers the hook and the state; `vcard` erases the row with its own.
pub fn register(on: &mut Registry, deps: &Deps) {
    let hashes: Map<AvatarHash> = deps.stores.map(vcard::VCARDS);
    on.feature(At::Host, ns::VCARD_UPDATE);
    on.phase(153, Direction::Outbound, show);
    on.account_state(move |_, account| {
        let hashes = hashes.clone();
        async move {
            let hash = hashes.get(&account, vcard::AVATAR_KEY).await?;
            Ok(hash.map(|hash| Avatar(Some(hash))))
        }
    });
}

/// Puts the hash into available presence, in place of what the client thinks it is.
fn show(ctx: &mut PhaseCtx<'_>, stanza: &mut Stanza) -> Flow {
    if stanza.presence_type() != Some(PresenceType::Available) {
        return Flow::Continue;
    }
    let avatar: Option<Arc<Avatar>> = ctx.account.slot();
    if let Some(hash) = avatar.and_then(|avatar| avatar.0) {
        stanza.remove_payloads(|payload| payload.is(ns::VCARD_UPDATE, "x"));
        stanza.add_payload(&hash.to_element());
    }
    Flow::Continue
}

#[cfg(test)]
mod tests {
    use crate::test_harness::Harness;

    /// The image is `avatar`.
    const VCARD: &str = "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE>\
        <BINVAL>YXZh\ndGFy</BINVAL></PHOTO></vCard>";
    const HASH: &str = "<x xmlns='vcard-temp:x:update'>\
        <photo>9c3bb49ffea1144231cbe02d904b8d9018744e9d</photo></x>";

    #[test]
    fn presence_shows_the_avatar_of_the_vcard_whatever_the_client_says() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        let old = "<presence><show>away</show><x xmlns='vcard-temp:x:update'><photo>00</photo></x>\
            </presence>";
        assert!(harness.outbound(&juliet, old).stanza().contains("<photo>00</photo>"));
        harness.set(&juliet, "", VCARD);
        for presence in ["<presence/>", old, "<presence to='room@muc.verona.lit/j'/>"] {
            let shown = harness.outbound(&juliet, presence).stanza();
            assert!(shown.contains(HASH), "{shown}");
            assert_eq!(shown.matches("vcard-temp:x:update").count(), 1, "{shown}");
        }
        let gone = harness.outbound(&juliet, "<presence type='unavailable'/>").stanza();
        assert!(!gone.contains("vcard-temp"), "{gone}");
    }

    #[test]
    fn the_avatar_outlasts_the_session_and_ends_with_the_photo() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        harness.set(&juliet, "", VCARD);
        harness.services.sessions.unbind(&juliet);
        let juliet = harness.connect("juliet@capulet.lit/chamber");
        assert!(harness.outbound(&juliet, "<presence/>").stanza().contains(HASH));
        for empty in ["", "<PHOTO><BINVAL/></PHOTO>", "<PHOTO><BINVAL>?</BINVAL></PHOTO>"] {
            harness.set(&juliet, "", VCARD);
            harness.set(
                &juliet,
                "",
                &format!("<vCard xmlns='vcard-temp'>{empty}<FN>J</FN></vCard>"),
            );
            assert!(!harness.outbound(&juliet, "<presence/>").stanza().contains("photo"));
            harness.services.sessions.unbind(&juliet);
            let juliet = harness.connect("juliet@capulet.lit/chamber");
            assert!(!harness.outbound(&juliet, "<presence/>").stanza().contains("photo"));
        }
    }
}
