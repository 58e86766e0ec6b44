//! The client's side of SCRAM (RFC 5802, RFC 7677).

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Mutex;

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::{Error, Result};
use crate::tls::ChannelBinding;

/// More than any server asks for; a test that derived longer would look like a hang.
const ITERATIONS_MAX: u32 = 1_000_000;

/// What a salted password depends on: the hash (by its length), iterations, salt and password.
type Derivation = (usize, NonZeroU32, Vec<u8>, String);

struct Hash {
    digest: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

/// One authentication.
pub struct Scram {
    hash: Hash,
    gs2_header: String,
    binding: Vec<u8>,
    nonce: String,
    user: String,
    password: String,
    server_signature: Vec<u8>,
    offer: Option<String>,
}

impl Scram {
    /// Begins `mechanism`; `None` if it is no SCRAM. `binding` is needed for `-PLUS`.
    pub fn new(
        mechanism: &str,
        user: &str,
        password: &str,
        binding: Option<ChannelBinding>,
    ) -> Option<Scram> {
        let (hash, plus) = match mechanism.strip_suffix("-PLUS") {
            Some(hash) => (hash, true),
            None => (mechanism, false),
        };
        let hash = match hash {
            "SCRAM-SHA-1" => Hash {
                digest: &digest::SHA1_FOR_LEGACY_USE_ONLY,
                hmac: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                pbkdf2: pbkdf2::PBKDF2_HMAC_SHA1,
            },
            "SCRAM-SHA-256" => Hash {
                digest: &digest::SHA256,
                hmac: hmac::HMAC_SHA256,
                pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256,
            },
            "SCRAM-SHA-512" => Hash {
                digest: &digest::SHA512,
                hmac: hmac::HMAC_SHA512,
                pbkdf2: pbkdf2::PBKDF2_HMAC_SHA512,
            },
            _ => return None,
        };
        // `n`, not `y`: these actors do not claim that the server offered no channel binding.
        let (gs2_header, binding) = match binding.filter(|_| plus) {
            Some(binding) => (format!("p={},,", binding.name), binding.data),
            None => ("n,,".to_owned(), Vec::new()),
        };
        let mut nonce = [0; 18];
        rand::fill(&mut nonce).expect("the operating system has random bytes");
        Some(Scram {
            hash,
            gs2_header,
            binding,
            nonce: BASE64.encode(nonce),
            user: user.replace('=', "=3D").replace(',', "=2C"),
            password: password.to_owned(),
            server_signature: Vec::new(),
            offer: None,
        })
    }

    /// Says what the server offered, which its first message then has to confirm: nobody on the
    /// way took the better mechanisms out (XEP-0474 §6).
    pub fn expect_offer(&mut self, mut mechanisms: Vec<String>, mut bindings: Vec<String>) {
        mechanisms.sort();
        bindings.sort();
        let mut offer = mechanisms.join("\x1e");
        if !bindings.is_empty() {
            offer.push('\x1f');
            offer.push_str(&bindings.join("\x1e"));
        }
        self.offer = Some(offer);
    }

    fn check_offer(&self, server_first: &str) -> Result<()> {
        let Some(offer) = &self.offer else { return Ok(()) };
        let hash = BASE64.encode(digest::digest(self.hash.digest, offer.as_bytes()));
        match field(server_first, "h=")? == hash {
            true => Ok(()),
            false => Err(Error::unexpected("SCRAM: the server offered something else (XEP-0474)")),
        }
    }

    /// client-first-message.
    pub fn first(&self) -> String {
        format!("{}{}", self.gs2_header, self.first_bare())
    }

    fn first_bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }

    /// client-final-message, in answer to the server's first.
    pub fn answer(&mut self, server_first: &str) -> Result<String> {
        let nonce = field(server_first, "r=")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(Error::unexpected(format!("SCRAM: the server's nonce is {nonce}")));
        }
        self.check_offer(server_first)?;
        let salt = BASE64
            .decode(field(server_first, "s=")?)
            .map_err(|_| Error::unexpected("SCRAM: the salt is not base64"))?;
        let iterations = field(server_first, "i=")?
            .parse()
            .ok()
            .filter(|&count| count <= ITERATIONS_MAX)
            .and_then(NonZeroU32::new)
            .ok_or_else(|| Error::unexpected("SCRAM: odd iteration count"))?;
        let salted = self.salted(&salt, iterations);

        let header = [self.gs2_header.as_bytes(), &self.binding].concat();
        let without_proof = format!("c={},r={nonce}", BASE64.encode(header));
        let signed = format!("{},{server_first},{without_proof}", self.first_bare());
        let client_key = self.hmac(&salted, b"Client Key");
        let stored_key = digest::digest(self.hash.digest, &client_key);
        let signature = self.hmac(stored_key.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let server_key = self.hmac(&salted, b"Server Key");
        self.server_signature = self.hmac(&server_key, signed.as_bytes());
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Derives the salted password, which a client keeps (§3): a crowd logs in many times.
    fn salted(&self, salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        static DERIVED: Mutex<BTreeMap<Derivation, Vec<u8>>> = Mutex::new(BTreeMap::new());
        let length = self.hash.digest.output_len();
        let derivation = (length, iterations, salt.to_vec(), self.password.clone());
        let lock = || DERIVED.lock().expect("nobody panics with the lock");
        if let Some(salted) = lock().get(&derivation) {
            return salted.clone();
        }
        let mut salted = vec![0; length];
        let password = self.password.as_bytes();
        pbkdf2::derive(self.hash.pbkdf2, iterations, salt, password, &mut salted);
        lock().insert(derivation, salted.clone());
        salted
    }

    /// Checks that the server knows the keys as well (§3).
    pub fn verify(&self, server_final: &str) -> Result<()> {
        match field(server_final, "v=")? == BASE64.encode(&self.server_signature) {
            true => Ok(()),
            false => Err(Error::unexpected("SCRAM: the server's signature is wrong")),
        }
    }

    fn hmac(&self, key: &[u8], data: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hash.hmac, key), data).as_ref().to_vec()
    }
}

fn field<'a>(message: &'a str, prefix: &str) -> Result<&'a str> {
    message
        .split(',')
        .find_map(|field| field.strip_prefix(prefix))
        .ok_or_else(|| Error::unexpected(format!("SCRAM: no {prefix} in {message}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mechanism: &str, nonce: &str, server_first: &str, client_final: &str, server: &str) {
        let mut scram = Scram::new(mechanism, "user", "pencil", None).unwrap();
        scram.nonce = nonce.into();
        assert_eq!(scram.answer(server_first).unwrap(), client_final);
        scram.verify(server).unwrap();
        assert!(scram.verify("v=AAAA").is_err());
    }

    #[test]
    fn the_example_of_rfc_5802() {
        check(
            "SCRAM-SHA-1",
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        );
    }

    #[test]
    fn the_example_of_rfc_7677() {
        check(
            "SCRAM-SHA-256",
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        );
    }

    #[test]
    fn a_server_that_offered_something_else_is_found_out() {
        for first in ["r=abcd,s=QSXC,i=4096,h=AAAA", "r=abcd,s=QSXC,i=4096"] {
            let mut scram = Scram::new("SCRAM-SHA-1", "user", "pencil", None).unwrap();
            scram.nonce = "abc".into();
            scram.expect_offer(vec!["SCRAM-SHA-1".into()], Vec::new());
            assert!(scram.answer(first).is_err(), "{first}");
        }
    }
}
