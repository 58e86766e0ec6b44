//! FAST (XEP-0484): a token instead of a password, by the Hashed Token mechanisms
//! (draft-schmaus-kitten-sasl-ht-09), in one round trip.
//!
//! Owns the check of a client's proof. Does not: the life of tokens (`tokens.rs`).

use super::credentials::Generation;
use super::exchange::{Context, ExpectAnswer, Need, Step, Success};
use super::failure::SaslFailure;
use super::hash::{Hash, equal};
use super::tokens::{FastToken, FastTokens, TokenSlot, TokenUse, UnixSeconds};
use super::{identity, mechanism::Mechanism};
use jackdaw_jid::BareJid;

/// Bytes of a SHA-256 HMAC.
pub(super) const TOKEN_PROOF_BYTES: usize = Hash::Sha256.output_bytes();

/// What the client said in `<fast/>` (XEP-0484 §3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FastRequest {
    /// `count`: how often the client has tried this token. We take no TLS early data, so it may be
    /// absent.
    pub count: Option<u32>,
}

/// The message has been read; the tokens of the account and client are wanted.
#[derive(Debug)]
pub(super) struct AwaitTokens {
    mechanism: Mechanism,
    account: BareJid,
    count: Option<u32>,
    /// What the client sent: `HMAC(token, "Initiator" cb-data)`.
    proof: Box<[u8]>,
    binding: Vec<u8>,
    context: Context,
}

/// Reads `authcid NUL initiator-hashed-token`.
pub(super) fn start(
    mechanism: Mechanism,
    message: &[u8],
    context: Context,
) -> Result<Step, SaslFailure> {
    // Outside SASL2, or without <fast/>, there are no tokens (XEP-0484 §3.4).
    let request = context.fast.ok_or_else(SaslFailure::invalid_mechanism)?;
    let mut parts = message.splitn(2, |byte| *byte == 0);
    let (Some(authcid), Some(proof)) = (parts.next(), parts.next()) else {
        return Err(SaslFailure::malformed_request());
    };
    let authcid = std::str::from_utf8(authcid).map_err(|_| SaslFailure::malformed_request())?;
    if authcid.is_empty() || proof.len() != TOKEN_PROOF_BYTES {
        return Err(SaslFailure::malformed_request());
    }
    let binding = match mechanism.token_binding() {
        None => Vec::new(),
        Some(kind) => {
            context.channel.binding(kind).ok_or_else(SaslFailure::invalid_mechanism)?.to_vec()
        }
    };
    let account = identity::account(authcid, &context.domain)?;
    let need = Need::FastTokens { account: account.clone() };
    let (count, proof) = (request.count, proof.into());
    let next = AwaitTokens { mechanism, account, count, proof, binding, context };
    Ok(Step::Need(need, ExpectAnswer::fast(next)))
}

impl AwaitTokens {
    pub(super) fn answer(
        self,
        generation: Option<Generation>,
        tokens: &FastTokens,
        now: UnixSeconds,
    ) -> Result<Step, SaslFailure> {
        // Both are checked whatever the first says, an absent one as a decoy.
        let new = self.check(tokens.new.as_ref());
        let current = self.check(tokens.current.as_ref());
        let (token, slot) = match (new, current) {
            (Some(token), _) => (token, TokenSlot::New),
            (None, Some(token)) => (token, TokenSlot::Current),
            (None, None) => return Err(SaslFailure::not_authorized()),
        };
        if generation != Some(token.generation) {
            return Err(SaslFailure::not_authorized());
        }
        if token.expires_at <= now {
            return Err(SaslFailure::credentials_expired());
        }
        // A count that does not rise is a replay (§3.4).
        let count = match self.count {
            Some(count) if count <= token.count => return Err(SaslFailure::not_authorized()),
            Some(count) => count,
            None => token.count,
        };
        let is_news = slot == TokenSlot::New || count != token.count;
        let used = TokenUse { slot, count, expires_at: token.expires_at, is_news };
        let response = self.sign(token.secret.reveal().as_bytes(), b"Responder");
        Ok(Step::Success(Success {
            mechanism: self.mechanism,
            account: self.account,
            generation,
            additional_data: Some(response),
            token: Some(used),
        }))
    }

    /// The token, if it is the one the client proves to have.
    fn check<'a>(&self, token: Option<&'a FastToken>) -> Option<&'a FastToken> {
        let decoy = self.context.decoy.token(&self.account);
        let key = token.map_or(decoy.as_ref(), |token| token.secret.reveal().as_bytes());
        let proven = equal(&self.sign(key, b"Initiator"), &self.proof);
        token.filter(|token| proven && token.mechanism == self.mechanism)
    }

    fn sign(&self, key: &[u8], role: &[u8]) -> Vec<u8> {
        Hash::Sha256.hmac(key, &[role, &self.binding].concat()).as_ref().to_vec()
    }
}
