//! A node's certificate, its key and its cluster's authority, read again without a restart.

mod verifier;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use self::verifier::OfTheCluster;
use super::names;
use crate::handshake::NodeName;

/// Where they are, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFiles {
    /// The certificates of authorities whose nodes are nodes of this cluster; more than one while
    /// the authority is replaced.
    pub authority: PathBuf,
    /// The node's certificate first, then its chain.
    pub certificate: PathBuf,
    /// The private key, without a password.
    pub key: PathBuf,
}

/// Why they cannot be used. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file could not be read.
    #[error("{}: {message}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// They do not fit together.
    #[error("the certificate {}, its key and its authority do not fit together: {source}", certificate.display())]
    Mismatch {
        /// The node's certificate.
        certificate: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
}

/// What new connections use. Those that are open keep what they have.
#[derive(Debug)]
pub struct Credentials {
    files: CredentialFiles,
    current: RwLock<Arc<Current>>,
}

/// One reading of the files.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
    names: Vec<NodeName>,
}

impl Credentials {
    /// Reads the files.
    pub fn read(files: CredentialFiles) -> Result<Credentials, CredentialsError> {
        let current = RwLock::new(Arc::new(Current::read(&files)?));
        Ok(Credentials { files, current })
    }

    /// Reads the files again. If they cannot be used, the old ones stay.
    pub fn reload(&self) -> Result<(), CredentialsError> {
        let current = Arc::new(Current::read(&self.files)?);
        *self.current.write() = current;
        Ok(())
    }

    /// The names in the certificate. The node's own has to be one of them.
    pub fn names(&self) -> Vec<NodeName> {
        self.current().names.clone()
    }

    pub(super) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read())
    }
}

impl Current {
    fn read(files: &CredentialFiles) -> Result<Current, CredentialsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&files.authority)? {
            let added = roots.add(authority);
            added.map_err(|error| unusable(&files.authority, &format!("no authority: {error}")))?;
        }
        let chain = certificates(&files.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
            unreadable(&files.key, &error, "a PEM private key without a password")
        })?;
        let names = chain.first().map(names::of).unwrap_or_default();
        if names.is_empty() {
            let message = "it names no node; its subjectAltName has to hold the node's DNS name";
            return Err(unusable(&files.certificate, message));
        }
        let mismatch = |source| {
            let certificate = files.certificate.clone();
            CredentialsError::Mismatch { certificate, source }
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = Arc::new(roots);
        let server = server(&provider, &roots, chain.clone(), key.clone_key()).map_err(mismatch)?;
        let client = client(&provider, &roots, chain, key).map_err(mismatch)?;
        Ok(Current { server: Arc::new(server), client: Arc::new(client), names })
    }
}

/// HTTP/2 and nothing else.
const ALPN: &[u8] = b"h2";

/// Both ends are ours, so there is no reason for an older version.
const TLS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

fn server(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(TLS)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Connections are few and long; a ticket would outlive a certificate that was replaced.
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let verifier = Arc::new(OfTheCluster::new(roots.clone(), provider));
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(TLS)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// The certificates in a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let chain = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(file, &error, "a PEM certificate"))?;
    match chain.is_empty() {
        true => Err(unusable(file, "there is no certificate in it")),
        false => Ok(chain),
    }
}

fn unreadable(file: &Path, error: &pem::Error, wanted: &str) -> CredentialsError {
    unusable(file, &format!("{error}; it has to be {wanted}"))
}

fn unusable(file: &Path, message: &str) -> CredentialsError {
    CredentialsError::File { file: file.to_owned(), message: message.to_owned() }
}
