//! The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), with keys that are derived once.
//!
//! A generator that derived a key for every login would measure itself: one takes 4 ms.

use std::collections::HashMap;
use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::{Error, Result};

/// More than any server asks for; deriving longer would look like a hang.
const ITERATIONS_MAX: u32 = 1_000_000;

/// Bytes of SHA-256.
const HASH: usize = digest::SHA256_OUTPUT_LEN;

/// What password, salt and iteration count come to (RFC 5802 §3).
#[derive(Clone)]
struct Keys {
    client: [u8; HASH],
    stored: hmac::Key,
    server: hmac::Key,
}

/// Keys that were derived before: servers keep a salt per account, and clients may remember.
#[derive(Default)]
pub struct KeyCache {
    keys: HashMap<(String, String, u32), Keys>,
    nonces: u64,
}

/// One authentication that waits for the server.
pub struct Scram {
    first_bare: String,
    nonce: String,
    signature: Vec<u8>,
}

impl Scram {
    /// Begins. Nonces are numbers with the process's seed: unique, which is what the server sees.
    pub fn begin(cache: &mut KeyCache, user: &str) -> Scram {
        cache.nonces += 1;
        let nonce = format!("{:08x}{:016x}", std::process::id(), cache.nonces);
        // A test's names need no escaping (RFC 5802 §5.1).
        Scram { first_bare: format!("n={user},r={nonce}"), nonce, signature: Vec::new() }
    }

    /// client-first-message, without channel binding, in base64.
    pub fn first(&self) -> String {
        BASE64.encode(format!("n,,{}", self.first_bare))
    }

    /// client-final-message in answer to the server's first, both in base64.
    pub fn answer(
        &mut self,
        cache: &mut KeyCache,
        password: &str,
        challenge: &[u8],
    ) -> Result<String> {
        let wrong = || Error::unexpected("a SCRAM challenge", challenge);
        let first = BASE64.decode(challenge).map_err(|_| wrong())?;
        let first = String::from_utf8(first).map_err(|_| wrong())?;
        let nonce = field(&first, "r=").filter(|nonce| nonce.starts_with(&self.nonce));
        let nonce = nonce.ok_or_else(wrong)?;
        let salt = field(&first, "s=").ok_or_else(wrong)?;
        let iterations = field(&first, "i=").and_then(|text| text.parse().ok());
        let iterations = iterations.filter(|&count| count <= ITERATIONS_MAX).ok_or_else(wrong)?;
        let keys = cache.keys(password, salt, iterations).ok_or_else(wrong)?;
        // `biws` is the header `n,,`.
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{first},{without_proof}", self.first_bare);
        let signature = hmac::sign(&keys.stored, signed.as_bytes());
        let proof: Vec<u8> =
            keys.client.iter().zip(signature.as_ref()).map(|(key, mask)| key ^ mask).collect();
        self.signature = hmac::sign(&keys.server, signed.as_bytes()).as_ref().to_vec();
        Ok(BASE64.encode(format!("{without_proof},p={}", BASE64.encode(proof))))
    }

    /// Checks that the server knows the keys as well (RFC 5802 §3).
    pub fn verify(&self, server_final: &[u8]) -> Result<()> {
        let expected = BASE64.encode(format!("v={}", BASE64.encode(&self.signature)));
        match server_final == expected.as_bytes() {
            true => Ok(()),
            false => Err(Error::unexpected("the server's signature", server_final)),
        }
    }
}

impl KeyCache {
    fn keys(&mut self, password: &str, salt: &str, iterations: u32) -> Option<&Keys> {
        let key = (password.to_owned(), salt.to_owned(), iterations);
        if !self.keys.contains_key(&key) {
            let salt = BASE64.decode(salt).ok()?;
            let derived = derive(password, &salt, NonZeroU32::new(iterations)?);
            self.keys.insert(key.clone(), derived);
        }
        self.keys.get(&key)
    }
}

fn derive(password: &str, salt: &[u8], iterations: NonZeroU32) -> Keys {
    let mut salted = [0; HASH];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut salted);
    let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let mut client = [0; HASH];
    client.copy_from_slice(hmac::sign(&salted, b"Client Key").as_ref());
    let stored = digest::digest(&digest::SHA256, &client);
    let server = hmac::sign(&salted, b"Server Key");
    Keys {
        client,
        stored: hmac::Key::new(hmac::HMAC_SHA256, stored.as_ref()),
        server: hmac::Key::new(hmac::HMAC_SHA256, server.as_ref()),
    }
}

/// The only message of `HT-SHA-256-NONE` (draft-schmaus-kitten-sasl-ht), in base64.
pub fn hashed_token(user: &str, token: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    let tag = hmac::sign(&key, b"Initiator");
    BASE64.encode([user.as_bytes(), b"\0", tag.as_ref()].concat())
}

fn field<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.split(',').find_map(|field| field.strip_prefix(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677() {
        let mut cache = KeyCache::default();
        let mut scram = Scram::begin(&mut cache, "user");
        scram.nonce = "rOprNGfwEbeRWgbNEkqO".into();
        scram.first_bare = "n=user,r=rOprNGfwEbeRWgbNEkqO".into();
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let challenge = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let challenge = BASE64.encode(challenge);
        let answer = scram.answer(&mut cache, "pencil", challenge.as_bytes()).unwrap();
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(answer, BASE64.encode(format!("c=biws,r={nonce},p={proof}")));
        let server = BASE64.encode("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        scram.verify(server.as_bytes()).unwrap();
        assert!(scram.verify(b"dj1BQUFB").is_err());
    }

    #[test]
    fn a_nonce_that_is_not_ours_is_refused() {
        let mut cache = KeyCache::default();
        let mut scram = Scram::begin(&mut cache, "user");
        let challenge = BASE64.encode("r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert!(scram.answer(&mut cache, "pencil", challenge.as_bytes()).is_err());
    }
}
