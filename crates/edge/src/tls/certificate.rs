//! A certificate chain with its private key.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{self, Algorithm};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file cannot be read, or is not PEM.
    #[error("{what}: {source}")]
    Pem {
        /// The file, or what it was to hold.
        what: String,
        /// What is wrong.
        source: rustls_pki_types::pem::Error,
    },
    /// There is no certificate in it.
    #[error("no certificate found")]
    Empty,
    /// The key is of an unknown kind or is not that of the certificate.
    #[error("certificate and key: {0}")]
    Key(#[from] rustls::Error),
}

/// A certificate chain with its private key, ready to be served.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) end_point: Option<Arc<[u8]>>,
}

impl Certificate {
    /// Reads a PEM chain, leaf first, and a PEM key.
    pub fn from_pem_files(chain: &Path, key: &Path) -> Result<Certificate, CertificateError> {
        let failed = |path: &Path| {
            let what = path.display().to_string();
            move |source| CertificateError::Pem { what, source }
        };
        let certificates = CertificateDer::pem_file_iter(chain).map_err(failed(chain))?;
        let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(failed(chain))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(failed(key))?;
        Certificate::from_der(certificates, key)
    }

    /// The same from text.
    pub fn from_pem(chain: &str, key: &str) -> Result<Certificate, CertificateError> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |source| CertificateError::Pem { what, source }
        };
        let certificates = CertificateDer::pem_slice_iter(chain.as_bytes());
        let certificates =
            certificates.collect::<Result<Vec<_>, _>>().map_err(failed("certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(failed("key"))?;
        Certificate::from_der(certificates, key)
    }

    /// From DER, leaf first.
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Certificate, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError::Empty)?;
        let end_point = server_end_point(leaf);
        let key = CertifiedKey::from_der(chain, key, &default_provider())?;
        Ok(Certificate { key: Arc::new(key), end_point })
    }

    /// Its `tls-server-end-point` channel binding (RFC 5929 §4).
    pub fn server_end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }
}

/// Hashes a certificate with the hash of its signature, SHA-256 in place of MD5 and SHA-1
/// (RFC 5929 §4.1). Undefined for algorithms without one hash, such as Ed25519.
fn server_end_point(leaf: &[u8]) -> Option<Arc<[u8]>> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let algorithm = signature_hash(&certificate)?;
    Some(digest::digest(algorithm, leaf).as_ref().into())
}

fn signature_hash(certificate: &X509Certificate<'_>) -> Option<&'static Algorithm> {
    let algorithm = &certificate.signature_algorithm;
    if let Ok(SignatureAlgorithm::RSASSA_PSS(parameters)) = SignatureAlgorithm::try_from(algorithm)
    {
        return hash_by_oid(&parameters.hash_algorithm_oid().to_id_string());
    }
    signature_hash_by_oid(&algorithm.algorithm.to_id_string())
}

fn hash_by_oid(oid: &str) -> Option<&'static Algorithm> {
    match oid {
        "1.3.14.3.2.26" | "2.16.840.1.101.3.4.2.1" => Some(&digest::SHA256),
        "2.16.840.1.101.3.4.2.2" => Some(&digest::SHA384),
        "2.16.840.1.101.3.4.2.3" => Some(&digest::SHA512),
        _ => None,
    }
}

fn signature_hash_by_oid(oid: &str) -> Option<&'static Algorithm> {
    match oid {
        // RSA with MD5, SHA-1, SHA-256; ECDSA with SHA-1, SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Some(&digest::SHA256),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(&digest::SHA384),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(&digest::SHA512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_point_length(algorithm: &'static rcgen::SignatureAlgorithm) -> Option<usize> {
        let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let loaded = Certificate::from_pem(&certificate.pem(), &key.serialize_pem());
        let loaded = loaded.expect("what was just written");
        if let Some(end_point) = loaded.server_end_point()
            && end_point.len() == 32
        {
            let expected = digest::digest(&digest::SHA256, certificate.der());
            assert_eq!(end_point, expected.as_ref());
        }
        loaded.server_end_point().map(<[u8]>::len)
    }

    #[test]
    fn the_end_point_is_hashed_as_the_signature_was() {
        assert_eq!(end_point_length(&rcgen::PKCS_ECDSA_P256_SHA256), Some(32));
        assert_eq!(end_point_length(&rcgen::PKCS_ECDSA_P384_SHA384), Some(48));
        assert_eq!(end_point_length(&rcgen::PKCS_RSA_SHA256), Some(32));
        assert_eq!(end_point_length(&rcgen::PKCS_ED25519), None);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let pair = || rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("a pair");
        let (one, other) = (pair(), pair());
        let mixed = Certificate::from_pem(&one.cert.pem(), &other.signing_key.serialize_pem());
        assert!(matches!(mixed, Err(CertificateError::Key(_))));
        assert!(matches!(
            Certificate::from_pem("", &one.signing_key.serialize_pem()),
            Err(CertificateError::Empty)
        ));
        assert!(matches!(
            Certificate::from_pem(&one.cert.pem(), ""),
            Err(CertificateError::Pem { .. })
        ));
    }
}
