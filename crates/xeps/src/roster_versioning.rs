//! XEP-0237: Roster Versioning. Part of RFC 6121 §2.6 since, and implemented with the roster in
//! `jackdaw_im`; its stream feature is advertised there.

use jackdaw_ext::{Status, Xep};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 237,
    name: "Roster Versioning",
    version: "1.3",
    status: Status::Complete,
    features: &[],
};
