//! What is offered on a connection: configuration and channel in, mechanisms out.

use super::channel::{Channel, ChannelBinding};
use super::hash::Hash;
use super::mechanism::{Mechanism, Plus};

/// What the operator permits for one domain. The default is what a new server should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslConfig {
    /// ANONYMOUS (RFC 4505). Off: on an ordinary domain it is an open relay.
    pub anonymous: bool,
    /// EXTERNAL with client certificates (XEP-0178). Off: it needs a CA the operator trusts.
    pub external: bool,
    /// FAST tokens (XEP-0484), offered by SASL2 only.
    pub fast: bool,
    /// PLAIN (RFC 4616). Off: it costs a whole PBKDF2 per login, shows the password to whoever
    /// broke TLS, and undoes downgrade protection (XEP-0474 §7).
    pub plain: bool,
    /// The hashes SCRAM is offered with. The order does not matter.
    pub scram: Vec<Hash>,
}

impl Default for SaslConfig {
    fn default() -> SaslConfig {
        SaslConfig {
            anonymous: false,
            external: false,
            fast: true,
            plain: false,
            scram: Hash::ALL.to_vec(),
        }
    }
}

impl SaslConfig {
    /// What to offer the domain's clients on this connection.
    ///
    /// Build it once per connection and domain, advertise exactly this, and hand the same value to
    /// every exchange: the downgrade protection is computed from it.
    pub fn offer(&self, channel: &Channel, domain: &str) -> Offer {
        let channel_bindings: Vec<_> = ChannelBinding::ALL
            .into_iter()
            .filter(|binding| channel.binding(*binding).is_some())
            .collect();
        let asserted = channel.identities.iter().any(|jid| jid.domain() == domain);
        let offered = |mechanism: &Mechanism| match *mechanism {
            Mechanism::Anonymous => self.anonymous,
            Mechanism::External => self.external && asserted,
            Mechanism::Plain => self.plain && channel.confidential,
            other => match (other.scram(), other.token_binding()) {
                (Some((hash, plus)), _) => {
                    self.scram.contains(&hash)
                        && (plus == Plus::Without || !channel_bindings.is_empty())
                }
                (None, Some(binding)) => self.fast && channel_bindings.contains(&binding),
                (None, None) => self.fast && channel.confidential,
            },
        };
        let (fast, mechanisms) =
            Mechanism::ALL.into_iter().filter(offered).partition(|mechanism| mechanism.is_fast());
        Offer { mechanisms, fast, channel_bindings }
    }
}

/// What was advertised on a connection. Anything else is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// For `<mechanisms/>` (RFC 6120 §6.3.3) or `<authentication/>` (XEP-0388 §2.1), in order of
    /// preference.
    pub mechanisms: Vec<Mechanism>,
    /// For `<fast/>` (XEP-0484 §3.1); with RFC 6120's SASL there is none.
    pub fast: Vec<Mechanism>,
    /// For `<sasl-channel-binding/>` (XEP-0440); when empty the element is left out.
    pub channel_bindings: Vec<ChannelBinding>,
}

impl Offer {
    /// Whether a client may choose this mechanism.
    pub fn has(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.contains(&mechanism) || self.fast.contains(&mechanism)
    }

    /// Whether a `-PLUS` mechanism was offered, so that the flag `y` betrays somebody in the
    /// middle (RFC 5802 §6).
    pub(super) fn has_plus(&self) -> bool {
        self.mechanisms.iter().any(|mechanism| mechanism.is_channel_bound())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> SaslConfig {
        SaslConfig {
            anonymous: true,
            external: true,
            fast: true,
            plain: true,
            scram: Hash::ALL.to_vec(),
        }
    }

    fn tls() -> Channel {
        Channel {
            confidential: true,
            exporter: Some([1; 32]),
            server_end_point: Some([2; 32].into()),
            identities: Vec::new(),
        }
    }

    fn names(mechanisms: &[Mechanism]) -> Vec<&'static str> {
        mechanisms.iter().map(|mechanism| mechanism.name()).collect()
    }

    #[test]
    fn by_default_scram_and_fast_are_offered_and_nothing_else() {
        let offer = SaslConfig::default().offer(&tls(), "example.org");
        assert_eq!(
            names(&offer.mechanisms),
            [
                "SCRAM-SHA-512-PLUS",
                "SCRAM-SHA-256-PLUS",
                "SCRAM-SHA-1-PLUS",
                "SCRAM-SHA-512",
                "SCRAM-SHA-256",
                "SCRAM-SHA-1"
            ]
        );
        assert_eq!(names(&offer.fast), ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"]);
        assert_eq!(
            offer.channel_bindings,
            [ChannelBinding::Exporter, ChannelBinding::ServerEndPoint]
        );
    }

    #[test]
    fn without_tls_there_is_no_plain_no_token_and_no_binding() {
        let offer = everything().offer(&Channel::default(), "example.org");
        assert_eq!(
            names(&offer.mechanisms),
            ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "ANONYMOUS"]
        );
        assert_eq!(offer.fast, []);
        assert_eq!(offer.channel_bindings, []);
        assert!(!offer.has_plus());
    }

    #[test]
    fn plain_is_offered_on_a_confidential_channel_when_configured() {
        let config = SaslConfig { plain: true, ..SaslConfig::default() };
        assert!(config.offer(&tls(), "example.org").has(Mechanism::Plain));
        assert!(!SaslConfig::default().offer(&tls(), "example.org").has(Mechanism::Plain));
    }

    #[test]
    fn external_needs_a_certificate_that_names_an_account_of_this_domain() {
        let jid = BareJid::parse("romeo@example.org").expect("a JID");
        let channel = Channel { identities: vec![jid], ..tls() };
        assert!(everything().offer(&channel, "example.org").has(Mechanism::External));
        assert!(!everything().offer(&channel, "example.net").has(Mechanism::External));
        assert!(!everything().offer(&tls(), "example.org").has(Mechanism::External));
    }

    #[test]
    fn only_the_configured_hashes_are_offered() {
        let config = SaslConfig { scram: vec![Hash::Sha256], ..SaslConfig::default() };
        let offer = config.offer(&tls(), "example.org");
        assert_eq!(names(&offer.mechanisms), ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]);
    }

    use jackdaw_jid::BareJid;
}
