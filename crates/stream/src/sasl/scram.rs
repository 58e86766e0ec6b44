//! SCRAM (RFC 5802, RFC 7677), with and without channel binding.
//!
//! An account that does not exist takes the same way to the end as one with a wrong password:
//! the [`Decoy`](super::Decoy) supplies keys, every comparison is made, and only then is it
//! refused.

use super::credentials::{Credentials, Generation, ScramKeys};
use super::exchange::{Context, ExpectAnswer, ExpectResponse, Need, Step, Success};
use super::failure::SaslFailure;
use super::hash::{Hash, equal};
use super::mechanism::{Mechanism, Plus};
use super::scram_message::{BindingFlag, ClientFinal, ClientFirst};
use super::{channel::ChannelBinding, identity, offer::Offer, ssdp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jackdaw_jid::BareJid;

/// The client's first message has been read; its account's keys are wanted.
#[derive(Debug)]
pub(super) struct AwaitKeys {
    mechanism: Mechanism,
    hash: Hash,
    account: BareJid,
    client_first_bare: String,
    /// Client's and server's, joined.
    nonce: String,
    /// What `c=` must be in the final message.
    binding: Vec<u8>,
    context: Context,
}

/// The server's first message is out; the proof is wanted.
#[derive(Debug)]
pub(super) struct AwaitProof {
    mechanism: Mechanism,
    hash: Hash,
    account: BareJid,
    /// None: keys are a decoy's.
    generation: Option<Generation>,
    keys: ScramKeys,
    nonce: String,
    binding: Vec<u8>,
    /// `client-first-message-bare "," server-first-message ","`.
    auth_message: String,
}

/// Reads `client-first-message`.
pub(super) fn start(
    mechanism: Mechanism,
    (hash, plus): (Hash, Plus),
    message: &[u8],
    context: Context,
) -> Result<Step, SaslFailure> {
    let first = ClientFirst::parse(message)?;
    let mut binding = first.gs2_header.as_bytes().to_vec();
    if let Some(kind) = choose_binding(first.binding, plus, &context.offer)? {
        let data = context.channel.binding(kind).ok_or_else(unknown_binding)?;
        binding.extend_from_slice(data);
    }
    let account = identity::account(&first.username, &context.domain)?;
    identity::check_authzid(first.authzid.as_deref(), &account)?;

    let need = Need::Credentials { account: account.clone() };
    let next = AwaitKeys {
        mechanism,
        hash,
        account,
        client_first_bare: first.bare.to_owned(),
        nonce: format!("{}{}", first.nonce, context.nonce.text()),
        binding,
        context,
    };
    Ok(Step::Need(need, ExpectAnswer::scram(next)))
}

/// The table of RFC 5802 §6: which binding goes with what the client said and what we offered.
fn choose_binding(
    flag: BindingFlag<'_>,
    plus: Plus,
    offer: &Offer,
) -> Result<Option<ChannelBinding>, SaslFailure> {
    match (flag, plus) {
        (BindingFlag::Used(name), Plus::With) => ChannelBinding::parse(name)
            .filter(|binding| offer.channel_bindings.contains(binding))
            .map(Some)
            .ok_or_else(unknown_binding),
        // The client would bind but saw no -PLUS, and we did offer it: somebody took it out.
        (BindingFlag::NotOffered, Plus::Without) if offer.has_plus() => {
            Err(SaslFailure::not_authorized().text("channel binding was offered and not seen"))
        }
        (BindingFlag::NotOffered | BindingFlag::Unsupported, Plus::Without) => Ok(None),
        (BindingFlag::Used(_), Plus::Without)
        | (BindingFlag::NotOffered | BindingFlag::Unsupported, Plus::With) => {
            Err(SaslFailure::malformed_request())
        }
    }
}

fn unknown_binding() -> SaslFailure {
    SaslFailure::not_authorized().text("this channel-binding type was not offered")
}

impl AwaitKeys {
    /// Writes `server-first-message`.
    pub(super) fn answer(self, credentials: Option<Credentials>) -> Step {
        let held = credentials.and_then(|held| {
            let generation = held.generation();
            Some((held.into_keys(self.hash)?, Some(generation)))
        });
        // Made in any case, so that it takes its time in any case.
        let decoy = self.context.decoy.keys(self.hash, &self.account);
        let (keys, generation) = held.unwrap_or((decoy, None));
        let server_first = format!(
            "r={},s={},i={},h={}",
            self.nonce,
            STANDARD.encode(&keys.salt),
            keys.iterations,
            ssdp::attribute(self.hash, &self.context.offer),
        );
        let next = AwaitProof {
            mechanism: self.mechanism,
            hash: self.hash,
            account: self.account,
            generation,
            keys,
            nonce: self.nonce,
            binding: self.binding,
            auth_message: format!("{},{server_first},", self.client_first_bare),
        };
        Step::Challenge(server_first.into_bytes(), ExpectResponse::scram(next))
    }
}

impl AwaitProof {
    /// Reads `client-final-message` and writes `server-final-message`.
    pub(super) fn respond(self, message: &[u8]) -> Result<Step, SaslFailure> {
        let last = ClientFinal::parse(message)?;
        if last.proof.len() != self.hash.output_bytes() {
            return Err(SaslFailure::malformed_request());
        }
        let auth_message = format!("{}{}", self.auth_message, last.without_proof);
        let proven = self.verify(&last.proof, auth_message.as_bytes());
        let bound = equal(&last.binding, &self.binding);
        let fresh = equal(last.nonce.as_bytes(), self.nonce.as_bytes());
        // All are computed before any is looked at, so that time tells nothing.
        let generation = match self.generation {
            Some(generation) if proven && bound && fresh => generation,
            _ => return Err(SaslFailure::not_authorized()),
        };
        let signature = self.hash.hmac(&self.keys.server_key, auth_message.as_bytes());
        Ok(Step::Success(Success {
            mechanism: self.mechanism,
            account: self.account,
            generation: Some(generation),
            additional_data: Some(format!("v={}", STANDARD.encode(signature)).into_bytes()),
            token: None,
        }))
    }

    /// `H(ClientProof XOR ClientSignature) = StoredKey` (RFC 5802 §3).
    fn verify(&self, proof: &[u8], auth_message: &[u8]) -> bool {
        let signature = self.hash.hmac(&self.keys.stored_key, auth_message);
        let client_key: Vec<u8> =
            proof.iter().zip(signature.as_ref()).map(|(proof, mask)| proof ^ mask).collect();
        equal(self.hash.digest(&client_key).as_ref(), &self.keys.stored_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::Password;
    use std::num::NonZeroU32;

    /// One worked exchange for user `user` with the password `pencil`, as a specification has it.
    struct Vector {
        mechanism: Mechanism,
        salt: &'static str,
        client_first_bare: &'static str,
        server_first: &'static str,
        binding: &'static [u8],
        client_final: &'static str,
        server_final: &'static str,
    }

    /// Sets the machine to where the vector's server-first-message is out, and responds.
    fn check(vector: &Vector) {
        let (hash, _) = vector.mechanism.scram().expect("a SCRAM mechanism");
        let nonce = vector.server_first.split(['=', ',']).nth(1).expect("a nonce");
        let salt = STANDARD.decode(vector.salt).expect("base64");
        let iterations = NonZeroU32::new(4096).expect("not zero");
        let password = Password::prepare("pencil").expect("a password");
        let state = AwaitProof {
            mechanism: vector.mechanism,
            hash,
            account: BareJid::parse("user@example.org").expect("a JID"),
            generation: Some(Generation(7)),
            keys: ScramKeys::derive(hash, &password, &salt, iterations),
            nonce: nonce.to_owned(),
            binding: vector.binding.to_vec(),
            auth_message: format!("{},{},", vector.client_first_bare, vector.server_first),
        };
        let Ok(Step::Success(success)) = state.respond(vector.client_final.as_bytes()) else {
            panic!("{} refused its own vector", vector.mechanism.name());
        };
        assert_eq!(success.additional_data.as_deref(), Some(vector.server_final.as_bytes()));
        assert_eq!(success.generation, Some(Generation(7)));
    }

    #[test]
    fn sha_1_gives_the_example_of_rfc_5802() {
        check(&Vector {
            mechanism: Mechanism::ScramSha1,
            salt: "QSXCR+Q6sek8bf92",
            client_first_bare: "n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            binding: b"n,,",
            client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        });
    }

    #[test]
    fn sha_256_gives_the_example_of_rfc_7677() {
        check(&Vector {
            mechanism: Mechanism::ScramSha256,
            salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
            client_first_bare: "n=user,r=rOprNGfwEbeRWgbNEkqO",
            server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            binding: b"n,,",
            client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        });
    }

    // No specification has an example; this is RFC 7677's, computed with Python's hashlib.
    #[test]
    fn sha_512_gives_what_another_implementation_does() {
        check(&Vector {
            mechanism: Mechanism::ScramSha512,
            salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
            client_first_bare: "n=user,r=rOprNGfwEbeRWgbNEkqO",
            server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            binding: b"n,,",
            client_final: concat!(
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=gMGXRcevScNtxZ6/8lQYpGtn",
                "sNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ=="
            ),
            server_final: "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
        });
    }

    #[test]
    fn channel_binding_downgrade_protection_and_an_extension_give_the_example_of_xep_0474() {
        check(&Vector {
            mechanism: Mechanism::ScramSha1Plus,
            salt: "QSXCR+Q6sek8bf92",
            client_first_bare: "n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6",
            server_first: concat!(
                "r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,",
                "s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08="
            ),
            binding: b"p=tls-exporter,,THIS IS FAKE CB DATA",
            client_final: concat!(
                "c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,",
                "r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,",
                "x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3,p=M/SIDjT+dfcxUh89jZEypRvFxB4="
            ),
            server_final: "v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c=",
        });
    }
}
