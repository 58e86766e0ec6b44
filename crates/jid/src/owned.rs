//! JIDs that own their text.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::borrowed::split;
use crate::prepare::{prepare_domain, prepare_local, prepare_resource};
use crate::{JidError, JidRef};

/// A JID of either kind, in normal form. Cheap to clone.
#[derive(Clone)]
pub struct Jid {
    pub(crate) text: Arc<str>,
    pub(crate) local: u16,
    pub(crate) bare: u16,
}

impl Jid {
    /// Parses and normalises (RFC 7622 §3).
    pub fn parse(text: &str) -> Result<Jid, JidError> {
        if let Some(jid) = JidRef::parse_normalised(text) {
            return Ok(jid.to_jid());
        }
        let (local, domain, resource) = split(text);
        Jid::new(local, domain, resource)
    }

    /// From unprepared parts.
    pub fn new(local: Option<&str>, domain: &str, resource: Option<&str>) -> Result<Jid, JidError> {
        let local = local.map(prepare_local).transpose()?;
        let domain = prepare_domain(domain)?;
        let resource = resource.map(prepare_resource).transpose()?;
        let mut text = String::with_capacity(domain.len() + 32);
        if let Some(local) = &local {
            text.push_str(local);
            text.push('@');
        }
        text.push_str(&domain);
        let bare = text.len() as u16;
        if let Some(resource) = &resource {
            text.push('/');
            text.push_str(resource);
        }
        Ok(Jid { text: text.into(), local: local.map_or(0, |local| local.len() as u16), bare })
    }

    /// Borrows it.
    pub fn as_jid_ref(&self) -> JidRef<'_> {
        JidRef { text: &self.text, local: self.local, bare: self.bare }
    }

    /// The localpart.
    pub fn local(&self) -> Option<&str> {
        self.as_jid_ref().local()
    }

    /// The domainpart.
    pub fn domain(&self) -> &str {
        self.as_jid_ref().domain()
    }

    /// The resourcepart.
    pub fn resource(&self) -> Option<&str> {
        self.as_jid_ref().resource()
    }

    /// `local@domain`, or the domain.
    pub fn bare_str(&self) -> &str {
        self.as_jid_ref().bare_str()
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has a resource.
    pub fn is_full(&self) -> bool {
        self.as_jid_ref().is_full()
    }

    /// Without its resource.
    pub fn to_bare(&self) -> BareJid {
        if !self.is_full() {
            return BareJid(self.clone());
        }
        BareJid(Jid { text: self.bare_str().into(), local: self.local, bare: self.bare })
    }

    /// As a full JID, if it is one.
    pub fn to_full(&self) -> Option<FullJid> {
        self.is_full().then(|| FullJid(self.clone()))
    }
}

/// A JID without resource: an account, or a domain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BareJid(Jid);

impl BareJid {
    /// Parses and normalises; a resource is an error.
    pub fn parse(text: &str) -> Result<BareJid, JidError> {
        let jid = Jid::parse(text)?;
        if jid.is_full() { Err(JidError::Shape) } else { Ok(BareJid(jid)) }
    }

    /// From unprepared parts.
    pub fn new(local: Option<&str>, domain: &str) -> Result<BareJid, JidError> {
        Jid::new(local, domain, None).map(BareJid)
    }

    /// With a resource, which is prepared.
    pub fn with_resource(&self, resource: &str) -> Result<FullJid, JidError> {
        let resource = prepare_resource(resource)?;
        let text = format!("{}/{resource}", self.0.text).into();
        Ok(FullJid(Jid { text, local: self.0.local, bare: self.0.bare }))
    }

    /// The localpart; none for a domain.
    pub fn local(&self) -> Option<&str> {
        self.0.local()
    }

    /// The domainpart.
    pub fn domain(&self) -> &str {
        self.0.domain()
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Borrows it.
    pub fn as_jid_ref(&self) -> JidRef<'_> {
        self.0.as_jid_ref()
    }
}

/// A JID with resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FullJid(Jid);

impl FullJid {
    /// Parses and normalises; a missing resource is an error.
    pub fn parse(text: &str) -> Result<FullJid, JidError> {
        Jid::parse(text)?.to_full().ok_or(JidError::Shape)
    }

    /// Without its resource.
    pub fn bare(&self) -> BareJid {
        self.0.to_bare()
    }

    /// The text without the resource.
    pub fn bare_str(&self) -> &str {
        self.0.bare_str()
    }

    /// The localpart.
    pub fn local(&self) -> Option<&str> {
        self.0.local()
    }

    /// The domainpart.
    pub fn domain(&self) -> &str {
        self.0.domain()
    }

    /// The resourcepart.
    pub fn resource(&self) -> &str {
        self.0.resource().unwrap_or_default()
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Borrows it.
    pub fn as_jid_ref(&self) -> JidRef<'_> {
        self.0.as_jid_ref()
    }
}

impl PartialEq for Jid {
    fn eq(&self, other: &Jid) -> bool {
        self.text == other.text
    }
}

impl Eq for Jid {}

impl PartialOrd for Jid {
    fn partial_cmp(&self, other: &Jid) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Jid {
    fn cmp(&self, other: &Jid) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

/// The hash is that of the text, so that maps can be asked with a `&str`.
impl Hash for Jid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

macro_rules! text_like {
    ($($kind:ident),*) => {$(
        impl Borrow<str> for $kind {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl AsRef<str> for $kind {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($kind), self.as_str())
            }
        }

        impl FromStr for $kind {
            type Err = JidError;

            fn from_str(text: &str) -> Result<$kind, JidError> {
                $kind::parse(text)
            }
        }
    )*};
}

text_like!(Jid, BareJid, FullJid);

impl From<BareJid> for Jid {
    fn from(jid: BareJid) -> Jid {
        jid.0
    }
}

impl From<FullJid> for Jid {
    fn from(jid: FullJid) -> Jid {
        jid.0
    }
}

impl TryFrom<Jid> for FullJid {
    type Error = JidError;

    fn try_from(jid: Jid) -> Result<FullJid, JidError> {
        jid.to_full().ok_or(JidError::Shape)
    }
}

impl TryFrom<Jid> for BareJid {
    type Error = JidError;

    fn try_from(jid: Jid) -> Result<BareJid, JidError> {
        if jid.is_full() { Err(JidError::Shape) } else { Ok(BareJid(jid)) }
    }
}
