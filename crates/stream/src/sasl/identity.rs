//! Who a client says it is, and whom it wants to act for.

use super::failure::SaslFailure;
use jackdaw_jid::BareJid;

/// The account of a simple user name (RFC 6120 §6.3.7): the localpart, on the stream's domain.
///
/// A name that no localpart can have is answered like an unknown one.
pub(super) fn account(username: &str, domain: &str) -> Result<BareJid, SaslFailure> {
    BareJid::new(Some(username), domain).map_err(|_| SaslFailure::not_authorized())
}

/// Lets pass only the account's own bare JID (RFC 6120 §6.3.8). Nobody acts for somebody else here,
/// so everything else is refused, whoever it names.
pub(super) fn check_authzid(authzid: Option<&str>, account: &BareJid) -> Result<(), SaslFailure> {
    match authzid {
        None => Ok(()),
        Some(authzid) if parse_authzid(authzid)? == *account => Ok(()),
        Some(_) => Err(SaslFailure::invalid_authzid()),
    }
}

/// Reads an authorization identity: a bare JID with a localpart, prepared like every other.
pub(super) fn parse_authzid(authzid: &str) -> Result<BareJid, SaslFailure> {
    BareJid::parse(authzid)
        .ok()
        .filter(|jid| jid.local().is_some())
        .ok_or_else(SaslFailure::invalid_authzid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn juliet() -> BareJid {
        account("juliet", "example.org").expect("a JID")
    }

    #[test]
    fn an_authzid_passes_if_it_is_the_account_after_preparation() {
        for authzid in [None, Some("juliet@example.org"), Some("Juliet@EXAMPLE.org")] {
            assert_eq!(check_authzid(authzid, &juliet()), Ok(()), "{authzid:?}");
        }
    }

    // bad-inputs A01: acting for somebody else with one's own password.
    #[test]
    fn every_other_authzid_is_invalid() {
        for authzid in [
            "",
            "juliet",
            "example.org",
            "@example.org",
            "juliet@",
            "romeo@example.org",
            "juliet@example.net",
            "juliet@example.org/balcony",
            "juliet@example.org/",
            "juliet@example.org@example.org",
            "juliet@example.org\0",
            " juliet@example.org",
        ] {
            assert_eq!(
                check_authzid(Some(authzid), &juliet()),
                Err(SaslFailure::invalid_authzid()),
                "{authzid:?}"
            );
        }
    }

    #[test]
    fn a_name_that_cannot_be_a_localpart_is_not_authorized() {
        for username in ["", "juliet@example.org", "a b", "a/b", "\u{0}", &"a".repeat(1024)] {
            assert_eq!(
                account(username, "example.org"),
                Err(SaslFailure::not_authorized()),
                "{username:?}"
            );
        }
    }
}
