//! The domains this deployment serves.

use jackdaw_jid::BareJid;

/// The served domains, normalised. A handful: a scan beats a hash.
#[derive(Clone, Debug)]
pub struct Hosts {
    domains: Vec<BareJid>,
}

impl Hosts {
    /// The domains as bare JIDs without localpart.
    pub fn new(domains: Vec<BareJid>) -> Hosts {
        Hosts { domains }
    }

    /// Whether this domain is served here.
    pub fn serves(&self, domain: &str) -> bool {
        self.find(domain).is_some()
    }

    /// The domain as the JID of its server.
    pub fn find(&self, domain: &str) -> Option<&BareJid> {
        self.domains.iter().find(|host| host.as_str() == domain)
    }

    /// Every domain.
    pub fn iter(&self) -> impl Iterator<Item = &BareJid> {
        self.domains.iter()
    }
}
