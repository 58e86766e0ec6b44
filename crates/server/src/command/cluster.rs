//! `jackdaw cluster cert`: an authority and certificates of nodes, for those who have no other way
//! to make them. Works on files alone: no configuration, no data directory, no server.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use super::{CommandError, print};
use crate::cli::{CertCommand, ClusterCommand};
use crate::config::DomainName;

/// Nodes whose clocks are slow must accept a certificate that was just made.
const CLOCK_SKEW: Duration = Duration::from_secs(86_400);

/// Keys are for whoever runs the node alone; certificates are no secret.
const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

pub(super) fn run(command: ClusterCommand) -> Result<(), CommandError> {
    #[expect(clippy::disallowed_methods, reason = "a certificate is valid from now on")]
    let now = SystemTime::now();
    let ClusterCommand::Cert(command) = command;
    match command {
        CertCommand::Ca { dir, name, days } => make_authority(&Folder(dir), &name, days, now),
        CertCommand::Node { names, dir, days, renew } => {
            make_node(&Folder(dir), &names, days, renew, now)
        }
    }
}

/// Where the files are.
struct Folder(PathBuf);

impl Folder {
    fn authority(&self) -> (PathBuf, PathBuf) {
        self.pair("ca")
    }

    /// Certificate and key.
    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.0.join(format!("{name}.crt")), self.0.join(format!("{name}.key")))
    }
}

/// `jackdaw cluster cert ca`.
fn make_authority(
    folder: &Folder,
    name: &str,
    days: u32,
    now: SystemTime,
) -> Result<(), CommandError> {
    let (certificate, key) = folder.authority();
    for file in [&certificate, &key] {
        if file.exists() {
            return Err(CommandError::Failed(format!(
                "{}: there is an authority already, and the nodes it signed would no longer be \
                 trusted; give another --dir to make another one",
                file.display()
            )));
        }
    }
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let (mut params, pair) = finish(params, name, days, now)?;
    params.use_authority_key_identifier_extension = false;
    let signed = params.self_signed(&pair).map_err(failed)?;
    write(&key, &pair.serialize_pem(), KEY_MODE, New::Only)?;
    write(&certificate, &signed.pem(), CERTIFICATE_MODE, New::Only)?;
    print(&format!("made {} and {}\n", certificate.display(), key.display()))
}

/// `jackdaw cluster cert node`.
fn make_node(
    folder: &Folder,
    names: &[DomainName],
    days: u32,
    renew: bool,
    now: SystemTime,
) -> Result<(), CommandError> {
    let names: Vec<String> = names.iter().map(DomainName::to_ascii).collect();
    let Some(first) = names.first() else {
        return Err(CommandError::Failed("a node has a name".into()));
    };
    if let Some(address) = names.iter().find(|name| name.starts_with('[') || is_address(name)) {
        let why = "a node is known by a name, wherever it is; give a DNS name";
        return Err(CommandError::Failed(format!("{address}: {why}")));
    }
    let (certificate, key) = folder.pair(first);
    if certificate.exists() && !renew {
        return Err(CommandError::Failed(format!(
            "{}: it exists already; --renew replaces certificate and key",
            certificate.display()
        )));
    }
    let issuer = read_authority(folder)?;
    let mut params = CertificateParams::new(names.clone()).map_err(failed)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Every node dials and is dialled.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let (params, pair) = finish(params, first, days, now)?;
    let signed = params.signed_by(&pair, &issuer).map_err(failed)?;
    write(&key, &pair.serialize_pem(), KEY_MODE, New::OrInstead)?;
    write(&certificate, &signed.pem(), CERTIFICATE_MODE, New::OrInstead)?;
    print(&format!("made {} and {}\n", certificate.display(), key.display()))
}

fn is_address(name: &str) -> bool {
    name.parse::<std::net::IpAddr>().is_ok()
}

/// What both kinds have: a name for people, a validity, a key.
fn finish(
    mut params: CertificateParams,
    name: &str,
    days: u32,
    now: SystemTime,
) -> Result<(CertificateParams, KeyPair), CommandError> {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + Duration::from_secs(u64::from(days) * 86_400)).into();
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    Ok((params, pair))
}

fn read_authority(folder: &Folder) -> Result<Issuer<'static, KeyPair>, CommandError> {
    let (certificate, key) = folder.authority();
    let read = |file: &Path| {
        fs::read_to_string(file).map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound => "; make one with `jackdaw cluster cert ca`",
                _ => "",
            };
            CommandError::Failed(format!("{}: {error}{hint}", file.display()))
        })
    };
    let (certificate_pem, key_pem) = (read(&certificate)?, read(&key)?);
    let wrong = |file: &Path, error: rcgen::Error| {
        CommandError::Failed(format!("{}: {error}; it is not an authority's", file.display()))
    };
    let pair = KeyPair::from_pem(&key_pem).map_err(|error| wrong(&key, error))?;
    Issuer::from_ca_cert_pem(&certificate_pem, pair).map_err(|error| wrong(&certificate, error))
}

fn failed(error: rcgen::Error) -> CommandError {
    CommandError::Failed(format!("cannot make a certificate: {error}"))
}

/// What to do where a file is already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum New {
    /// Fail.
    Only,
    /// Replace it, whole or not at all.
    OrInstead,
}

fn write(file: &Path, text: &str, mode: u32, new: New) -> Result<(), CommandError> {
    let attempt = || -> io::Result<()> {
        if let Some(folder) = file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let unfinished = file.with_extension("new");
        let target = if new == New::Only { file } else { &unfinished };
        let mut options = OpenOptions::new();
        options.write(true).mode(mode);
        match new {
            New::Only => options.create_new(true),
            New::OrInstead => options.create(true).truncate(true),
        };
        let mut output = options.open(target)?;
        output.write_all(text.as_bytes())?;
        output.sync_all()?;
        match new {
            New::Only => Ok(()),
            New::OrInstead => fs::rename(&unfinished, file),
        }
    };
    attempt().map_err(|error| CommandError::Failed(format!("{}: {error}", file.display())))
}
