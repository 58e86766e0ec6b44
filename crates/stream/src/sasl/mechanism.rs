//! The mechanisms this server knows, by their registered names.

use super::channel::ChannelBinding;
use super::hash::Hash;

/// A SASL mechanism. The order of the variants is the order of preference in an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// A client certificate (RFC 4422 appendix A, XEP-0178).
    External,
    /// SCRAM with SHA-512, bound to the TLS channel.
    ScramSha512Plus,
    /// SCRAM with SHA-256, bound to the TLS channel (RFC 7677).
    ScramSha256Plus,
    /// SCRAM with SHA-1, bound to the TLS channel (RFC 5802).
    ScramSha1Plus,
    /// SCRAM with SHA-512.
    ScramSha512,
    /// SCRAM with SHA-256 (RFC 7677).
    ScramSha256,
    /// SCRAM with SHA-1 (RFC 5802).
    ScramSha1,
    /// The password itself (RFC 4616).
    Plain,
    /// Nobody in particular (RFC 4505).
    Anonymous,
    /// A FAST token bound by `tls-exporter` (XEP-0484).
    HtSha256Expr,
    /// A FAST token bound by `tls-server-end-point` (XEP-0484).
    HtSha256Endp,
    /// A FAST token bound by `tls-unique`. Known, never offered: see [`ChannelBinding::Unique`].
    HtSha256Uniq,
    /// A FAST token without channel binding (XEP-0484).
    HtSha256None,
}

/// Whether a SCRAM mechanism is its `-PLUS` variant (RFC 5802 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plus {
    Without,
    With,
}

impl Mechanism {
    /// Every mechanism, in order of preference.
    pub const ALL: [Mechanism; 13] = [
        Mechanism::External,
        Mechanism::ScramSha512Plus,
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha1Plus,
        Mechanism::ScramSha512,
        Mechanism::ScramSha256,
        Mechanism::ScramSha1,
        Mechanism::Plain,
        Mechanism::Anonymous,
        Mechanism::HtSha256Expr,
        Mechanism::HtSha256Endp,
        Mechanism::HtSha256Uniq,
        Mechanism::HtSha256None,
    ];

    /// The registered name, as in `<mechanism/>`.
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::External => "EXTERNAL",
            Mechanism::ScramSha512Plus => "SCRAM-SHA-512-PLUS",
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::Plain => "PLAIN",
            Mechanism::Anonymous => "ANONYMOUS",
            Mechanism::HtSha256Expr => "HT-SHA-256-EXPR",
            Mechanism::HtSha256Endp => "HT-SHA-256-ENDP",
            Mechanism::HtSha256Uniq => "HT-SHA-256-UNIQ",
            Mechanism::HtSha256None => "HT-SHA-256-NONE",
        }
    }

    /// The mechanism of that name. Names are case-sensitive upper case (RFC 4422 §3.1).
    pub fn parse(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    /// Whether it authenticates with a FAST token and belongs into `<fast/>`, not `<mechanisms/>`.
    pub const fn is_fast(self) -> bool {
        matches!(
            self,
            Mechanism::HtSha256Expr
                | Mechanism::HtSha256Endp
                | Mechanism::HtSha256Uniq
                | Mechanism::HtSha256None
        )
    }

    /// Whether it binds to the TLS channel.
    pub const fn is_channel_bound(self) -> bool {
        matches!(self.scram(), Some((_, Plus::With))) || self.token_binding().is_some()
    }

    /// The hash and variant of a SCRAM mechanism.
    pub(super) const fn scram(self) -> Option<(Hash, Plus)> {
        Some(match self {
            Mechanism::ScramSha512Plus => (Hash::Sha512, Plus::With),
            Mechanism::ScramSha256Plus => (Hash::Sha256, Plus::With),
            Mechanism::ScramSha1Plus => (Hash::Sha1, Plus::With),
            Mechanism::ScramSha512 => (Hash::Sha512, Plus::Without),
            Mechanism::ScramSha256 => (Hash::Sha256, Plus::Without),
            Mechanism::ScramSha1 => (Hash::Sha1, Plus::Without),
            Mechanism::External
            | Mechanism::Plain
            | Mechanism::Anonymous
            | Mechanism::HtSha256Expr
            | Mechanism::HtSha256Endp
            | Mechanism::HtSha256Uniq
            | Mechanism::HtSha256None => return None,
        })
    }

    /// The channel binding that is part of a FAST mechanism's name.
    pub(super) const fn token_binding(self) -> Option<ChannelBinding> {
        match self {
            Mechanism::HtSha256Expr => Some(ChannelBinding::Exporter),
            Mechanism::HtSha256Endp => Some(ChannelBinding::ServerEndPoint),
            Mechanism::HtSha256Uniq => Some(ChannelBinding::Unique),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::parse(mechanism.name()), Some(mechanism));
        }
    }

    #[test]
    fn the_list_is_in_order_of_preference() {
        assert!(Mechanism::ALL.is_sorted());
    }

    #[test]
    fn names_are_case_sensitive_and_whole() {
        for name in ["", "plain", "SCRAM-SHA-1-", "SCRAM-SHA-1 ", "SCRAM-SHA-384", "DIGEST-MD5"] {
            assert_eq!(Mechanism::parse(name), None, "{name}");
        }
    }

    #[test]
    fn plus_and_most_token_mechanisms_are_channel_bound() {
        let bound: Vec<_> =
            Mechanism::ALL.into_iter().filter(|m| m.is_channel_bound()).map(|m| m.name()).collect();
        assert_eq!(
            bound,
            [
                "SCRAM-SHA-512-PLUS",
                "SCRAM-SHA-256-PLUS",
                "SCRAM-SHA-1-PLUS",
                "HT-SHA-256-EXPR",
                "HT-SHA-256-ENDP",
                "HT-SHA-256-UNIQ"
            ]
        );
    }
}
