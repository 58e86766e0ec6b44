//! Certificates of clients: asked for, never required; what they mean is decided above.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::TlsError;

/// What a client showed. That it holds the private key has been checked.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The chain as sent, DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// Whether it leads to one of the configured authorities and is valid now.
    pub trusted: bool,
}

/// Asks for a certificate and lets every one pass whose key the client proves to hold. An
/// untrusted one must not break the handshake: XMPP then authenticates by other means
/// (RFC 6120 §13.7.2).
#[derive(Debug)]
pub(super) struct AskOnly {
    authorities: Arc<dyn ClientCertVerifier>,
}

impl AskOnly {
    pub(super) fn new(
        roots: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<AskOnly, TlsError> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root)?;
        }
        let authorities =
            WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
        let authorities = authorities.build().map_err(TlsError::authorities)?;
        Ok(AskOnly { authorities })
    }

    /// Judges a chain.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
        let (leaf, rest) = chain.split_first()?;
        let verified = self.authorities.verify_client_cert(leaf, rest, UnixTime::now());
        let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
        Some(ClientCertificate { chain, trusted: verified.is_ok() })
    }
}

impl ClientCertVerifier for AskOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: clients would not offer a self-signed certificate.
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
