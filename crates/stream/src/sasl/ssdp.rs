//! XEP-0474: the hash by which a client sees whether the offer reached it unchanged.

use super::channel::ChannelBinding;
use super::hash::Hash;
use super::offer::Offer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Between two names of a list. Neither delimiter can stand in XML (XEP-0474 §8).
const BETWEEN_NAMES: &str = "\u{1e}";

/// Between the mechanisms and the channel-binding types.
const BETWEEN_LISTS: &str = "\u{1f}";

/// The value of the attribute `h` (XEP-0474 §6.1): the hash over what was advertised.
pub(super) fn attribute(hash: Hash, offer: &Offer) -> String {
    STANDARD.encode(hash.digest(advertised(offer).as_bytes()))
}

/// What is hashed. FAST mechanisms do not stand in the mechanism list, so they are not in here.
fn advertised(offer: &Offer) -> String {
    let mut text = sorted(offer.mechanisms.iter().map(|mechanism| mechanism.name()));
    if !offer.channel_bindings.is_empty() {
        text.push_str(BETWEEN_LISTS);
        text.push_str(&sorted(offer.channel_bindings.iter().copied().map(ChannelBinding::name)));
    }
    text
}

/// Joined in the order of `i;octet`, which is that of `str`.
fn sorted(names: impl Iterator<Item = &'static str>) -> String {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.join(BETWEEN_NAMES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::Mechanism;

    // XEP-0474 §6.3.
    #[test]
    fn the_example_of_the_xep_comes_out() {
        let offer = Offer {
            mechanisms: vec![Mechanism::ScramSha1Plus, Mechanism::ScramSha1],
            fast: vec![Mechanism::HtSha256None],
            channel_bindings: vec![ChannelBinding::ServerEndPoint, ChannelBinding::Exporter],
        };
        assert_eq!(
            advertised(&offer),
            "SCRAM-SHA-1\u{1e}SCRAM-SHA-1-PLUS\u{1f}tls-exporter\u{1e}tls-server-end-point"
        );
        assert_eq!(attribute(Hash::Sha1, &offer), "G6k/rBLDqgOhRRaCuuatSDFkJ08=");
    }

    #[test]
    fn without_channel_bindings_the_second_delimiter_is_left_out() {
        let offer = Offer {
            mechanisms: vec![Mechanism::ScramSha256, Mechanism::ScramSha1],
            ..Offer::default()
        };
        assert_eq!(advertised(&offer), "SCRAM-SHA-1\u{1e}SCRAM-SHA-256");
    }
}
