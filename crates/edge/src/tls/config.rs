//! Which certificates are served and how: settings, and the handle that swaps them under load.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::CertificateDer;

use super::certificate::Certificate;
use super::client::AskOnly;
use super::key_update::Catch;

/// Why TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// rustls refuses them.
    #[error("TLS settings: {0}")]
    Rustls(#[from] rustls::Error),
    /// The authorities for client certificates are unusable.
    #[error("authorities for client certificates: {0}")]
    Authorities(String),
}

impl TlsError {
    pub(super) fn authorities(error: impl std::fmt::Display) -> TlsError {
        TlsError::Authorities(error.to_string())
    }
}

/// How TLS is offered.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Certificates by domain (lower case, A-labels), chosen by SNI.
    pub certificates: HashMap<String, Certificate>,
    /// Served to clients that name no domain, or an unknown one.
    pub default: Certificate,
    /// Application protocols on direct-TLS listeners (XEP-0368). A client that offers others
    /// only is refused, one that offers none is served.
    pub alpn: Vec<Vec<u8>>,
    /// Ask clients for certificates, and trust those that lead to one of these authorities.
    /// `None` does not ask.
    pub client_authorities: Option<Vec<CertificateDer<'static>>>,
    /// Refuse everything below TLS 1.3.
    pub only_tls13: bool,
    /// Refuse TLS 1.2 clients without the extended master secret (RFC 7627), which channel
    /// binding needs. Clients of the last ten years have it.
    pub extended_master_secret_required: bool,
    /// Session tickets sent after a TLS 1.3 handshake; 0 turns resumption off, for TLS 1.2 too.
    pub session_tickets: usize,
}

impl TlsSettings {
    /// One certificate for all domains, `xmpp-client` on direct TLS.
    pub fn new(default: Certificate) -> TlsSettings {
        TlsSettings {
            certificates: HashMap::new(),
            default,
            alpn: vec![b"xmpp-client".to_vec()],
            client_authorities: None,
            only_tls13: false,
            extended_master_secret_required: true,
            session_tickets: 1,
        }
    }
}

/// The settings in force. Clones are one handle: replacing them on one replaces them on all.
/// Sessions that exist keep what they began with.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    current: Arc<RwLock<Arc<Contexts>>>,
}

impl TlsConfig {
    /// Checks settings and makes a handle of them.
    pub fn new(settings: TlsSettings) -> Result<TlsConfig, TlsError> {
        let contexts = Contexts::new(settings)?;
        Ok(TlsConfig { current: Arc::new(RwLock::new(Arc::new(contexts))) })
    }

    /// Uses other settings for handshakes that begin from now on. On an error nothing changes.
    pub fn replace(&self, settings: TlsSettings) -> Result<(), TlsError> {
        let contexts = Arc::new(Contexts::new(settings)?);
        *self.current.write() = contexts;
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<Contexts> {
        Arc::clone(&self.current.read())
    }
}

/// What a handshake needs.
#[derive(Debug)]
pub(crate) struct Contexts {
    pub(super) starttls: Arc<ServerConfig>,
    pub(super) direct: Arc<ServerConfig>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) clients: Option<Arc<AskOnly>>,
}

impl Contexts {
    fn new(settings: TlsSettings) -> Result<Contexts, TlsError> {
        let provider = Arc::new(default_provider());
        let clients = match settings.client_authorities {
            Some(roots) => Some(Arc::new(AskOnly::new(roots, &provider)?)),
            None => None,
        };
        let certificates =
            Arc::new(Certificates { by_name: settings.certificates, default: settings.default });
        let versions: &[&SupportedProtocolVersion] =
            if settings.only_tls13 { &[&version::TLS13] } else { rustls::ALL_VERSIONS };
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(versions)?;
        let builder = match &clients {
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients) as Arc<_>),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&certificates) as Arc<_>);
        config.require_ems = settings.extended_master_secret_required;
        // State lives in the tickets; the server remembers nothing. No early data: it can be
        // replayed, and a stream's first bytes carry authentication.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        // After the handshake the keys are ours: see `record`.
        config.enable_secret_extraction = true;
        config.key_log = Arc::new(Catch);
        config.send_tls13_tickets = settings.session_tickets;
        if settings.session_tickets > 0 {
            config.ticketer = Ticketer::new()?;
        }
        let starttls = Arc::new(config.clone());
        config.alpn_protocols = settings.alpn;
        Ok(Contexts { starttls, direct: Arc::new(config), certificates, clients })
    }
}

/// Certificates by domain.
#[derive(Debug)]
pub(super) struct Certificates {
    by_name: HashMap<String, Certificate>,
    default: Certificate,
}

impl Certificates {
    pub(super) fn choose(&self, name: Option<&str>) -> &Certificate {
        name.and_then(|name| self.by_name.get(&name.to_ascii_lowercase())).unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.choose(hello.server_name()).key))
    }
}
