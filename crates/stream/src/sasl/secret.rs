//! Text that must not be seen: passwords and tokens.

use super::hash::equal;
use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroizing;

/// The most bytes a password may have, before and after preparation.
///
/// Longer than any password manager makes; PBKDF2 hashes it down in its first step, so the bound
/// guards messages and memory only.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// A secret text. It is wiped when dropped, and `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// The text itself, for the wire or the store.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// In constant time, so that no comparison anywhere has to be thought about.
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        equal(self.reveal().as_bytes(), other.reveal().as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A password, prepared so that every way of typing it gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password(Secret);

/// Why a text cannot be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing, or nothing left after preparation.
    #[error("the password is empty")]
    Empty,
    /// Over [`PASSWORD_BYTES_MAX`].
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// A character neither SASLprep nor OpaqueString lets through, such as a control character.
    #[error("the password has a character that passwords cannot have")]
    Prohibited,
}

impl Password {
    /// Prepares a password as a client would.
    ///
    /// SCRAM's `Normalize` is SASLprep (RFC 5802 §2.2), and clients do just that, so it comes
    /// first. SASLprep stands on Unicode 3.2 and refuses what is younger, emoji for one; clients
    /// then send the text as it is, or as RFC 8265's OpaqueString makes it, and so do we.
    pub fn prepare(text: &str) -> Result<Password, PasswordError> {
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        let prepared = match stringprep::saslprep(text) {
            Ok(prepared) => prepared,
            Err(_) => opaque_string(text)?,
        };
        match prepared.len() {
            0 => Err(PasswordError::Empty),
            1..=PASSWORD_BYTES_MAX => Ok(Password(Secret::new(prepared.into_owned()))),
            _ => Err(PasswordError::TooLong),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.reveal().as_bytes()
    }
}

/// RFC 8265 §4.2.
fn opaque_string(text: &str) -> Result<Cow<'_, str>, PasswordError> {
    use precis_profiles::{OpaqueString, precis_core::profile::PrecisFastInvocation};
    OpaqueString::enforce(text).map_err(|_| PasswordError::Prohibited)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> Result<String, PasswordError> {
        Password::prepare(text).map(|password| password.0.reveal().to_owned())
    }

    #[test]
    fn ascii_is_kept_exactly() {
        let printable: String = (' '..='~').collect();
        assert_eq!(prepared(&printable), Ok(printable));
        assert_eq!(prepared(" r0 m30 "), Ok(" r0 m30 ".to_owned()));
    }

    // RFC 4013 §3.
    #[test]
    fn saslprep_maps_and_normalises() {
        assert_eq!(prepared("I\u{ad}X"), Ok("IX".to_owned()));
        assert_eq!(prepared("\u{aa}"), Ok("a".to_owned()));
        assert_eq!(prepared("\u{2168}"), Ok("IX".to_owned()));
        assert_eq!(prepared("p\u{e4}ss"), prepared("pa\u{308}ss"));
        assert_eq!(prepared("a\u{a0}b"), Ok("a b".to_owned()));
    }

    #[test]
    fn characters_younger_than_saslprep_are_kept() {
        assert_eq!(prepared("\u{1f426}\u{1f511}"), Ok("\u{1f426}\u{1f511}".to_owned()));
    }

    #[test]
    fn what_is_no_password_is_refused() {
        assert_eq!(prepared(""), Err(PasswordError::Empty));
        assert_eq!(prepared("\u{ad}"), Err(PasswordError::Empty));
        assert_eq!(prepared("bell\u{7}"), Err(PasswordError::Prohibited));
        assert_eq!(prepared("nul\0"), Err(PasswordError::Prohibited));
        assert_eq!(prepared(&"a".repeat(PASSWORD_BYTES_MAX + 1)), Err(PasswordError::TooLong));
        // U+FDFA is 3 bytes and 33 after compatibility decomposition.
        assert_eq!(prepared(&"\u{fdfa}".repeat(300)), Err(PasswordError::TooLong));
    }

    #[test]
    fn debug_output_has_no_secret() {
        assert!(!format!("{:?}", Password::prepare("r0m30")).contains("r0m30"));
    }
}
