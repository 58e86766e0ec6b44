//! The hash functions SCRAM is used with, and the three things it does with them.

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// The hash function of a SCRAM mechanism (RFC 5802 §4, RFC 7677).
///
/// SHA-512 follows the same scheme under the name deployed clients use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-1. As HMAC and in PBKDF2 it is not broken, and RFC 6120 §13.8 makes it mandatory.
    Sha1,
    /// SHA-256 (RFC 7677).
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// Every hash, weakest first.
    pub const ALL: [Hash; 3] = [Hash::Sha1, Hash::Sha256, Hash::Sha512];

    /// Bytes of output.
    pub const fn output_bytes(self) -> usize {
        match self {
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
            Hash::Sha512 => 64,
        }
    }

    /// `H(data)`.
    pub(super) fn digest(self, data: &[u8]) -> digest::Digest {
        digest::digest(self.digest_algorithm(), data)
    }

    /// `HMAC(key, data)`.
    pub(super) fn hmac(self, key: &[u8], data: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.hmac_algorithm(), key), data)
    }

    /// `Hi(password, salt, iterations)` (RFC 5802 §2.2).
    pub(super) fn hi(
        self,
        password: &[u8],
        salt: &[u8],
        iterations: NonZeroU32,
    ) -> Zeroizing<Vec<u8>> {
        let mut output = Zeroizing::new(vec![0; self.output_bytes()]);
        pbkdf2::derive(self.pbkdf2_algorithm(), iterations, salt, password, &mut output);
        output
    }

    fn digest_algorithm(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha512 => &digest::SHA512,
        }
    }

    fn hmac_algorithm(self) -> hmac::Algorithm {
        match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2_algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Hash::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// Whether two secrets are equal, in a time that depends on their lengths only.
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stated_length_is_the_length_of_the_digest() {
        for hash in Hash::ALL {
            assert_eq!(hash.digest(b"").as_ref().len(), hash.output_bytes());
        }
    }
}
