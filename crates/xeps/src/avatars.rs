//! XEP-0153: vCard-Based Avatars. A hash in presence says which avatar the vCard has.
//!
//! Clients put it there; the server shows the vCard to everybody (`vcard`) and passes presence on
//! as it came. Does not: add the hash for clients that do not know of it (optional for a server).

use jackdaw_ext::{At, Deps, Registry, Status, Xep};
use jackdaw_stanza::ns;

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 153,
    name: "vCard-Based Avatars",
    version: "1.1.1",
    status: Status::Complete,
    features: &[ns::VCARD_UPDATE],
};

/// Advertises that presence with the hash passes.
pub fn register(on: &mut Registry, _: &Deps) {
    on.feature(At::Host, ns::VCARD_UPDATE);
}
