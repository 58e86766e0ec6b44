//! XEP-0334: Message Processing Hints. What the sender thinks should become of a message.
//!
//! The hints are heeded where messages are kept (`offline`) and copied (`carbons`); here they are
//! advertised.

use jackdaw_ext::{At, Deps, Registry, Status, Xep};
use jackdaw_stanza::ns;

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 334,
    name: "Message Processing Hints",
    version: "1.0.0",
    status: Status::Complete,
    features: &[ns::HINTS],
};

/// Advertises the hints.
pub fn register(on: &mut Registry, _: &Deps) {
    on.feature(At::Host, ns::HINTS);
}
