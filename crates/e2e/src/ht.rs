//! The client's side of the HT mechanisms, by which FAST shows a token (XEP-0484,
//! draft-schmaus-kitten-sasl-ht).

use aws_lc_rs::hmac;

use crate::error::{Error, Result};
use crate::tls::ChannelBinding;

/// One authentication with a token.
pub struct Ht {
    key: hmac::Key,
    user: String,
    binding: Vec<u8>,
}

impl Ht {
    /// Begins `mechanism`; `None` if it is not one of these.
    pub fn new(
        mechanism: &str,
        user: &str,
        token: &str,
        binding: Option<ChannelBinding>,
    ) -> Option<Ht> {
        let binding = match mechanism.strip_prefix("HT-SHA-256-")? {
            "NONE" => Vec::new(),
            _ => binding?.data,
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
        Some(Ht { key, user: user.to_owned(), binding })
    }

    /// The only message of the client.
    pub fn message(&self) -> Vec<u8> {
        [self.user.as_bytes(), b"\0", &self.tag(b"Initiator")].concat()
    }

    /// Checks that the server knows the token as well.
    pub fn verify(&self, answer: &[u8]) -> Result<()> {
        match answer == self.tag(b"Responder") {
            true => Ok(()),
            false => Err(Error::unexpected("HT: the server does not know the token")),
        }
    }

    fn tag(&self, who: &[u8]) -> Vec<u8> {
        hmac::sign(&self.key, &[who, &self.binding].concat()).as_ref().to_vec()
    }
}
