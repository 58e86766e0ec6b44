//! PLAIN (RFC 4616): the password itself.

use super::exchange::{Context, ExpectAnswer, Need, Step, Success};
use super::failure::SaslFailure;
use super::secret::Password;
use super::{credentials::Generation, identity, mechanism::Mechanism};
use jackdaw_jid::BareJid;

/// The password is with the pool that checks it.
#[derive(Debug)]
pub(super) struct AwaitCheck {
    account: BareJid,
}

/// Reads `[authzid] NUL authcid NUL passwd`.
pub(super) fn start(message: &[u8], context: &Context) -> Result<Step, SaslFailure> {
    let message = std::str::from_utf8(message).map_err(|_| SaslFailure::malformed_request())?;
    let mut parts = message.split('\0');
    let (Some(authzid), Some(authcid), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslFailure::malformed_request());
    };
    if authcid.is_empty() || password.is_empty() {
        return Err(SaslFailure::malformed_request());
    }
    let account = identity::account(authcid, &context.domain)?;
    identity::check_authzid(Some(authzid).filter(|id| !id.is_empty()), &account)?;
    // What cannot be a password is nobody's, so nothing is given away by not looking.
    let password = Password::prepare(password).map_err(|_| SaslFailure::not_authorized())?;
    let need = Need::PasswordCheck { account: account.clone(), password };
    Ok(Step::Need(need, ExpectAnswer::plain(AwaitCheck { account })))
}

impl AwaitCheck {
    pub(super) fn answer(self, checked: Option<Generation>) -> Result<Step, SaslFailure> {
        let generation = checked.ok_or_else(SaslFailure::not_authorized)?;
        Ok(Step::Success(Success {
            mechanism: Mechanism::Plain,
            account: self.account,
            generation: Some(generation),
            additional_data: None,
            token: None,
        }))
    }
}
