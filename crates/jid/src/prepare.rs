//! Preparation and enforcement of the three parts (RFC 7622 §3.2–§3.4).

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use precis_core::profile::PrecisFastInvocation;
use precis_profiles::{OpaqueString, UsernameCaseMapped};

/// Bytes a part may have, after mapping (RFC 7622 §3.1).
pub const PART_BYTES_MAX: usize = 1023;

/// Bytes a part may have before mapping. Normalisation can shrink text, but work on it is only
/// worth while near the limit.
const RAW_BYTES_MAX: usize = 4 * PART_BYTES_MAX;

/// Characters a localpart may not have beyond what PRECIS disallows (RFC 7622 §3.3.1).
const LOCAL_EXCLUDED: &[u8] = b"\"&'/:<>@";

/// Why a text is no JID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JidError {
    /// The localpart is empty, too long or has a character that it cannot have.
    #[error("the localpart is not valid (RFC 7622 §3.3)")]
    Local,
    /// The domainpart is empty, too long or no domain name or IP address.
    #[error("the domainpart is not valid (RFC 7622 §3.2)")]
    Domain,
    /// The resourcepart is empty, too long or has a character that it cannot have.
    #[error("the resourcepart is not valid (RFC 7622 §3.4)")]
    Resource,
    /// A bare JID was wanted, or a full one.
    #[error("a resourcepart is missing, or there is one too many")]
    Shape,
}

/// How many of the first bytes a localpart in normal form may have.
pub(crate) fn normal_local_length(text: &str) -> usize {
    text.bytes().take_while(|byte| IS_LOCAL[usize::from(*byte)]).count()
}

/// The ASCII characters of a localpart in normal form. A table: every stanza's addresses are read.
const IS_LOCAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = !byte.is_ascii_uppercase();
        byte += 1;
    }
    let mut excluded = LOCAL_EXCLUDED;
    while let [first, rest @ ..] = excluded {
        table[*first as usize] = false;
        excluded = rest;
    }
    table
};

/// Lower-case ASCII labels. Anything with `xn--` takes the slow way: its normal form is the
/// Unicode label.
pub(crate) fn is_normal_domain(text: &str) -> bool {
    let labels = || text.as_bytes().split(|byte| *byte == b'.');
    fits(text)
        && labels().all(is_normal_label)
        && !labels().next_back().is_some_and(|last| last.iter().all(u8::is_ascii_digit))
}

fn is_normal_label(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.len() <= 63
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && !bytes.starts_with(b"-")
        && !bytes.ends_with(b"-")
        && bytes.get(2..4) != Some(b"--")
}

/// Printable ASCII is its own OpaqueString (RFC 8265 §4.2.1).
pub(crate) fn is_normal_resource(text: &str) -> bool {
    fits(text) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

pub(crate) fn fits(text: &str) -> bool {
    (1..=PART_BYTES_MAX).contains(&text.len())
}

/// Prepares a localpart: UsernameCaseMapped, and the characters of RFC 7622 §3.3.1 refused.
pub fn prepare_local(text: &str) -> Result<Cow<'_, str>, JidError> {
    if fits(text) && normal_local_length(text) == text.len() {
        return Ok(Cow::Borrowed(text));
    }
    if text.is_empty() || text.len() > RAW_BYTES_MAX {
        return Err(JidError::Local);
    }
    let prepared = stable(text, |text| {
        UsernameCaseMapped::enforce(text).map(Cow::into_owned).map_err(|_| JidError::Local)
    })?;
    let excluded = prepared.bytes().any(|byte| LOCAL_EXCLUDED.contains(&byte));
    if excluded || !fits(&prepared) {
        return Err(JidError::Local);
    }
    Ok(Cow::Owned(prepared))
}

/// Prepares a resourcepart: OpaqueString.
pub fn prepare_resource(text: &str) -> Result<Cow<'_, str>, JidError> {
    if is_normal_resource(text) {
        return Ok(Cow::Borrowed(text));
    }
    if text.is_empty() || text.len() > RAW_BYTES_MAX {
        return Err(JidError::Resource);
    }
    let prepared = stable(text, |text| {
        OpaqueString::enforce(text).map(Cow::into_owned).map_err(|_| JidError::Resource)
    })?;
    if fits(&prepared) { Ok(Cow::Owned(prepared)) } else { Err(JidError::Resource) }
}

/// Prepares a domainpart: labels lower-case and in Unicode, no trailing dot, IP addresses as they
/// are written canonically (RFC 7622 §3.2).
pub fn prepare_domain(text: &str) -> Result<Cow<'_, str>, JidError> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if is_normal_domain(text) {
        return Ok(Cow::Borrowed(text));
    }
    if text.is_empty() || text.len() > RAW_BYTES_MAX {
        return Err(JidError::Domain);
    }
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| JidError::Domain)?;
        return Ok(Cow::Owned(format!("[{address}]")));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Cow::Owned(address.to_string()));
    }
    let prepared = stable(text, unicode_domain)?;
    if fits(&prepared) { Ok(Cow::Owned(prepared)) } else { Err(JidError::Domain) }
}

fn unicode_domain(text: &str) -> Result<String, JidError> {
    let ascii = idna::domain_to_ascii_strict(text).map_err(|_| JidError::Domain)?;
    let (unicode, valid) = idna::domain_to_unicode(&ascii);
    valid.map_err(|_| JidError::Domain)?;
    let labels_fit = ascii.split('.').all(|label| (1..=63).contains(&label.len()));
    // A domain that ends in digits only would be read as an IPv4 address by others.
    let is_numeric =
        ascii.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    if labels_fit && !is_numeric { Ok(unicode) } else { Err(JidError::Domain) }
}

/// Applies the mapping until nothing changes: for some code points once is not enough, and
/// n(n(x)) must equal n(x), or two nodes could disagree on a JID. Refuses what does not settle.
fn stable(text: &str, map: impl Fn(&str) -> Result<String, JidError>) -> Result<String, JidError> {
    let mut current = map(text)?;
    for _ in 0..3 {
        let next = map(&current)?;
        if next == current {
            return Ok(current);
        }
        current = next;
    }
    map(&current).and_then(|next| if next == current { Ok(next) } else { Err(JidError::Shape) })
}
