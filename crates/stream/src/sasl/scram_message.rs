//! SCRAM's messages as text (RFC 5802 §5, §7): strict order of attributes, nothing guessed.

use super::failure::SaslFailure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// The most bytes of a client's nonce. Clients send 16 to 64; it is echoed and kept, so it has a
/// bound.
pub(super) const NONCE_BYTES_MAX: usize = 256;

/// What the client says about channel binding (`gs2-cbind-flag`, RFC 5802 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BindingFlag<'a> {
    /// `n`: it does not do channel binding.
    Unsupported,
    /// `y`: it would, but saw no offer of it.
    NotOffered,
    /// `p=`: it does, with the named type.
    Used(&'a str),
}

/// `client-first-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    pub(super) binding: BindingFlag<'a>,
    pub(super) authzid: Option<Cow<'a, str>>,
    pub(super) username: Cow<'a, str>,
    pub(super) nonce: &'a str,
    /// `gs2-header`, which comes back in the final message.
    pub(super) gs2_header: &'a str,
    /// `client-first-message-bare`, the first part of `AuthMessage`.
    pub(super) bare: &'a str,
}

/// `client-final-message`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    /// Decoded `c=`: the GS2 header again, then the channel-binding data.
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'a str,
    /// Decoded `p=`.
    pub(super) proof: Vec<u8>,
    /// `client-final-message-without-proof`, the last part of `AuthMessage`.
    pub(super) without_proof: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<ClientFirst<'a>, SaslFailure> {
        let message = text(message)?;
        let (flag, rest) = message.split_once(',').ok_or_else(malformed)?;
        let (authzid, bare) = rest.split_once(',').ok_or_else(malformed)?;
        let mut attributes = bare.split(',');
        // A leading `m=` is an extension we would have to understand (§5.1); it does not start
        // with `n=` and is refused here.
        let username = value(attributes.next(), "n=")?;
        let nonce = value(attributes.next(), "r=")?;
        check_nonce(nonce)?;
        check_extensions(attributes)?;
        Ok(ClientFirst {
            binding: parse_flag(flag)?,
            authzid: parse_authzid(authzid)?,
            username: parse_saslname(username)?,
            nonce,
            gs2_header: message.strip_suffix(bare).ok_or_else(malformed)?,
            bare,
        })
    }
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<ClientFinal<'a>, SaslFailure> {
        let message = text(message)?;
        let (without_proof, proof) = message.rsplit_once(',').ok_or_else(malformed)?;
        let mut attributes = without_proof.split(',');
        let binding = value(attributes.next(), "c=")?;
        let nonce = value(attributes.next(), "r=")?;
        check_extensions(attributes)?;
        Ok(ClientFinal {
            binding: parse_base64(binding)?,
            nonce,
            proof: parse_base64(value(Some(proof), "p=")?)?,
            without_proof,
        })
    }
}

/// All of SCRAM is UTF-8 without NUL.
fn text(message: &[u8]) -> Result<&str, SaslFailure> {
    std::str::from_utf8(message).ok().filter(|text| !text.contains('\0')).ok_or_else(malformed)
}

/// The non-empty value of the attribute that must stand here.
fn value<'a>(attribute: Option<&'a str>, name: &str) -> Result<&'a str, SaslFailure> {
    attribute
        .and_then(|attribute| attribute.strip_prefix(name))
        .filter(|value| !value.is_empty())
        .ok_or_else(malformed)
}

fn parse_flag(flag: &str) -> Result<BindingFlag<'_>, SaslFailure> {
    match flag {
        "n" => Ok(BindingFlag::Unsupported),
        "y" => Ok(BindingFlag::NotOffered),
        other => value(Some(other), "p=").map(BindingFlag::Used),
    }
}

fn parse_authzid(authzid: &str) -> Result<Option<Cow<'_, str>>, SaslFailure> {
    if authzid.is_empty() {
        return Ok(None);
    }
    parse_saslname(value(Some(authzid), "a=")?).map(Some)
}

/// `saslname`: `=2C` is a comma, `=3D` an equals sign, and no other `=` may stand there.
fn parse_saslname(name: &str) -> Result<Cow<'_, str>, SaslFailure> {
    let mut parts = name.split('=');
    let plain = parts.next().ok_or_else(malformed)?;
    if plain.len() == name.len() {
        return Ok(Cow::Borrowed(name));
    }
    let mut decoded = String::with_capacity(name.len());
    decoded.push_str(plain);
    for part in parts {
        let (character, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (None, Some(rest)) => ('=', rest),
            (None, None) => return Err(malformed()),
        };
        decoded.push(character);
        decoded.push_str(rest);
    }
    Ok(Cow::Owned(decoded))
}

/// `printable`: visible ASCII without the comma, which has been split at already.
fn check_nonce(nonce: &str) -> Result<(), SaslFailure> {
    if nonce.len() > NONCE_BYTES_MAX || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed());
    }
    Ok(())
}

/// Optional extensions are ignored if they have the form of one (§5.1), besides `m`, which is
/// never optional.
fn check_extensions<'a>(mut attributes: impl Iterator<Item = &'a str>) -> Result<(), SaslFailure> {
    let well_formed = |attribute: &str| {
        matches!(attribute.as_bytes(), [name, b'=', _, ..]
            if name.is_ascii_alphabetic() && *name != b'm')
    };
    if attributes.all(well_formed) { Ok(()) } else { Err(malformed()) }
}

fn parse_base64(text: &str) -> Result<Vec<u8>, SaslFailure> {
    STANDARD.decode(text).map_err(|_| malformed())
}

fn malformed() -> SaslFailure {
    SaslFailure::malformed_request()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_message_is_taken_apart() {
        let first = ClientFirst::parse(b"p=tls-exporter,a=bob,n=alice,r=abc,x=y").expect("valid");
        assert_eq!(first.binding, BindingFlag::Used("tls-exporter"));
        assert_eq!(first.authzid.as_deref(), Some("bob"));
        assert_eq!(first.username, "alice");
        assert_eq!(first.nonce, "abc");
        assert_eq!(first.gs2_header, "p=tls-exporter,a=bob,");
        assert_eq!(first.bare, "n=alice,r=abc,x=y");
    }

    #[test]
    fn the_header_is_found_where_it_is_although_its_text_comes_twice() {
        let first = ClientFirst::parse(b"n,,n=n,r=n,n=n,r=n").expect("valid");
        assert_eq!(first.gs2_header, "n,,");
        assert_eq!(first.bare, "n=n,r=n,n=n,r=n");
    }

    #[test]
    fn commas_and_equals_signs_in_names_are_escaped() {
        for (written, meant) in
            [("a=2Cb", "a,b"), ("a=3Db", "a=b"), ("=3D2C", "=2C"), ("=2C=2C", ",,"), ("ü", "ü")]
        {
            let message = format!("n,a={written},n={written},r=abc");
            let first = ClientFirst::parse(message.as_bytes()).expect(written);
            assert_eq!(first.username, meant);
            assert_eq!(first.authzid.as_deref(), Some(meant));
        }
    }

    #[test]
    fn a_first_message_in_any_other_form_is_malformed() {
        let long = format!("n,,n=a,r={}", "x".repeat(NONCE_BYTES_MAX + 1));
        let malformed: &[&[u8]] = &[
            b"",
            b"n",
            b"n,",
            b"n,,",
            b"n,,n=a",
            b"n,,n=a,",
            b"n,,n=a,r=",
            b"n,,n=,r=x",
            b"n,,r=x,n=a",
            b"n,,m=ext,n=a,r=x",
            b"n,,n=a,r=x,m=ext",
            b"n,,n=a,r=x,",
            b"n,,n=a,r=x,y",
            b"n,,n=a,r=x,y=",
            b"n,,n=a,r=x,1=y",
            b"n,,n=a,r=x y",
            b"n,,n=a,r=\xc3\xbc",
            b"n,,n=a=,r=x",
            b"n,,n=a=2c,r=x",
            b"n,,n=a=2,r=x",
            b"n,,n=a=41,r=x",
            b"n,a=,n=a,r=x",
            b"n,b=b,n=a,r=x",
            b"n,b,n=a,r=x",
            b"x,,n=a,r=x",
            b"N,,n=a,r=x",
            b"p,,n=a,r=x",
            b"p=,,n=a,r=x",
            b",,n=a,r=x",
            b"nn,,n=a,r=x",
            b"n,,n=a\0b,r=x",
            b"n,,n=\xff,r=x",
            long.as_bytes(),
        ];
        for message in malformed {
            assert_eq!(
                ClientFirst::parse(message),
                Err(SaslFailure::malformed_request()),
                "{}",
                message.escape_ascii()
            );
        }
    }

    #[test]
    fn a_final_message_is_taken_apart() {
        let last = ClientFinal::parse(b"c=biws,r=abc,x=y,p=AAEC").expect("valid");
        assert_eq!(last.binding, b"n,,");
        assert_eq!(last.nonce, "abc");
        assert_eq!(last.proof, [0, 1, 2]);
        assert_eq!(last.without_proof, "c=biws,r=abc,x=y");
    }

    #[test]
    fn a_final_message_in_any_other_form_is_malformed() {
        let malformed: &[&[u8]] = &[
            b"",
            b"c=biws",
            b"c=biws,r=abc",
            b"c=biws,r=abc,",
            b"c=biws,r=abc,p=",
            b"c=biws,p=AAEC",
            b"p=AAEC",
            b",p=AAEC",
            b"c=,r=abc,p=AAEC",
            b"c=biws,r=,p=AAEC",
            b"r=abc,c=biws,p=AAEC",
            b"c=biws,r=abc,p=AAEC,x=y",
            b"c=biws,r=abc,m=ext,p=AAEC",
            b"m=ext,c=biws,r=abc,p=AAEC",
            b"c=biws,r=abc,p=AAE",
            b"c=biws,r=abc,p=AAEC=",
            b"c=biws,r=abc,p=AB==",
            b"c=biw,r=abc,p=AAEC",
            b"c=biws,r=abc,p=AA\0C",
            b"c=biws,r=a\xffc,p=AAEC",
        ];
        for message in malformed {
            assert_eq!(
                ClientFinal::parse(message),
                Err(SaslFailure::malformed_request()),
                "{}",
                message.escape_ascii()
            );
        }
    }
}
