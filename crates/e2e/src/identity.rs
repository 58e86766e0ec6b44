//! Client certificates for EXTERNAL (RFC 6120 §13.7.1.4), and the authority that issues them.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    OtherNameValue, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::error::{Error, Result};

/// Where the authority's certificate is put, in the folder the server runs in.
const AUTHORITY_FILE: &str = "authority.crt";

/// `id-on-xmppAddr` (RFC 6120 §13.7.1.4).
const XMPP_ADDR: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 5];

/// What a client shows in a handshake.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Identity {
    /// The chain, as TLS takes it.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }

    /// The key, as TLS takes it.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone_key())
    }
}

/// Issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one, whose certificate is in `folder`.
    pub fn establish(folder: &Path) -> Result<Authority> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = name("Authority of Verona");
        let key = KeyPair::generate().map_err(failed)?;
        let authority = CertifiedIssuer::self_signed(params, key).map_err(failed)?;
        std::fs::write(folder.join(AUTHORITY_FILE), authority.pem())
            .map_err(Error::io("writing the authority's certificate"))?;
        Ok(Authority(authority))
    }

    /// A certificate that asserts `jid`.
    pub fn issue(&self, jid: &str) -> Result<Arc<Identity>> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("A client");
        let address = OtherNameValue::Utf8String(jid.to_owned());
        params.subject_alt_names = vec![SanType::OtherName((XMPP_ADDR.to_vec(), address))];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.0).map_err(failed)?;
        Ok(Arc::new(Identity {
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        }))
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn failed(error: rcgen::Error) -> Error {
    Error::unexpected(format!("making a certificate: {error}"))
}
