//! What an account stores to recognise its owner: SCRAM keys, never the password.

use super::hash::{Hash, equal};
use super::row::{Reader, RowError};
use super::secret::Password;
use std::fmt;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// PBKDF2 rounds for new passwords, the same for every hash: an attacker takes the cheapest key,
/// so a smaller number for SHA-1 would void the others.
///
/// More than twice the least RFC 7677 §4 recommends, while a phone still logs in within a second.
/// It costs 6 to 15 ms per hash on a server core, spent when a password is set and by PLAIN; SCRAM
/// logins cost the server a few HMACs whatever it is.
pub const ITERATIONS_DEFAULT: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");

/// The fewest rounds to accept: RFC 5802 §5.1.
pub const ITERATIONS_MIN: u32 = 4_096;

/// The most rounds to accept: ≈ 10 s per login, beyond which a number is a mistake.
pub const ITERATIONS_MAX: u32 = 10_000_000;

/// Bytes of a new salt: 128 bits (RFC 7677 §3 leaves it open, NIST SP 800-132 asks for that).
pub const SALT_BYTES: usize = 16;

/// The most bytes of an imported salt.
pub const SALT_BYTES_MAX: usize = 64;

/// Distinguishes an account from an earlier one of the same name (bad-inputs A11): whatever was
/// granted to the earlier one, such as a FAST token, names its generation and ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// The server's half of a SCRAM secret (RFC 5802 §3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    pub(super) salt: Box<[u8]>,
    pub(super) iterations: NonZeroU32,
    pub(super) stored_key: Zeroizing<Box<[u8]>>,
    pub(super) server_key: Zeroizing<Box<[u8]>>,
}

impl ScramKeys {
    /// Computes the keys from a password. Slow on purpose: call it on a bounded pool.
    pub fn derive(
        hash: Hash,
        password: &Password,
        salt: &[u8],
        iterations: NonZeroU32,
    ) -> ScramKeys {
        let salted_password = hash.hi(password.as_bytes(), salt, iterations);
        let client_key = hash.hmac(&salted_password, b"Client Key");
        let server_key = hash.hmac(&salted_password, b"Server Key");
        ScramKeys {
            salt: salt.into(),
            iterations,
            stored_key: Zeroizing::new(hash.digest(client_key.as_ref()).as_ref().into()),
            server_key: Zeroizing::new(server_key.as_ref().into()),
        }
    }

    /// Whether this password gives these keys. As slow as [`derive`](Self::derive).
    pub(super) fn verify(&self, hash: Hash, password: &Password) -> bool {
        let attempt = ScramKeys::derive(hash, password, &self.salt, self.iterations);
        equal(&attempt.stored_key, &self.stored_key)
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// Everything an account keeps for authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    generation: Generation,
    /// One per hash, in the order of [`Hash::ALL`].
    keys: [Option<ScramKeys>; 3],
}

impl Credentials {
    /// Computes keys for every hash from a new password.
    ///
    /// One salt serves all: different functions share no precomputed table. Slow on purpose; call
    /// it on a bounded pool. `salt` must come from the operating system's generator.
    pub fn derive(
        generation: Generation,
        password: &Password,
        salt: [u8; SALT_BYTES],
        iterations: NonZeroU32,
    ) -> Credentials {
        let keys = Hash::ALL.map(|hash| Some(ScramKeys::derive(hash, password, &salt, iterations)));
        Credentials { generation, keys }
    }

    /// An account without a password, for instance one that logs in by certificate.
    pub fn without_password(generation: Generation) -> Credentials {
        Credentials { generation, keys: [None, None, None] }
    }

    /// The same account with one hash's keys replaced, for imports that have not all of them.
    #[must_use]
    pub fn with_keys(mut self, hash: Hash, keys: ScramKeys) -> Credentials {
        *self.slot(hash) = Some(keys);
        self
    }

    /// Which account of this name it is.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The keys for a hash, if the account has them.
    pub fn keys(&self, hash: Hash) -> Option<&ScramKeys> {
        let [sha1, sha256, sha512] = &self.keys;
        match hash {
            Hash::Sha1 => sha1.as_ref(),
            Hash::Sha256 => sha256.as_ref(),
            Hash::Sha512 => sha512.as_ref(),
        }
    }

    /// The same, taken out.
    pub(super) fn into_keys(mut self, hash: Hash) -> Option<ScramKeys> {
        self.slot(hash).take()
    }

    fn slot(&mut self, hash: Hash) -> &mut Option<ScramKeys> {
        let [sha1, sha256, sha512] = &mut self.keys;
        match hash {
            Hash::Sha1 => sha1,
            Hash::Sha256 => sha256,
            Hash::Sha512 => sha512,
        }
    }

    /// The row to store.
    ///
    /// `version, generation (8), then per hash: tag, iterations (4), salt length, salt, StoredKey,
    /// ServerKey`, big-endian, the hashes in the order of [`Hash::ALL`].
    pub fn encode(&self) -> Vec<u8> {
        let mut row = vec![VERSION];
        row.extend(self.generation.0.to_be_bytes());
        for hash in Hash::ALL {
            let Some(keys) = self.keys(hash) else { continue };
            row.push(tag(hash));
            row.extend(keys.iterations.get().to_be_bytes());
            row.push(u8::try_from(keys.salt.len()).expect("SALT_BYTES_MAX fits a byte"));
            row.extend(&keys.salt);
            row.extend(keys.stored_key.iter());
            row.extend(keys.server_key.iter());
        }
        row
    }

    /// Reads a stored row back.
    pub fn decode(row: &[u8]) -> Result<Credentials, RowError> {
        let mut rest = Reader::new(row, VERSION)?;
        let generation = Generation(u64::from_be_bytes(rest.array()?));
        let mut credentials = Credentials::without_password(generation);
        let mut last_tag = 0;
        while !rest.is_empty() {
            let tag = rest.byte()?;
            let hash = hash_of(tag).filter(|_| tag > last_tag).ok_or(RowError::Malformed)?;
            last_tag = tag;
            credentials = credentials.with_keys(hash, decode_keys(hash, &mut rest)?);
        }
        Ok(credentials)
    }
}

/// The version this code writes. A new layout gets a new one, and the old stays readable.
const VERSION: u8 = 1;

const _: () = assert!(SALT_BYTES <= SALT_BYTES_MAX && SALT_BYTES_MAX <= u8::MAX as usize);
const _: () = assert!(ITERATIONS_MIN <= ITERATIONS_DEFAULT.get());
const _: () = assert!(ITERATIONS_DEFAULT.get() <= ITERATIONS_MAX);

const fn tag(hash: Hash) -> u8 {
    match hash {
        Hash::Sha1 => 1,
        Hash::Sha256 => 2,
        Hash::Sha512 => 3,
    }
}

fn hash_of(wanted: u8) -> Option<Hash> {
    Hash::ALL.into_iter().find(|hash| tag(*hash) == wanted)
}

fn decode_keys(hash: Hash, rest: &mut Reader<'_>) -> Result<ScramKeys, RowError> {
    let iterations = u32::from_be_bytes(rest.array()?);
    let salt_bytes = usize::from(rest.byte()?);
    if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations)
        || !(1..=SALT_BYTES_MAX).contains(&salt_bytes)
    {
        return Err(RowError::Malformed);
    }
    Ok(ScramKeys {
        iterations: NonZeroU32::new(iterations).ok_or(RowError::Malformed)?,
        salt: rest.take(salt_bytes)?.into(),
        stored_key: Zeroizing::new(rest.take(hash.output_bytes())?.into()),
        server_key: Zeroizing::new(rest.take(hash.output_bytes())?.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn credentials() -> Credentials {
        let password = Password::prepare("pencil").expect("a password");
        let iterations = NonZeroU32::new(ITERATIONS_MIN).expect("not zero");
        Credentials::derive(Generation(0x0102), &password, [7; SALT_BYTES], iterations)
    }

    // SHA-1: RFC 5802 §5. The others: Python's hashlib, for RFC 7677's salt.
    #[test]
    fn keys_are_those_of_other_implementations() {
        let vectors = [
            (
                Hash::Sha1,
                "QSXCR+Q6sek8bf92",
                "6dlGYMOdZcOPutkcNY8U2g7vK9Y=",
                "D+CSWLOshSulAsxiupA+qs2/fTE=",
            ),
            (
                Hash::Sha256,
                "W22ZaJ0SNY7soEsUEjb6gQ==",
                "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
                "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
            ),
            (
                Hash::Sha512,
                "W22ZaJ0SNY7soEsUEjb6gQ==",
                "6AAub3065EYRmyFpM2RNwqK+eGnrkYuEWbXn19LsEmBqzu8QaCXNc1FwpnX9NhH2hK/60dzj9DoO5DvVkOHbvg==",
                "jZHbYjC1aHh0/hKbxyBuGFjDrgjgKTT1esA7awWiKcRZ0o/0b1yWEebBeSVkkCFewf91nLDfKF24mvD5nmE6rA==",
            ),
        ];
        let password = Password::prepare("pencil").expect("a password");
        let iterations = NonZeroU32::new(4096).expect("not zero");
        for (hash, salt, stored_key, server_key) in vectors {
            let salt = STANDARD.decode(salt).expect("base64");
            let keys = ScramKeys::derive(hash, &password, &salt, iterations);
            assert_eq!(STANDARD.encode(&**keys.stored_key), stored_key);
            assert_eq!(STANDARD.encode(&**keys.server_key), server_key);
        }
    }

    #[test]
    fn a_row_reads_back() {
        let without_sha_512 = Credentials {
            keys: {
                let [sha1, sha256, _] = credentials().keys;
                [sha1, sha256, None]
            },
            ..credentials()
        };
        for held in [credentials(), without_sha_512, Credentials::without_password(Generation(1))] {
            assert_eq!(Credentials::decode(&held.encode()), Ok(held));
        }
    }

    // What is on disk must stay readable: change VERSION with the layout.
    #[test]
    fn the_layout_of_a_row_is_fixed() {
        let row = credentials().encode();
        assert_eq!(row.len(), 1 + 8 + 3 * (1 + 4 + 1 + SALT_BYTES) + 2 * (20 + 32 + 64));
        let head = [1, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0x10, 0, 16, 7, 7];
        assert!(row.starts_with(&head));
    }

    #[test]
    fn a_row_cut_anywhere_is_malformed_or_has_fewer_keys() {
        let row = credentials().encode();
        for end in 0..row.len() {
            match Credentials::decode(&row[..end]) {
                Ok(cut) => assert_eq!(cut.encode(), row[..end]),
                Err(error) => assert_eq!(error, RowError::Malformed),
            }
        }
    }

    #[test]
    fn a_damaged_row_is_refused() {
        type Damage = fn(&mut Vec<u8>);
        let damage: [(&str, Damage); 6] = [
            ("trailing byte", |row| row.push(0)),
            ("unknown hash", |row| row[9] = 9),
            ("hashes out of order", |row| row[9] = 3),
            ("no iterations", |row| row[10..14].fill(0)),
            ("endless iterations", |row| row[10..14].fill(0xff)),
            ("no salt", |row| row[14] = 0),
        ];
        for (what, damage) in damage {
            let mut row = credentials().encode();
            damage(&mut row);
            assert_eq!(Credentials::decode(&row), Err(RowError::Malformed), "{what}");
        }
        assert_eq!(Credentials::decode(&[2]), Err(RowError::Version(2)));
    }

    #[test]
    fn debug_output_has_no_key() {
        let shown = format!("{:?}", credentials());
        assert!(!shown.contains("salt") && !shown.contains("key:"), "{shown}");
    }
}
