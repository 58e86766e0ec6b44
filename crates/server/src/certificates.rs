//! The domains' certificates: read where the configuration names them, made where it does not.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jackdaw_edge::Certificate;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::{Config, Domain, DomainName};

const DAY: Duration = Duration::from_secs(86_400);

/// How long before its end a certificate is complained about: time enough to renew one by hand.
const EXPIRY_WARNING: Duration = Duration::from_secs(21 * 86_400);

/// How long a self-signed certificate is good for. Clients pin it, so a short life would only
/// annoy.
const SELF_SIGNED_LIFE: Duration = Duration::from_secs(3_650 * 86_400);

/// Clients whose clocks are slow must accept a certificate that was just made.
const CLOCK_SKEW: Duration = DAY;

/// Where a certificate came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Files named in the configuration.
    Configured,
    /// Made at an earlier start.
    SelfSigned,
    /// Made just now.
    NewSelfSigned,
}

/// What a domain shows to its clients.
#[derive(Debug, Clone)]
pub struct DomainCertificate {
    /// The domain.
    pub domain: DomainName,
    /// Chain and key, ready to be served.
    pub certificate: Certificate,
    /// Where it came from.
    pub origin: Origin,
    /// The first certificate's file.
    pub file: PathBuf,
    /// The end of its validity.
    pub not_after: SystemTime,
    /// Whether it names the domain; clients refuse it if not.
    pub names_domain: bool,
}

/// Why a certificate cannot be used. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read or written.
    #[error("{}: {action} failed: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{}: {message}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and what to put there.
        message: String,
    },
    /// The self-signed certificate could not be made.
    #[error("cannot make a certificate for {domain}: {source}; name one in [[domains]]")]
    Make {
        /// For whom.
        domain: DomainName,
        /// Why not.
        source: rcgen::Error,
    },
}

/// Loads or makes the certificate of every domain, in the order of the configuration.
pub fn load(config: &Config, now: SystemTime) -> Result<Vec<DomainCertificate>, CertificateError> {
    let directory = config.server.data_dir.join("tls");
    config.domains.iter().map(|domain| load_one(domain, &directory, now)).collect()
}

/// Loads the certificates the configuration names, and makes none.
pub fn load_configured(config: &Config) -> Result<Vec<DomainCertificate>, CertificateError> {
    let named = config.domains.iter().filter_map(|domain| {
        let (certificate, key) = (domain.certificate.as_ref()?, domain.key.as_ref()?);
        Some(read(&domain.name, certificate.clone(), key, Origin::Configured))
    });
    named.collect()
}

fn load_one(
    domain: &Domain,
    directory: &Path,
    now: SystemTime,
) -> Result<DomainCertificate, CertificateError> {
    let (certificate, key, origin) = match (&domain.certificate, &domain.key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone(), Origin::Configured),
        _ => {
            let ascii = domain.name.to_ascii();
            let certificate = directory.join(format!("{ascii}.crt"));
            let key = directory.join(format!("{ascii}.key"));
            let origin = match certificate.exists() {
                true => Origin::SelfSigned,
                false => make(&domain.name, &certificate, &key, now)?,
            };
            (certificate, key, origin)
        }
    };
    read(&domain.name, certificate, &key, origin)
}

/// Reads a pair of PEM files and checks that they belong together.
fn read(
    domain: &DomainName,
    certificate: PathBuf,
    key: &Path,
    origin: Origin,
) -> Result<DomainCertificate, CertificateError> {
    let chain = read_chain(&certificate)?;
    let first = chain.first().expect("a chain that was read has a certificate");
    let not_after = not_after(first).ok_or_else(|| content(&certificate, "this is no X.509"))?;
    let names_domain = names(first, domain);
    let private_key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable(key, error, "a PEM private key without a password"))?;
    let pair = Certificate::from_der(chain, private_key).map_err(|error| {
        let of = certificate.display();
        content(key, &format!("this is not the private key of {of}: {error}"))
    })?;
    Ok(DomainCertificate {
        domain: domain.clone(),
        certificate: pair,
        origin,
        file: certificate,
        not_after,
        names_domain,
    })
}

/// The certificates in a PEM file, at least one.
fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(file, error, "a PEM certificate"))?;
    match chain.is_empty() {
        true => Err(content(file, "there is no certificate in it; put the domain's first")),
        false => Ok(chain),
    }
}

/// Makes a self-signed certificate. The certificate is written last: where it is, its key is too.
fn make(
    domain: &DomainName,
    certificate: &Path,
    key: &Path,
    now: SystemTime,
) -> Result<Origin, CertificateError> {
    let failed = |source| CertificateError::Make { domain: domain.clone(), source };
    // An IP literal stands in brackets in an address and without them in a certificate.
    let name = domain.to_ascii();
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).map_err(failed)?;
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + SELF_SIGNED_LIFE).into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let signed = params.self_signed(&pair).map_err(failed)?;
    write_private(key, pair.serialize_pem().as_bytes())?;
    write_private(certificate, signed.pem().as_bytes())?;
    Ok(Origin::NewSelfSigned)
}

/// Writes a file that only the server's user can read, whole or not at all.
pub(crate) fn write_private(file: &Path, contents: &[u8]) -> Result<(), CertificateError> {
    let write = || -> io::Result<()> {
        if let Some(directory) = file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut name = file.as_os_str().to_owned();
        name.push(".new");
        let unfinished = PathBuf::from(name);
        let mut options = OpenOptions::new();
        let mut output =
            options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        output.write_all(contents)?;
        output.sync_all()?;
        fs::rename(&unfinished, file)
    };
    write().map_err(|source| CertificateError::File {
        file: file.into(),
        action: "writing",
        source,
    })
}

fn unreadable(file: &Path, error: pem::Error, wanted: &str) -> CertificateError {
    match error {
        pem::Error::Io(source) => {
            CertificateError::File { file: file.into(), action: "reading", source }
        }
        other => content(file, &format!("this is not {wanted}: {other:?}")),
    }
}

fn content(file: &Path, message: &str) -> CertificateError {
    CertificateError::Content { file: file.into(), message: message.into() }
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Whether a client that asked for `domain` would accept the certificate's names (RFC 9525).
fn names(certificate: &CertificateDer<'_>, domain: &DomainName) -> bool {
    let ascii = domain.to_ascii();
    let ascii = ascii.trim_start_matches('[').trim_end_matches(']');
    let (Ok(parsed), Ok(name)) =
        (ParsedCertificate::try_from(certificate), ServerName::try_from(ascii))
    else {
        return false;
    };
    rustls::client::verify_server_name(&parsed, &name).is_ok()
}

impl DomainCertificate {
    /// What an operator should know about it, if anything.
    pub fn complaint(&self, now: SystemTime) -> Option<String> {
        let Self { domain, file, .. } = self;
        let file = file.display();
        if !self.names_domain {
            return Some(format!(
                "{file} does not name {domain}, so clients will refuse it; get one that does"
            ));
        }
        match self.not_after.duration_since(now) {
            Err(_past) => Some(format!(
                "{file} has expired, so clients will refuse it; renew it and send SIGHUP"
            )),
            Ok(left) if left < EXPIRY_WARNING => Some(format!(
                "{file} expires in {} days; renew it and send SIGHUP",
                left.as_secs() / DAY.as_secs()
            )),
            Ok(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn config(data: &Path, domains: &str) -> Config {
        let mut config = Config::parse("test", domains).unwrap();
        config.server.data_dir = data.into();
        config
    }

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    /// A directory with a self-signed pair for `localhost`, and what was loaded from it.
    fn made() -> (tempfile::TempDir, DomainCertificate) {
        let data = tempfile::tempdir().unwrap();
        let made = load(&config(data.path(), ""), now()).unwrap().remove(0);
        (data, made)
    }

    /// A hash of the certificate.
    fn end_point(certificate: &DomainCertificate) -> &[u8] {
        certificate.certificate.server_end_point().expect("ECDSA has one")
    }

    #[test]
    fn a_missing_certificate_is_made_once_and_only_its_owner_can_read_it() {
        let (data, made) = made();
        assert_eq!((made.origin, made.names_domain), (Origin::NewSelfSigned, true));
        let tls = data.path().join("tls");
        let modes = [&tls, &tls.join("localhost.key"), &tls.join("localhost.crt")].map(|f| mode(f));
        assert_eq!(modes, [0o700, 0o600, 0o600]);
        let again = load(&config(data.path(), ""), now()).unwrap().remove(0);
        assert_eq!(again.origin, Origin::SelfSigned);
        assert_eq!(end_point(&again), end_point(&made));
    }

    #[test]
    fn every_domain_gets_its_own_whatever_its_script() {
        let data = tempfile::tempdir().unwrap();
        let domains = "[[domains]]\nname = \"bücher.example\"\n[[domains]]\nname = \"127.0.0.1\"\n";
        let loaded = load(&config(data.path(), domains), now()).unwrap();
        assert!(loaded.iter().all(|certificate| certificate.names_domain));
        assert!(data.path().join("tls/xn--bcher-kva.example.crt").exists());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (data, _) = made();
        let (other, _) = self::made();
        let (crt, key) =
            (data.path().join("tls/localhost.crt"), other.path().join("tls/localhost.key"));
        let text =
            format!("[[domains]]\nname = \"localhost\"\ncertificate = {crt:?}\nkey = {key:?}\n");
        let error = load(&config(data.path(), &text), now()).unwrap_err().to_string();
        assert!(error.contains("this is not the private key of"), "{error}");
    }

    #[test]
    fn files_that_hold_something_else_are_named() {
        let (data, _) = made();
        let crt = data.path().join("tls/localhost.crt");
        const BROKEN: &str = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        for (text, expected) in
            [("", "there is no certificate in it"), (BROKEN, "this is not a PEM")]
        {
            fs::write(&crt, text).unwrap();
            let error = load(&config(data.path(), ""), now()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}: {expected}", crt.display())), "{error}");
        }
    }

    #[test]
    fn complaints_come_before_the_end() {
        let (_data, made) = made();
        let complaint = |before: Duration| made.complaint(made.not_after - before);
        assert_eq!(complaint(EXPIRY_WARNING + DAY), None);
        assert!(complaint(DAY * 5).unwrap().contains("expires in 5 days"));
        assert!(made.complaint(made.not_after + DAY).unwrap().contains("has expired"));
    }

    #[test]
    fn a_certificate_for_another_domain_is_complained_about() {
        let (data, _) = made();
        let (crt, key) =
            (data.path().join("tls/localhost.crt"), data.path().join("tls/localhost.key"));
        let text =
            format!("[[domains]]\nname = \"a.example\"\ncertificate = {crt:?}\nkey = {key:?}\n");
        let loaded = load(&config(data.path(), &text), now()).unwrap().remove(0);
        assert!(loaded.complaint(now()).unwrap().contains("does not name a.example"));
    }
}
