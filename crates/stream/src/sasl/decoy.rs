//! Stand-ins for accounts that do not exist, so that nobody can tell (bad-inputs A07).

use super::credentials::{Credentials, Generation, SALT_BYTES, ScramKeys};
use super::fast::TOKEN_PROOF_BYTES;
use super::hash::Hash;
use super::secret::Password;
use aws_lc_rs::hmac;
use jackdaw_jid::BareJid;
use std::fmt;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// Makes up credentials from a server secret: the same for the same JID every time, and, but for
/// the secret, like those of a real account.
///
/// The secret must be the same on every node and across restarts, else a salt that changes gives
/// the decoy away.
pub struct Decoy {
    key: hmac::Key,
    iterations: NonZeroU32,
}

impl Decoy {
    /// A decoy maker with the server's secret and the rounds new passwords get here.
    ///
    /// Accounts whose password was set under another configuration keep their old number, and
    /// show thereby that they exist. That is the price of changing it.
    pub fn new(secret: [u8; 32], iterations: NonZeroU32) -> Decoy {
        Decoy { key: hmac::Key::new(hmac::HMAC_SHA256, &secret), iterations }
    }

    /// Keys no password has. All hashes share the salt, as they do in [`Credentials::derive`].
    pub(super) fn keys(&self, hash: Hash, account: &BareJid) -> ScramKeys {
        let salt = self.derive("salt", account);
        let key = |label| -> Zeroizing<Box<[u8]>> {
            Zeroizing::new(hash.digest(self.derive(label, account).as_ref()).as_ref().into())
        };
        ScramKeys {
            salt: salt.as_ref().iter().copied().take(SALT_BYTES).collect(),
            iterations: self.iterations,
            stored_key: key("stored key"),
            server_key: key("server key"),
        }
    }

    /// A token nobody was given.
    pub(super) fn token(&self, account: &BareJid) -> hmac::Tag {
        self.derive("token", account)
    }

    /// Answers [`Need::PasswordCheck`](super::Need::PasswordCheck): the account's generation if the
    /// password is right. Costs one PBKDF2, also for an account that is not there; call it on a
    /// bounded pool.
    pub fn check_password(
        &self,
        account: &BareJid,
        credentials: Option<&Credentials>,
        password: &Password,
    ) -> Option<Generation> {
        // The cheapest first; a decoy is checked with the same.
        const ORDER: [Hash; 3] = [Hash::Sha256, Hash::Sha1, Hash::Sha512];
        let held = credentials.and_then(|credentials| {
            let (hash, keys) = ORDER.iter().find_map(|h| Some((*h, credentials.keys(*h)?)))?;
            Some((hash, keys, credentials.generation()))
        });
        let Some((hash, keys, generation)) = held else {
            let [hash, ..] = ORDER;
            // Work for its time, not for its result, which is known.
            std::hint::black_box(self.keys(hash, account).verify(hash, password));
            return None;
        };
        keys.verify(hash, password).then_some(generation)
    }

    fn derive(&self, label: &str, account: &BareJid) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(account.as_str().as_bytes());
        context.sign()
    }
}

const _: () = assert!(SALT_BYTES <= TOKEN_PROOF_BYTES, "a salt is the start of a SHA-256 HMAC");

impl fmt::Debug for Decoy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoy").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::ITERATIONS_DEFAULT;

    fn decoy(secret: u8) -> Decoy {
        Decoy::new([secret; 32], ITERATIONS_DEFAULT)
    }

    fn jid(local: &str) -> BareJid {
        BareJid::new(Some(local), "example.org").expect("a JID")
    }

    #[test]
    fn a_salt_is_stable_per_account_and_the_same_for_every_hash() {
        let salts = Hash::ALL.map(|hash| decoy(1).keys(hash, &jid("romeo")).salt);
        assert!(salts.iter().all(|salt| *salt == salts[0] && salt.len() == SALT_BYTES));
    }

    #[test]
    fn salts_differ_by_account_and_by_server_secret() {
        let romeo = decoy(1).keys(Hash::Sha256, &jid("romeo"));
        assert_ne!(romeo.salt, decoy(1).keys(Hash::Sha256, &jid("juliet")).salt);
        assert_ne!(romeo.salt, decoy(2).keys(Hash::Sha256, &jid("romeo")).salt);
    }

    #[test]
    fn keys_have_the_form_of_real_ones() {
        for hash in Hash::ALL {
            let keys = decoy(1).keys(hash, &jid("romeo"));
            assert_eq!(keys.iterations, ITERATIONS_DEFAULT);
            assert_eq!(keys.stored_key.len(), hash.output_bytes());
            assert_eq!(keys.server_key.len(), hash.output_bytes());
            assert_ne!(keys.stored_key, keys.server_key);
        }
    }

    #[test]
    fn a_password_is_right_only_for_an_account_that_has_it() {
        let right = Password::prepare("pencil").expect("a password");
        let wrong = Password::prepare("pencils").expect("a password");
        let generation = Generation(3);
        let held = Credentials::derive(generation, &right, [1; SALT_BYTES], ITERATIONS_DEFAULT);
        let empty = Credentials::without_password(generation);
        let decoy = decoy(1);
        let check = |held, password| decoy.check_password(&jid("romeo"), held, password);
        assert_eq!(check(Some(&held), &right), Some(generation));
        assert_eq!(check(Some(&held), &wrong), None);
        assert_eq!(check(Some(&empty), &right), None);
        assert_eq!(check(None, &right), None);
    }

    #[test]
    fn keys_of_one_hash_are_enough_to_check_a_password() {
        let password = Password::prepare("pencil").expect("a password");
        for hash in Hash::ALL {
            let keys = ScramKeys::derive(hash, &password, b"salt", ITERATIONS_DEFAULT);
            let held = Credentials::without_password(Generation(1)).with_keys(hash, keys);
            let checked = decoy(1).check_password(&jid("romeo"), Some(&held), &password);
            assert_eq!(checked, Some(Generation(1)), "{hash:?}");
        }
    }
}
