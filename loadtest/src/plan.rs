//! Where clients connect, and who they are.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;

use crate::tls;

/// A server, and the way to it.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// The domain that is asked for.
    pub domain: Arc<str>,
    /// Direct TLS (XEP-0368), if any.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// How many loopback addresses connections come from, in turn; 0 leaves it to the kernel.
    pub sources: u8,
}

impl Target {
    /// Without TLS.
    pub fn plain(address: SocketAddr, domain: &str) -> Target {
        Target { address, domain: domain.into(), tls: None, sources: 0 }
    }

    /// With TLS 1.3 from the first byte.
    pub fn tls(address: SocketAddr, domain: &str) -> Target {
        Target { tls: Some(tls::config()), ..Target::plain(address, domain) }
    }

    /// Spreads connections over `sources` addresses: the kernel gives one some 28,000 ports.
    #[must_use]
    pub fn from_sources(self, sources: u8) -> Target {
        Target { sources, ..self }
    }

    /// The address the `n`th connection comes from: 127.1.0.1, 127.1.1.1 and on.
    pub(crate) fn source(&self, n: usize) -> Option<SocketAddr> {
        let index = u8::try_from(n.checked_rem(usize::from(self.sources))?).ok()?;
        Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 1, index, 1)), 0))
    }
}

/// How a client proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Nothing: the bytes of a relay, whose connections meet by this number.
    Relay(u32),
    /// SASL ANONYMOUS (RFC 4505).
    Anonymous,
    /// SASL PLAIN (RFC 4616).
    Plain,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// SCRAM-SHA-256 by SASL2 (XEP-0388), with Bind 2 and the request for a token (XEP-0484).
    Sasl2Scram,
    /// A token by SASL2 with Bind 2 (XEP-0484), sent with the stream header.
    Fast,
}

/// An account with what it takes to log in.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The localpart.
    pub local: String,
    /// The password, the same for many accounts.
    pub password: Arc<str>,
    /// The last FAST token.
    pub token: Option<String>,
}

/// What a client does until it is available.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who it is.
    pub identity: Identity,
    /// How it says so.
    pub method: Method,
    /// Whether it sends initial presence (RFC 6121 §4.2).
    pub presence: bool,
    /// Whether it enables stream management (XEP-0198), without resumption.
    pub managed: bool,
}

impl Plan {
    /// An account that becomes available.
    pub fn new(local: impl Into<String>, password: &Arc<str>, method: Method) -> Plan {
        let identity =
            Identity { local: local.into(), password: Arc::clone(password), token: None };
        Plan { identity, method, presence: true, managed: false }
    }

    /// One end of a pair at a relay.
    pub fn relay(pair: u32) -> Plan {
        Plan { presence: false, ..Plan::new("", &"".into(), Method::Relay(pair)) }
    }
}
