//! `jackdaw cluster cert`, as an operator runs it.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use support::{jackdaw, text};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Runs `jackdaw cluster cert …` and gives its exit code, its output and its errors.
fn cert(arguments: &[&str], directory: &Path) -> (i32, String, String) {
    let output = jackdaw(&[&["cluster", "cert"], arguments].concat(), directory, "");
    let code = output.status.code().expect("no signal");
    (code, text(&output.stdout).into(), text(&output.stderr).into())
}

fn mode(file: &Path) -> u32 {
    fs::metadata(file).expect("a file").permissions().mode() & 0o777
}

fn certificate(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).expect("a certificate")
}

#[test]
fn an_authority_signs_nodes_that_others_trust() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("made");
    let dir = folder.to_str().expect("UTF-8");
    let made = cert(&["ca", "--dir", dir], directory.path());
    assert_eq!((made.0, made.2.as_str()), (0, ""), "{made:?}");
    let made = cert(&["node", "Jackdaw-0.test", "jackdaw.test", "--dir", dir], directory.path());
    assert_eq!((made.0, made.2.as_str()), (0, ""), "{made:?}");
    assert_eq!(mode(&folder), 0o700);
    for (file, expected) in
        [("ca.key", 0o600), ("jackdaw-0.test.key", 0o600), ("jackdaw-0.test.crt", 0o644)]
    {
        assert_eq!(mode(&folder.join(file)), expected, "{file}");
    }
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&folder.join("ca.crt"))).expect("an authority");
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
    let node = certificate(&folder.join("jackdaw-0.test.crt"));
    let verified =
        verifier.build().expect("a verifier").verify_client_cert(&node, &[], UnixTime::now());
    assert!(verified.is_ok(), "{verified:?}");
    let key = PrivateKeyDer::from_pem_file(folder.join("jackdaw-0.test.key")).expect("a key");
    let pair = CertifiedKey::new(vec![node.clone()], any_supported_type(&key).expect("a key"));
    pair.keys_match().expect("its key");
    let (_, parsed) = X509Certificate::from_der(&node).expect("X.509");
    let names = parsed.subject_alternative_name().expect("parses").expect("names");
    let names = format!("{:?}", names.value.general_names);
    assert_eq!(names, r#"[DNSName("jackdaw-0.test"), DNSName("jackdaw.test")]"#);
    let usage = parsed.extended_key_usage().expect("parses").expect("uses").value;
    assert!(usage.client_auth && usage.server_auth);
}

#[test]
fn nothing_that_is_there_is_replaced_by_chance() {
    let directory = tempfile::tempdir().unwrap();
    let cert = |arguments: &[&str]| cert(arguments, directory.path());
    let folder = directory.path().join("cluster-certificates");
    assert_eq!(cert(&["ca"]).0, 0);
    let authority = fs::read(folder.join("ca.crt")).expect("a file");
    let again = cert(&["ca"]);
    assert_eq!((again.0, again.2.contains("another --dir")), (1, true), "{again:?}");
    assert_eq!(fs::read(folder.join("ca.crt")).expect("a file"), authority);
    assert_eq!(cert(&["node", "a.test"]).0, 0);
    let first = fs::read(folder.join("a.test.crt")).expect("a file");
    let again = cert(&["node", "a.test"]);
    assert_eq!((again.0, again.2.contains("--renew")), (1, true), "{again:?}");
    assert_eq!(fs::read(folder.join("a.test.crt")).expect("a file"), first);
    assert_eq!(cert(&["node", "a.test", "--renew"]).0, 0);
    assert_ne!(fs::read(folder.join("a.test.crt")).expect("a file"), first);
    assert_eq!(mode(&folder.join("a.test.key")), 0o600);
}

#[test]
fn what_cannot_be_done_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let cert = |arguments: &[&str]| cert(arguments, directory.path());
    let missing = cert(&["node", "a.test"]);
    assert_eq!(
        (missing.0, missing.2.contains("jackdaw cluster cert ca")),
        (1, true),
        "{missing:?}"
    );
    assert_eq!(cert(&["ca"]).0, 0);
    let address = cert(&["node", "192.0.2.1"]);
    assert_eq!((address.0, address.2.contains("give a DNS name")), (1, true), "{address:?}");
    assert_eq!(cert(&["node"]).0, 2);
    assert_eq!(cert(&["node", "a.test", "--days", "0"]).0, 2);
    let folder = directory.path().join("cluster-certificates");
    fs::write(folder.join("ca.key"), "no key").expect("a file");
    let wrong = cert(&["node", "a.test"]);
    assert_eq!((wrong.0, wrong.2.contains("not an authority's")), (1, true), "{wrong:?}");
}
