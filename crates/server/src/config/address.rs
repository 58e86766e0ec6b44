//! Addresses in the file: domains, accounts and where to write to.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};

use super::value::{Setting, from_string, quoted};

/// A domain this server speaks for, normalised (RFC 7622 §3.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// The domain of a server without a configuration.
    pub fn localhost() -> DomainName {
        DomainName("localhost".into())
    }

    /// The domainpart.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = String;

    fn from_str(text: &str) -> Result<DomainName, String> {
        let bad =
            text.is_empty() || text.chars().any(|c| c.is_whitespace() || "@/<>&'\"".contains(c));
        match bad {
            true => Err(format!("{} is not a domain; write it like \"example.org\"", quoted(text))),
            false => Ok(DomainName(text.to_lowercase())),
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

from_string!(DomainName, "a domain");

/// The bare address of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountAddress(String);

impl AccountAddress {
    /// The domain the account belongs to.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for AccountAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<AccountAddress, String> {
        let wrong = || {
            format!(
                "{} is not the address of an account; write it like \"juliet@example.org\", without a \
                 resource",
                quoted(text)
            )
        };
        match text.split_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.contains('/') => {
                let domain: DomainName = domain.parse().map_err(|_| wrong())?;
                Ok(AccountAddress(format!("{local}@{domain}")))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for AccountAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
