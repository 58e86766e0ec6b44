//! What a stream knows before a resource is bound, whatever its state.

use super::config::StreamLimits;
use super::event::UserAgent;
use super::transport::{StartTls, TlsInfo, Transport};
use crate::StreamError;
use crate::sasl::{Channel, Generation, Mechanism, Offer};
use jackdaw_jid::BareJid;
use std::sync::Arc;

/// How far TLS is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// It must be started.
    Required,
    /// It can be started.
    Optional,
    /// There is none, and there will be none.
    Absent,
    /// It is there.
    Present,
}

/// The facts of a negotiation. Dropped when it is over.
#[derive(Debug)]
pub(super) struct Negotiation {
    pub tls: Tls,
    pub channel: Arc<Channel>,
    sni: Option<Box<str>>,
    /// The domain of the header that was read last.
    pub domain: Option<Arc<str>>,
    /// Who the client says it is, unproven.
    pub claimed: Option<BareJid>,
    /// What was advertised.
    pub offer: Arc<Offer>,
    pub failed_attempts: u8,
    /// The mechanism of the attempt under way.
    pub mechanism: Option<Mechanism>,
    bytes: u32,
    authenticated: Option<Authenticated>,
}

/// Who the client is.
#[derive(Clone, Debug)]
pub(super) struct Authenticated {
    pub account: BareJid,
    pub generation: Option<Generation>,
    pub client: Option<Arc<UserAgent>>,
}

impl Negotiation {
    pub fn new(transport: Transport) -> Negotiation {
        let mut negotiation = Negotiation {
            tls: Tls::Absent,
            channel: Arc::default(),
            sni: None,
            domain: None,
            claimed: None,
            offer: Arc::default(),
            failed_attempts: 0,
            mechanism: None,
            bytes: 0,
            authenticated: None,
        };
        match transport {
            Transport::Plain(StartTls::Optional) => negotiation.tls = Tls::Optional,
            Transport::Plain(StartTls::Required) => negotiation.tls = Tls::Required,
            Transport::Trusted => {
                negotiation.channel =
                    Arc::new(Channel { confidential: true, ..Channel::default() });
            }
            Transport::Secure(tls) => negotiation.secure(tls),
        }
        negotiation
    }

    /// TLS is there now. What was said before it is forgotten (RFC 6120 §5.4.3.3).
    pub fn secure(&mut self, mut tls: TlsInfo) {
        self.tls = Tls::Present;
        self.sni = tls.sni.take();
        self.channel = Arc::new(tls.into_channel());
        self.domain = None;
        self.claimed = None;
        self.offer = Arc::default();
    }

    /// Counts bytes against what a client may send before it has authenticated.
    pub fn charge(&mut self, bytes: usize, limits: &StreamLimits) -> Result<(), StreamError> {
        if self.is_authenticated() {
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        if self.bytes > limits.bytes_before_auth_max {
            return Err(StreamError::policy_violation().text("too many bytes"));
        }
        Ok(())
    }

    pub fn is_authenticated(&self) -> bool {
        self.authenticated.is_some()
    }

    pub fn authenticated(&self) -> Option<&Authenticated> {
        self.authenticated.as_ref()
    }

    pub fn set_authenticated(&mut self, authenticated: Option<Authenticated>) {
        self.authenticated = authenticated;
    }

    /// The name the client gave in its TLS handshake.
    pub fn sni(&self) -> Option<&str> {
        self.sni.as_deref()
    }

    /// SASL2 is for secure streams only (XEP-0388 §3): TLS is here, or whoever set the listener up
    /// vouches for the way.
    pub fn allows_sasl2(&self) -> bool {
        self.channel.confidential
    }
}
