//! Extensions of the stream itself: implemented in `jackdaw_stream`, listed here so that the list
//! of what the server can do is in one place. They show in stream features, not in discovery.

use jackdaw_ext::{Status, Xep};

const fn complete(number: u16, name: &'static str, version: &'static str) -> Xep {
    Xep { number, name, version, status: Status::Complete, features: &[] }
}

/// Acks and resumption.
pub const STREAM_MANAGEMENT: Xep = complete(198, "Stream Management", "1.6.3");
/// A client says that nobody looks.
pub const CLIENT_STATE: Xep = complete(352, "Client State Indication", "1.0.0");
/// Binding within authentication.
pub const BIND_2: Xep = complete(386, "Bind 2", "1.1.0");
/// Authentication in fewer round trips.
pub const SASL_2: Xep = complete(388, "Extensible SASL Profile", "1.0.4");
/// Which channel bindings the server knows.
pub const CHANNEL_BINDING_TYPES: Xep =
    complete(440, "SASL Channel-Binding Type Capability", "1.0.0");
/// Nobody took mechanisms out of the offer.
pub const DOWNGRADE_PROTECTION: Xep = complete(474, "SASL SCRAM Downgrade Protection", "0.5.0");
/// How large a stanza may be, and how long silence lasts.
pub const STREAM_LIMITS: Xep = complete(478, "Stream Limits Advertisement", "0.2.0");
/// Tokens in place of passwords.
pub const FAST: Xep = complete(484, "Fast Authentication Streamlining Tokens", "0.2.0");
