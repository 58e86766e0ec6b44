//! How a SASL attempt fails: the conditions of RFC 6120 §6.5.

use std::fmt;

/// The defined conditions, in the order of RFC 6120 §6.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaslCondition {
    /// The initiating entity sent `<abort/>` (§6.5.1).
    Aborted,
    /// The account is temporarily disabled (§6.5.2).
    AccountDisabled,
    /// The credentials were right once and have expired (§6.5.3).
    CredentialsExpired,
    /// The mechanism cannot be used without TLS (§6.5.4).
    EncryptionRequired,
    /// The data is not valid base64 (§6.5.5).
    IncorrectEncoding,
    /// The authorization identity is malformed, or not the sender's to use (§6.5.6).
    InvalidAuthzid,
    /// The mechanism was not offered (§6.5.7).
    InvalidMechanism,
    /// The mechanism's own syntax was broken (§6.5.8).
    MalformedRequest,
    /// The mechanism is weaker than policy permits for that entity (§6.5.9).
    MechanismTooWeak,
    /// The credentials do not prove the identity; nothing more is said (§6.5.10).
    NotAuthorized,
    /// Our trouble, for instance a store that does not answer (§6.5.11).
    TemporaryAuthFailure,
}

impl SaslCondition {
    /// Every condition, in the order of the RFC.
    pub const ALL: [SaslCondition; 11] = [
        SaslCondition::Aborted,
        SaslCondition::AccountDisabled,
        SaslCondition::CredentialsExpired,
        SaslCondition::EncryptionRequired,
        SaslCondition::IncorrectEncoding,
        SaslCondition::InvalidAuthzid,
        SaslCondition::InvalidMechanism,
        SaslCondition::MalformedRequest,
        SaslCondition::MechanismTooWeak,
        SaslCondition::NotAuthorized,
        SaslCondition::TemporaryAuthFailure,
    ];

    /// The name of the element inside `<failure/>`, in `urn:ietf:params:xml:ns:xmpp-sasl`.
    pub const fn element(self) -> &'static str {
        match self {
            SaslCondition::Aborted => "aborted",
            SaslCondition::AccountDisabled => "account-disabled",
            SaslCondition::CredentialsExpired => "credentials-expired",
            SaslCondition::EncryptionRequired => "encryption-required",
            SaslCondition::IncorrectEncoding => "incorrect-encoding",
            SaslCondition::InvalidAuthzid => "invalid-authzid",
            SaslCondition::InvalidMechanism => "invalid-mechanism",
            SaslCondition::MalformedRequest => "malformed-request",
            SaslCondition::MechanismTooWeak => "mechanism-too-weak",
            SaslCondition::NotAuthorized => "not-authorized",
            SaslCondition::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}

/// One failed attempt, as it goes into `<failure/>` (RFC 6120 §6.4.5, XEP-0388 §2.6.2).
///
/// The text is for humans and static, so that nothing of the peer's or of the server's inside can
/// get into it. `not-authorized` for wrong credentials never has one: an unknown account and a
/// wrong password must look the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslFailure {
    condition: SaslCondition,
    text: Option<&'static str>,
}

impl SaslFailure {
    /// The condition to name.
    pub fn condition(&self) -> SaslCondition {
        self.condition
    }

    /// The words for `<text/>`, if there are any.
    pub fn description(&self) -> Option<&'static str> {
        self.text
    }

    /// Adds words for a human.
    #[must_use]
    pub fn text(self, text: &'static str) -> SaslFailure {
        SaslFailure { text: Some(text), ..self }
    }

    /// `<aborted/>` (§6.5.1).
    pub const fn aborted() -> SaslFailure {
        SaslFailure::new(SaslCondition::Aborted)
    }

    /// `<account-disabled/>` (§6.5.2).
    pub const fn account_disabled() -> SaslFailure {
        SaslFailure::new(SaslCondition::AccountDisabled)
    }

    /// `<credentials-expired/>` (§6.5.3).
    pub const fn credentials_expired() -> SaslFailure {
        SaslFailure::new(SaslCondition::CredentialsExpired)
    }

    /// `<encryption-required/>` (§6.5.4).
    pub const fn encryption_required() -> SaslFailure {
        SaslFailure::new(SaslCondition::EncryptionRequired)
    }

    /// `<incorrect-encoding/>` (§6.5.5).
    pub const fn incorrect_encoding() -> SaslFailure {
        SaslFailure::new(SaslCondition::IncorrectEncoding)
    }

    /// `<invalid-authzid/>` (§6.5.6).
    pub const fn invalid_authzid() -> SaslFailure {
        SaslFailure::new(SaslCondition::InvalidAuthzid)
    }

    /// `<invalid-mechanism/>` (§6.5.7).
    pub const fn invalid_mechanism() -> SaslFailure {
        SaslFailure::new(SaslCondition::InvalidMechanism)
    }

    /// `<malformed-request/>` (§6.5.8).
    pub const fn malformed_request() -> SaslFailure {
        SaslFailure::new(SaslCondition::MalformedRequest)
    }

    /// `<mechanism-too-weak/>` (§6.5.9).
    pub const fn mechanism_too_weak() -> SaslFailure {
        SaslFailure::new(SaslCondition::MechanismTooWeak)
    }

    /// `<not-authorized/>` (§6.5.10).
    pub const fn not_authorized() -> SaslFailure {
        SaslFailure::new(SaslCondition::NotAuthorized)
    }

    /// `<temporary-auth-failure/>` (§6.5.11).
    pub const fn temporary_auth_failure() -> SaslFailure {
        SaslFailure::new(SaslCondition::TemporaryAuthFailure)
    }

    const fn new(condition: SaslCondition) -> SaslFailure {
        SaslFailure { condition, text: None }
    }
}

impl fmt::Display for SaslFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text {
            Some(text) => write!(f, "{}: {text}", self.condition.element()),
            None => f.write_str(self.condition.element()),
        }
    }
}

impl std::error::Error for SaslFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleven_conditions_have_distinct_names_in_the_order_of_the_rfc() {
        let names = SaslCondition::ALL.map(SaslCondition::element);
        assert!(names.is_sorted());
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn text_is_kept_and_shown() {
        let failure = SaslFailure::malformed_request().text("no nonce");
        assert_eq!(failure.condition(), SaslCondition::MalformedRequest);
        assert_eq!(failure.description(), Some("no nonce"));
        assert_eq!(failure.to_string(), "malformed-request: no nonce");
        assert_eq!(SaslFailure::aborted().to_string(), "aborted");
    }
}
