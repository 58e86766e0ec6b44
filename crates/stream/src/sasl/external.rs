//! EXTERNAL (RFC 4422 appendix A) with client certificates, by the rules of XEP-0178 §2.

use super::exchange::{Context, ExpectAnswer, Need, Step, Success};
use super::failure::SaslFailure;
use super::{credentials::Credentials, identity, mechanism::Mechanism};
use jackdaw_jid::BareJid;

/// The certificate names the account; whether there is such an account is wanted.
#[derive(Debug)]
pub(super) struct AwaitAccount {
    account: BareJid,
}

/// Reads the authorization identity, which may be empty.
pub(super) fn start(message: &[u8], context: &Context) -> Result<Step, SaslFailure> {
    let authzid = std::str::from_utf8(message).map_err(|_| SaslFailure::malformed_request())?;
    let account = choose(authzid, context)?;
    let need = Need::Credentials { account: account.clone() };
    Ok(Step::Need(need, ExpectAnswer::external(AwaitAccount { account })))
}

/// One JID on this domain needs no authorization identity, several do, and one that the
/// certificate does not assert is nobody's to name.
fn choose(authzid: &str, context: &Context) -> Result<BareJid, SaslFailure> {
    let mut asserted =
        context.channel.identities.iter().filter(|jid| jid.domain() == &*context.domain);
    let chosen = if authzid.is_empty() {
        let first = asserted.next();
        first.filter(|first| asserted.all(|other| other == *first))
    } else {
        let wanted = identity::parse_authzid(authzid)?;
        asserted.find(|jid| **jid == wanted)
    };
    chosen.cloned().ok_or_else(SaslFailure::invalid_authzid)
}

impl AwaitAccount {
    pub(super) fn answer(self, credentials: Option<&Credentials>) -> Result<Step, SaslFailure> {
        let credentials = credentials.ok_or_else(SaslFailure::not_authorized)?;
        Ok(Step::Success(Success {
            mechanism: Mechanism::External,
            account: self.account,
            generation: Some(credentials.generation()),
            additional_data: None,
            token: None,
        }))
    }
}
