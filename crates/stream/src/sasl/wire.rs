//! SASL data as XML character data (RFC 6120 §6.4.2, XEP-0388 §2.3).

use super::failure::SaslFailure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The most bytes one message of a client may have, decoded.
///
/// PLAIN is the longest: an authorization identity (≤ 2,047), a localpart (≤ 1,023), a password
/// (≤ [`PASSWORD_BYTES_MAX`](super::PASSWORD_BYTES_MAX)). In base64 it stays under the 10 kB that
/// a stream may send in one element before authentication.
pub const MESSAGE_BYTES_MAX: usize = 6 * 1024;

/// Decodes what stood inside `<auth/>`, `<response/>` or `<initial-response/>`.
///
/// `=` is the empty message (RFC 6120 §6.4.2). Whether *no* character data in `<auth/>` means no
/// initial response is the caller's to decide: SASL2 tells them apart by the element.
///
/// It may hold a password, so it is wiped when dropped.
pub fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, SaslFailure> {
    if text.len() > MESSAGE_BYTES_MAX.div_ceil(3) * 4 {
        return Err(SaslFailure::malformed_request().text("the message is too long"));
    }
    if text == "=" {
        return Ok(Zeroizing::default());
    }
    STANDARD.decode(text).map(Zeroizing::new).map_err(|_| SaslFailure::incorrect_encoding())
}

/// Encodes what goes into `<challenge/>`, `<success/>` or `<additional-data/>`.
///
/// Additional data that exists but is empty becomes `=`; a `<challenge/>` that is empty is written
/// without character data, so callers skip this for it.
pub fn encode(message: &[u8]) -> String {
    if message.is_empty() { "=".to_owned() } else { STANDARD.encode(message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::SaslCondition;

    #[test]
    fn an_equals_sign_is_the_empty_message_both_ways() {
        assert_eq!(decode("="), Ok(Zeroizing::default()));
        assert_eq!(encode(b""), "=");
    }

    #[test]
    fn what_is_encoded_decodes() {
        assert_eq!(encode(b"\0juliet\0r0m30"), "AGp1bGlldAByMG0zMA==");
        assert_eq!(decode("AGp1bGlldAByMG0zMA=="), Ok(b"\0juliet\0r0m30".to_vec().into()));
    }

    #[test]
    fn broken_base64_is_incorrect_encoding() {
        for text in
            ["A", "====", "AA=A", "AGp1 bGll", "AGp1\n", "AGp1bGlldAByMG0zMA", "AB==", "\u{e4}"]
        {
            let failure = decode(text).expect_err(text);
            assert_eq!(failure.condition(), SaslCondition::IncorrectEncoding, "{text}");
        }
    }

    #[test]
    fn a_message_over_the_limit_is_refused_before_it_is_decoded() {
        assert!(decode(&"A".repeat(MESSAGE_BYTES_MAX / 3 * 4)).is_ok());
        let failure = decode(&"A".repeat(MESSAGE_BYTES_MAX / 3 * 4 + 4)).expect_err("too long");
        assert_eq!(failure.condition(), SaslCondition::MalformedRequest);
    }
}
