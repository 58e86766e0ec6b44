//! What the operator decides about client streams.

use crate::sasl::{Decoy, SaslConfig};
use bytes::Bytes;
use jackdaw_xml::Limits;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The configuration that every client stream of a listener shares.
#[derive(Debug)]
pub struct C2sConfig {
    /// The domains that are served.
    pub hosts: Hosts,
    /// How long each phase of negotiation may take.
    pub deadlines: Deadlines,
    /// Bounds on what a client sends.
    pub limits: StreamLimits,
    /// Failed attempts at authentication until the stream is closed. RFC 6120 §6.4.5 asks for two
    /// to five retries.
    pub sasl_attempts_max: u8,
    /// Makes accounts that do not exist look like others.
    pub decoy: Arc<Decoy>,
    /// A secret of the cluster, from which the resources of Bind 2 are made (XEP-0386 §3.2.1).
    pub resource_secret: [u8; 32],
    /// Stream management.
    pub sm: SmConfig,
    /// Client state indication.
    pub csi: CsiConfig,
    /// Dead-peer detection.
    pub keepalive: KeepaliveConfig,
    /// Whether SASL2 (XEP-0388), and Bind 2 and FAST with it, are offered on secure streams.
    pub sasl2: bool,
    /// Whether accounts can be registered in band before authentication (XEP-0077).
    pub registration: bool,
    /// Stream features after authentication that others answer for, serialised: capabilities,
    /// roster versioning, pre-approval.
    pub extra_features: Bytes,
}

/// The domains that are served, by their prepared names.
#[derive(Debug, Default)]
pub struct Hosts {
    hosts: HashMap<Arc<str>, Host>,
    default: Option<Arc<str>>,
}

/// One domain.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name, prepared.
    pub domain: Arc<str>,
    /// How its accounts authenticate.
    pub sasl: SaslConfig,
}

impl Hosts {
    /// The domain of that prepared name.
    pub fn find(&self, domain: &str) -> Option<&Host> {
        self.hosts.get(domain)
    }

    /// The domain that speaks where none was asked for.
    pub(super) fn default_domain(&self) -> Option<&Arc<str>> {
        self.default.as_ref()
    }
}

/// The first is the one that speaks where none was asked for.
impl FromIterator<Host> for Hosts {
    fn from_iter<T: IntoIterator<Item = Host>>(hosts: T) -> Hosts {
        let mut collected = Hosts::default();
        for host in hosts {
            collected.default.get_or_insert_with(|| Arc::clone(&host.domain));
            collected.hosts.insert(Arc::clone(&host.domain), host);
        }
        collected
    }
}

/// How long a client may take in each phase of negotiation (bad-inputs T14). Past it the stream is
/// closed with `connection-timeout`.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// To send a stream header.
    pub header: Duration,
    /// To start TLS, and to finish its handshake.
    pub tls: Duration,
    /// To authenticate, with all attempts and what the server does meanwhile.
    pub auth: Duration,
    /// To bind a resource.
    pub bind: Duration,
}

/// A client on a bad mobile link needs some seconds for each round trip; a person who types a
/// password does so before the client connects.
impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            header: Duration::from_secs(10),
            tls: Duration::from_secs(20),
            auth: Duration::from_secs(30),
            bind: Duration::from_secs(30),
        }
    }
}

/// Bounds on what a client sends.
#[derive(Clone, Debug)]
pub struct StreamLimits {
    /// Per element, before authentication.
    pub before_auth: Limits,
    /// Per element, after authentication.
    pub after_auth: Limits,
    /// All bytes of a stream before authentication, white space too.
    pub bytes_before_auth_max: u32,
    /// What may wait for the socket of a client without stream management until
    /// [`send`](super::C2s::send) refuses messages.
    pub unsent_bytes_max: usize,
}

/// 64 kB are three headers, the allowed attempts at SASL with long certificates or tokens, and
/// ample room. Half a megabyte is more than the kernel takes at once.
impl Default for StreamLimits {
    fn default() -> StreamLimits {
        StreamLimits {
            before_auth: Limits::before_auth(),
            after_auth: Limits::after_auth(),
            bytes_before_auth_max: 64 * 1024,
            unsent_bytes_max: 512 * 1024,
        }
    }
}

/// Stream management (XEP-0198).
#[derive(Clone, Copy, Debug)]
pub struct SmConfig {
    /// How long a session without a socket waits to be resumed; a client may ask for less. Zero:
    /// no resumption.
    pub resume_timeout: Duration,
    /// Stanzas a client may leave unacknowledged until [`send`](super::C2s::send) refuses more.
    pub unacked_stanzas_max: usize,
    /// Their bytes.
    pub unacked_bytes_max: usize,
    /// Stanzas after which another acknowledgement is requested while one is awaited.
    pub request_every: u32,
}

/// Ten minutes outlast a tunnel or a change of networks; a phone that sleeps longer reads its
/// archive. A thousand stanzas are a busy evening.
impl Default for SmConfig {
    fn default() -> SmConfig {
        SmConfig {
            resume_timeout: Duration::from_secs(600),
            unacked_stanzas_max: 1_000,
            unacked_bytes_max: 1024 * 1024,
            request_every: 10,
        }
    }
}

/// Client state indication (XEP-0352).
#[derive(Clone, Copy, Debug)]
pub struct CsiConfig {
    /// Whether it is offered.
    pub enabled: bool,
    /// Stanzas that are held back for an inactive client until all are sent.
    pub held_stanzas_max: usize,
    /// Their bytes.
    pub held_bytes_max: usize,
}

/// A roster's worth of presence; a look-up among so many is cheap.
impl Default for CsiConfig {
    fn default() -> CsiConfig {
        CsiConfig { enabled: true, held_stanzas_max: 200, held_bytes_max: 128 * 1024 }
    }
}

/// Dead-peer detection (RFC 6120 §4.6).
#[derive(Clone, Copy, Debug)]
pub struct KeepaliveConfig {
    /// After this long without a byte from the client it is probed.
    pub idle: Duration,
    /// After this long without a byte since a probe, or since a request for acknowledgement, it is
    /// dead.
    pub dead: Duration,
}

/// Five minutes keep most address translations open; a phone wakes up within one.
impl Default for KeepaliveConfig {
    fn default() -> KeepaliveConfig {
        KeepaliveConfig { idle: Duration::from_secs(300), dead: Duration::from_secs(60) }
    }
}
