//! Addresses in the file: domains, accounts and where to write to.

use std::fmt;
use std::str::FromStr;

use jackdaw_jid::BareJid;
use serde::de::{Deserialize, Deserializer, Error as _};

use super::value::{Setting, from_string, quoted};

/// A domain this server speaks for, normalised (RFC 7622 §3.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainName(BareJid);

impl DomainName {
    /// The domain of a server without a configuration.
    pub fn localhost() -> DomainName {
        DomainName(BareJid::new(None, "localhost").expect("localhost is a domain"))
    }

    /// The domainpart.
    pub fn as_str(&self) -> &str {
        self.0.domain()
    }

    /// The address of the domain itself.
    pub fn jid(&self) -> &BareJid {
        &self.0
    }

    /// The name as DNS and certificates have it, with A-labels (RFC 5890).
    pub fn to_ascii(&self) -> String {
        // What is no host name, an IP literal in brackets, is ASCII already.
        idna::domain_to_ascii(self.as_str()).unwrap_or_else(|_| self.as_str().to_owned())
    }
}

impl FromStr for DomainName {
    type Err = String;

    fn from_str(text: &str) -> Result<DomainName, String> {
        // `BareJid::new` takes the text as a domainpart, so `@` and `/` in it are refused there.
        BareJid::new(None, text).map(DomainName).map_err(|error| {
            format!("{} is not a domain: {error}; write it like \"example.org\"", quoted(text))
        })
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

from_string!(DomainName, "a domain");

/// The bare address of an account: local part and domain (RFC 7622).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountAddress(BareJid);

impl AccountAddress {
    /// The domain the account belongs to.
    pub fn domain(&self) -> &str {
        self.0.domain()
    }

    /// The address.
    pub fn jid(&self) -> &BareJid {
        &self.0
    }
}

impl FromStr for AccountAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<AccountAddress, String> {
        match BareJid::parse(text) {
            Ok(jid) if jid.local().is_some() => Ok(AccountAddress(jid)),
            _ => Err(format!(
                "{} is not the address of an account; write it like \"juliet@example.org\", without a \
                 resource",
                quoted(text)
            )),
        }
    }
}

impl fmt::Display for AccountAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

from_string!(AccountAddress, "addresses of accounts");

/// Where somebody can be written to, as a URI (XEP-0157 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactUri(String);

impl ContactUri {
    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContactUri {
    type Err = String;

    fn from_str(text: &str) -> Result<ContactUri, String> {
        let known = ["mailto:", "xmpp:", "https://", "http://", "tel:", "sip:", "sips:"];
        let printable = text.chars().all(|c| c.is_ascii_graphic());
        match printable && known.iter().any(|scheme| text.starts_with(scheme)) {
            true => Ok(ContactUri(text.into())),
            false => Err(format!(
                "{} is not a contact URI; write \"mailto:…\", \"xmpp:…\" or \"https://…\"",
                quoted(text)
            )),
        }
    }
}

impl fmt::Display for ContactUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

from_string!(ContactUri, "URIs");
