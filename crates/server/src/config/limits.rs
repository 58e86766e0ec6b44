//! The settings that bound what a peer can make the server hold, do or wait for.

use super::section::{RESTART, section};
use super::value::Seconds;

/// The smallest stanza limit that RFC 6120 §13.12 allows.
const STANZA_BYTES_FLOOR: i64 = 10_000;

section! {
    ["limits"]
    /// How much one peer, one account and all of them together may hold. What is refused is
    /// answered with an error that says so; nothing is dropped silently.
    Limits {
        /// Client connections of the node; more wait in the kernel's queue. Also bound by memory:
        /// an idle session costs about 5 KB with its socket, more with TLS.
        connections_max: u32 = 1_000_000 => RESTART.count("connections", 1, 100_000_000);
        /// Connections from one IPv4 address or one IPv6 /64; one more is closed at once. Large
        /// enough for an office behind one address, small enough that one machine cannot take all
        /// of `connections_max`.
        connections_per_address_max: u32 = 4_096 => RESTART.count("connections", 1, 100_000_000);
        /// Heap of the process, in MiB, above which new sessions are refused with
        /// `<resource-constraint/>`; those that are there go on, bounded each by the other limits
        /// here. `xmpp_heap_bytes` is what is compared. In a container, half of its limit: what
        /// sessions grow by, TLS keys, the buffers of the rings and what freed memory leaves
        /// between come on top. 0 means no bound.
        memory_mib_max: u32 = 0 => RESTART.count("MiB", 0, 1 << 30);
        /// Bytes of one stanza, and of the stream header, before the client has authenticated. RFC
        /// 6120 §13.12 allows no less than 10,000, and a stranger needs no more.
        stanza_preauth_bytes_max: u32 = 10_000 => RESTART.bytes(STANZA_BYTES_FLOOR, 1 << 24);
        /// Bytes of one stanza of an authenticated client; a longer one ends the stream with
        /// `<policy-violation/>`. Advertised to clients (XEP-0478). Avatars as vCards need some 100
        /// KB.
        stanza_bytes_max: u32 = 262_144 => RESTART.bytes(STANZA_BYTES_FLOOR, 1 << 24);
        /// Depth of elements in one stanza. Real stanzas stay below 20.
        stanza_depth_max: u32 = 64 => RESTART.count("levels", 16, 1_024);
        /// Elements in one stanza, against small bytes that make large trees.
        stanza_elements_max: u32 = 10_000 => RESTART.count("elements", 100, 1_000_000);
        /// Bytes waiting for one slow reader; beyond, its connection is cut off. A client with
        /// stream management can come back for them.
        outbox_bytes_max: u32 = 8_388_608 => RESTART.bytes(65_536, 1 << 30);
        /// Resources an account may have connected at once; one more is refused with
        /// `<resource-constraint/>`. Counts sessions that wait to be resumed.
        resources_per_account_max: u32 = 32 => RESTART.count("sessions", 1, 10_000);
        /// Contacts in one roster; one more is refused with `<policy-violation/>`. A roster is sent
        /// as one stanza and kept in memory while its owner is connected.
        roster_items_max: u32 = 2_000 => RESTART.count("contacts", 1, 20_000);
        /// Addresses in one block list (XEP-0191).
        blocklist_items_max: u32 = 2_000 => RESTART.count("addresses", 1, 1_000_000);
        /// Messages kept for one account that is offline; one more is bounced to its sender, who
        /// then knows.
        offline_messages_max: u32 = 1_000 => RESTART.count("messages", 0, 1_000_000);
        /// Bytes of one account's vCard (XEP-0054).
        vcard_bytes_max: u32 = 131_072 => RESTART.bytes(1_024, 1 << 24);
        /// Bytes of one account's private storage (XEP-0049), all namespaces together.
        private_bytes_max: u32 = 262_144 => RESTART.bytes(1_024, 1 << 24);
    }
}

section! {
    ["deadlines"]
    /// How long each phase of a connection may last. A client that needs longer is closed, so that
    /// connections which do nothing cannot pile up.
    Deadlines {
        /// For the PROXY header, where one is expected.
        proxy_header_timeout_secs: Seconds = Seconds(5) => RESTART.seconds(1, 300);
        /// To begin TLS, and for its handshake.
        tls_handshake_timeout_secs: Seconds = Seconds(20) => RESTART.seconds(1, 300);
        /// For each stream header.
        stream_header_timeout_secs: Seconds = Seconds(10) => RESTART.seconds(1, 300);
        /// From the stream header to the end of authentication, however many attempts it takes. A
        /// person who types a password does so before the client connects.
        auth_timeout_secs: Seconds = Seconds(30) => RESTART.seconds(1, 3_600);
        /// From authentication to a bound or resumed session.
        bind_timeout_secs: Seconds = Seconds(30) => RESTART.seconds(1, 3_600);
        /// For a reader that takes no byte while some are waiting.
        write_timeout_secs: Seconds = Seconds(60) => RESTART.seconds(1, 3_600);
        /// For the peer's `</stream:stream>` after ours.
        close_timeout_secs: Seconds = Seconds(5) => RESTART.seconds(1, 300);
    }
}

section! {
    ["keepalive"]
    /// How dead peers are found (RFC 6120 §4.6). Mobile networks forget idle connections after some
    /// minutes, and every probe wakes a phone's radio.
    Keepalive {
        /// After so long without a byte from the client the server probes: an `<r/>` where stream
        /// management is on, else an XEP-0199 ping.
        probe_interval_secs: Seconds = Seconds(300) => RESTART.seconds(10, 86_400);
        /// How long the client has to answer the probe, with anything, before its stream is given
        /// up.
        probe_timeout_secs: Seconds = Seconds(60) => RESTART.seconds(1, 3_600);
    }
}
