//! The client's half of SCRAM, written from RFC 5802 and nothing of the server's.

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jackdaw_stream::sasl::Hash;
use std::num::NonZeroU32;

pub struct ScramClient {
    pub hash: Hash,
    pub password: &'static str,
    /// `n,,` or `p=tls-exporter,,` and the like.
    pub gs2_header: String,
    pub binding: Vec<u8>,
    pub username: String,
    pub nonce: String,
}

impl ScramClient {
    /// A client that does not bind to the channel.
    pub fn new(hash: Hash, username: &str, password: &'static str) -> ScramClient {
        ScramClient {
            hash,
            password,
            gs2_header: "n,,".to_owned(),
            binding: Vec::new(),
            username: username.to_owned(),
            nonce: "fyko+d2lbbFgONRv9qkxdawL".to_owned(),
        }
    }

    pub fn bound(self, kind: &str, data: &[u8]) -> ScramClient {
        ScramClient { gs2_header: format!("p={kind},,"), binding: data.to_vec(), ..self }
    }

    pub fn first(&self) -> Vec<u8> {
        format!("{}{}", self.gs2_header, self.first_bare()).into_bytes()
    }

    /// The final message, and the server signature to expect.
    pub fn last(&self, server_first: &str) -> (String, String) {
        let nonce = attribute(server_first, "r");
        assert!(nonce.starts_with(&self.nonce) && nonce.len() > self.nonce.len());
        let salt = STANDARD.decode(attribute(server_first, "s")).expect("base64");
        let iterations: NonZeroU32 = attribute(server_first, "i").parse().expect("a number");
        let salted = self.hi(&salt, iterations);

        let binding = [self.gs2_header.as_bytes(), &self.binding].concat();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(binding));
        let auth_message = format!("{},{server_first},{without_proof}", self.first_bare());

        let client_key = self.hmac(&salted, "Client Key");
        let stored_key = digest::digest(self.digest(), &client_key);
        let signature = self.hmac(stored_key.as_ref(), &auth_message);
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let server_key = self.hmac(&salted, "Server Key");
        (
            format!("{without_proof},p={}", STANDARD.encode(proof)),
            format!("v={}", STANDARD.encode(self.hmac(&server_key, &auth_message))),
        )
    }

    fn first_bare(&self) -> String {
        format!("n={},r={}", self.username, self.nonce)
    }

    fn hi(&self, salt: &[u8], iterations: NonZeroU32) -> Vec<u8> {
        let algorithm = match self.hash {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Hash::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        };
        let mut salted = vec![0; self.digest().output_len()];
        pbkdf2::derive(algorithm, iterations, salt, self.password.as_bytes(), &mut salted);
        salted
    }

    fn hmac(&self, key: &[u8], data: &str) -> Vec<u8> {
        let algorithm = match self.hash {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), data.as_bytes()).as_ref().to_vec()
    }

    fn digest(&self) -> &'static digest::Algorithm {
        match self.hash {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha512 => &digest::SHA512,
        }
    }
}

/// The value of an attribute in a message.
pub fn attribute<'a>(message: &'a str, name: &str) -> &'a str {
    message
        .split(',')
        .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("no {name}= in {message}"))
}
