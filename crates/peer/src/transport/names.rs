//! The names in a certificate.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::handshake::NodeName;

/// A node has one name, perhaps a handful; more are not looked at.
const NAMES_MAX: usize = 64;

/// The DNS names of a certificate that was verified. A wildcard names no node.
pub(super) fn of(certificate: &CertificateDer<'_>) -> Vec<NodeName> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(alternatives)) = parsed.subject_alternative_name() else { return Vec::new() };
    let names = alternatives.value.general_names.iter().take(NAMES_MAX);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => NodeName::new(name),
        _ => None,
    });
    names.collect()
}

/// The names in the first certificate of a chain.
pub(super) fn of_chain(chain: Option<&[CertificateDer<'_>]>) -> Vec<NodeName> {
    chain.and_then(<[_]>::first).map(of).unwrap_or_default()
}
