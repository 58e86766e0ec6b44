//! One authentication exchange, from the client's choice of a mechanism to success or failure.

use super::channel::Channel;
use super::credentials::{Credentials, Generation};
use super::decoy::Decoy;
use super::failure::SaslFailure;
use super::fast::FastRequest;
use super::mechanism::Mechanism;
use super::offer::Offer;
use super::secret::Password;
use super::tokens::{FastTokens, TokenUse, UnixSeconds};
use super::wire::MESSAGE_BYTES_MAX;
use super::{anonymous, external, fast, plain, scram};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jackdaw_jid::BareJid;
use std::fmt;
use std::sync::Arc;

/// Random bytes of a server nonce: 144 bits, and whole base64 groups.
pub const NONCE_BYTES: usize = 18;

/// The server's random contribution to one exchange, fresh from the operating system's generator.
#[derive(Clone, Copy)]
pub struct Nonce(pub [u8; NONCE_BYTES]);

impl Nonce {
    /// As SCRAM's `s-nonce`: base64 has no comma in it.
    pub(super) fn text(self) -> String {
        STANDARD_NO_PAD.encode(self.0)
    }

    /// As part of a localpart.
    pub(super) fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

/// What an exchange knows besides what the client says.
#[derive(Clone, Debug)]
pub struct Context {
    /// The domain the stream is for, prepared.
    pub domain: Arc<str>,
    /// The connection.
    pub channel: Arc<Channel>,
    /// What was advertised on it, by the profile (RFC 6120 or SASL2) the client now uses.
    pub offer: Arc<Offer>,
    /// For accounts that do not exist.
    pub decoy: Arc<Decoy>,
    /// Used for this exchange only.
    pub nonce: Nonce,
    /// The `<fast/>` of a SASL2 request, if it had one.
    pub fast: Option<FastRequest>,
}

/// What comes next. The machine that goes on, if any, is in it, so nothing can be called out of
/// turn.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Send a `<challenge/>` with this data, then hand the `<response/>` to the machine.
    Challenge(Vec<u8>, ExpectResponse),
    /// Find this out, then tell the machine. Until then the client has to wait.
    Need(Need, ExpectAnswer),
    /// The client is who it says.
    Success(Success),
    /// It is not, or did not say it properly.
    Failure(SaslFailure),
}

/// A fact from outside. It is the caller's to fetch, in its own time.
#[derive(Debug)]
pub enum Need {
    /// The account's stored credentials. Answer: [`Answer::Credentials`].
    Credentials {
        /// Whose.
        account: BareJid,
    },
    /// Whether this is the account's password: fetch the credentials and call
    /// [`Decoy::check_password`] on a bounded pool. Answer: [`Answer::PasswordChecked`].
    PasswordCheck {
        /// Whose.
        account: BareJid,
        /// As the client sent it, prepared.
        password: Password,
    },
    /// The tokens of this account for the client that asks. Answer: [`Answer::FastTokens`].
    FastTokens {
        /// Whose.
        account: BareJid,
    },
}

/// The answer to a [`Need`].
#[derive(Debug)]
pub enum Answer {
    /// The credentials, or none if there is no such account.
    Credentials(Option<Credentials>),
    /// The account's generation if the password is right, as [`Decoy::check_password`] returns it.
    PasswordChecked(Option<Generation>),
    /// The account's generation, none if there is no such account, and the tokens it gave to this
    /// client.
    FastTokens {
        /// Of the account as it is now.
        generation: Option<Generation>,
        /// Those of this client.
        tokens: FastTokens,
        /// The wall clock, for their expiry.
        now: UnixSeconds,
    },
    /// It could not be found out.
    Unavailable,
}

/// A client that has been authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// How.
    pub mechanism: Mechanism,
    /// As whom: the bare JID of an account on the stream's domain.
    pub account: BareJid,
    /// Which account of that name; none for ANONYMOUS, where there is none.
    pub generation: Option<Generation>,
    /// For `<success/>` (RFC 6120 §6.4.6) or `<additional-data/>` (XEP-0388 §2.6.1).
    pub additional_data: Option<Vec<u8>>,
    /// With a FAST mechanism, what to write down about the token.
    pub token: Option<TokenUse>,
}

/// Starts with the mechanism the client chose and its initial response, if it sent one.
///
/// An empty initial response is not the same as none: without one, an empty challenge asks for it
/// (RFC 4422 §3.3), as every mechanism here lets the client speak first.
pub fn start(mechanism: Mechanism, initial: Option<&[u8]>, context: Context) -> Step {
    if !context.offer.has(mechanism) {
        return Step::Failure(SaslFailure::invalid_mechanism());
    }
    match initial {
        Some(message) => first(mechanism, message, context).unwrap_or_else(Step::Failure),
        None => {
            let next = Responding::First(Box::new((mechanism, context)));
            Step::Challenge(Vec::new(), ExpectResponse(next))
        }
    }
}

fn first(mechanism: Mechanism, message: &[u8], context: Context) -> Result<Step, SaslFailure> {
    check_length(message)?;
    match mechanism {
        Mechanism::External => external::start(message, &context),
        Mechanism::Plain => plain::start(message, &context),
        Mechanism::Anonymous => anonymous::start(message, &context),
        Mechanism::HtSha256Expr
        | Mechanism::HtSha256Endp
        | Mechanism::HtSha256Uniq
        | Mechanism::HtSha256None => fast::start(mechanism, message, context),
        Mechanism::ScramSha512Plus
        | Mechanism::ScramSha256Plus
        | Mechanism::ScramSha1Plus
        | Mechanism::ScramSha512
        | Mechanism::ScramSha256
        | Mechanism::ScramSha1 => {
            let variant = mechanism.scram().ok_or_else(SaslFailure::invalid_mechanism)?;
            scram::start(mechanism, variant, message, context)
        }
    }
}

fn check_length(message: &[u8]) -> Result<(), SaslFailure> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(SaslFailure::malformed_request().text("the message is too long"));
    }
    Ok(())
}

/// An exchange that waits for the client. To give it up (`<abort/>`), drop it and send
/// [`SaslFailure::aborted`].
#[derive(Debug)]
pub struct ExpectResponse(Responding);

#[derive(Debug)]
enum Responding {
    First(Box<(Mechanism, Context)>),
    Scram(Box<scram::AwaitProof>),
}

impl ExpectResponse {
    /// Goes on with the client's `<response/>`.
    pub fn respond(self, message: &[u8]) -> Step {
        let step = check_length(message).and_then(|()| match self.0 {
            Responding::First(start) => {
                let (mechanism, context) = *start;
                first(mechanism, message, context)
            }
            Responding::Scram(state) => state.respond(message),
        });
        step.unwrap_or_else(Step::Failure)
    }

    pub(super) fn scram(state: scram::AwaitProof) -> ExpectResponse {
        ExpectResponse(Responding::Scram(Box::new(state)))
    }
}

/// An exchange that waits for the answer to its [`Need`].
#[derive(Debug)]
pub struct ExpectAnswer(Waiting);

#[derive(Debug)]
enum Waiting {
    External(Box<external::AwaitAccount>),
    Fast(Box<fast::AwaitTokens>),
    Plain(Box<plain::AwaitCheck>),
    Scram(Box<scram::AwaitKeys>),
}

impl ExpectAnswer {
    /// Goes on with the fact that was asked for. An answer to another question is our mistake, and
    /// fails the attempt as such.
    pub fn answer(self, answer: Answer) -> Step {
        let step = match (self.0, answer) {
            (Waiting::External(state), Answer::Credentials(held)) => state.answer(held.as_ref()),
            (Waiting::Scram(state), Answer::Credentials(held)) => Ok(state.answer(held)),
            (Waiting::Plain(state), Answer::PasswordChecked(checked)) => state.answer(checked),
            (Waiting::Fast(state), Answer::FastTokens { generation, tokens, now }) => {
                state.answer(generation, &tokens, now)
            }
            (_, Answer::Unavailable) => Err(SaslFailure::temporary_auth_failure()),
            (
                Waiting::External(_) | Waiting::Scram(_) | Waiting::Plain(_) | Waiting::Fast(_),
                Answer::Credentials(_) | Answer::PasswordChecked(_) | Answer::FastTokens { .. },
            ) => {
                tracing::error!("a SASL exchange was given the answer to another question");
                Err(SaslFailure::temporary_auth_failure())
            }
        };
        step.unwrap_or_else(Step::Failure)
    }

    pub(super) fn external(state: external::AwaitAccount) -> ExpectAnswer {
        ExpectAnswer(Waiting::External(Box::new(state)))
    }

    pub(super) fn fast(state: fast::AwaitTokens) -> ExpectAnswer {
        ExpectAnswer(Waiting::Fast(Box::new(state)))
    }

    pub(super) fn plain(state: plain::AwaitCheck) -> ExpectAnswer {
        ExpectAnswer(Waiting::Plain(Box::new(state)))
    }

    pub(super) fn scram(state: scram::AwaitKeys) -> ExpectAnswer {
        ExpectAnswer(Waiting::Scram(Box::new(state)))
    }
}
