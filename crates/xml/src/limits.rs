//! How much of a peer's XML is taken.

/// Bounds on one top-level element or stream header. A peer that passes one is sent
/// `<policy-violation/>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a frame, as received.
    pub stanza_bytes_max: u32,
    /// Elements open at a time; the stanza itself is the first.
    pub depth_max: u16,
    /// Elements of a stanza.
    pub elements_max: u32,
    /// Attributes of one element, its namespace declarations among them.
    pub attributes_max: u16,
    /// Namespace declarations of a stanza, that of the default namespace among them.
    pub namespaces_max: u16,
}

impl Limits {
    /// For a peer that has not authenticated: room for a stream header, SASL with certificates and
    /// tokens, and nothing else. RFC 6120 §13.12 forbids less than 10,000 bytes.
    pub const fn before_auth() -> Limits {
        Limits {
            stanza_bytes_max: 10_000,
            depth_max: 16,
            elements_max: 200,
            attributes_max: 32,
            namespaces_max: 50,
        }
    }

    /// For what the server made or stored itself: it was checked when it came in, and may have
    /// grown by what the server added since.
    pub const fn trusted() -> Limits {
        let limits = Limits::after_auth();
        Limits {
            stanza_bytes_max: 64 * limits.stanza_bytes_max,
            depth_max: 2 * limits.depth_max,
            elements_max: 64 * limits.elements_max,
            attributes_max: 4 * limits.attributes_max,
            namespaces_max: 8 * limits.namespaces_max,
        }
    }

    /// For an authenticated client. 256 KiB is what other servers allow and clients expect.
    /// The densest stanzas in use (a pubsub item with a vCard, a roster import) stay far below the
    /// other bounds.
    pub const fn after_auth() -> Limits {
        Limits {
            stanza_bytes_max: 256 * 1024,
            depth_max: 64,
            elements_max: 10_000,
            attributes_max: 64,
            namespaces_max: 2_000,
        }
    }
}

const _: () = assert!(Limits::before_auth().stanza_bytes_max >= 10_000);
