//! The outside of an exchange: a connection, and a table of accounts that answers needs.

use jackdaw_jid::BareJid;
use jackdaw_stream::sasl::{
    Answer, Channel, Context, Credentials, Decoy, ExpectResponse, FastRequest, FastTokens,
    Generation, ITERATIONS_MIN, Mechanism, NONCE_BYTES, Need, Nonce, Offer, Password, SALT_BYTES,
    SaslConfig, SaslFailure, Step, Success, UnixSeconds, start,
};
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};

pub const DOMAIN: &str = "example.org";
pub const ITERATIONS: NonZeroU32 = NonZeroU32::new(ITERATIONS_MIN).expect("not zero");
pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
pub const GENERATION: Generation = Generation(42);

/// The one account, `juliet`, with the password `r0m30`.
static JULIET: LazyLock<Credentials> = LazyLock::new(|| {
    let password = Password::prepare("r0m30").expect("a password");
    Credentials::derive(GENERATION, &password, [3; SALT_BYTES], ITERATIONS)
});

/// How far an exchange got.
#[derive(Debug)]
pub enum Outcome {
    Challenge(Vec<u8>, ExpectResponse),
    Success(Success),
    Failure(SaslFailure),
}

impl Outcome {
    pub fn challenge(self) -> (String, ExpectResponse) {
        let Outcome::Challenge(data, next) = self else { panic!("no challenge: {self:?}") };
        (String::from_utf8(data).expect("SCRAM is text"), next)
    }

    pub fn success(self) -> Success {
        let Outcome::Success(success) = self else { panic!("no success: {self:?}") };
        success
    }

    pub fn failure(self) -> SaslFailure {
        let Outcome::Failure(failure) = self else { panic!("no failure: {self:?}") };
        failure
    }
}

pub struct Server {
    pub config: SaslConfig,
    pub channel: Channel,
    pub credentials: Credentials,
    pub fast: Option<FastRequest>,
    pub tokens: FastTokens,
    pub decoy: Arc<Decoy>,
}

impl Server {
    /// Everything on, over TLS with both channel bindings.
    pub fn new() -> Server {
        Server {
            config: SaslConfig {
                anonymous: true,
                external: true,
                plain: true,
                ..SaslConfig::default()
            },
            channel: Channel {
                confidential: true,
                exporter: Some([0xe0; 32]),
                server_end_point: Some([0xed; 48].into()),
                identities: Vec::new(),
            },
            credentials: JULIET.clone(),
            fast: None,
            tokens: FastTokens::default(),
            decoy: Arc::new(Decoy::new([9; 32], ITERATIONS)),
        }
    }

    pub fn offer(&self) -> Offer {
        self.config.offer(&self.channel, DOMAIN)
    }

    pub fn context(&self) -> Context {
        Context {
            domain: DOMAIN.into(),
            channel: Arc::new(self.channel.clone()),
            offer: Arc::new(self.offer()),
            decoy: Arc::clone(&self.decoy),
            nonce: Nonce([5; NONCE_BYTES]),
            fast: self.fast,
        }
    }

    pub fn start(&self, mechanism: Mechanism, initial: &[u8]) -> Outcome {
        self.settle(start(mechanism, Some(initial), self.context()))
    }

    pub fn respond(&self, next: ExpectResponse, message: &[u8]) -> Outcome {
        self.settle(next.respond(message))
    }

    /// Answers what is asked until it is the client's turn or over.
    pub fn settle(&self, step: Step) -> Outcome {
        match step {
            Step::Challenge(data, next) => Outcome::Challenge(data, next),
            Step::Success(success) => Outcome::Success(success),
            Step::Failure(failure) => Outcome::Failure(failure),
            Step::Need(need, next) => self.settle(next.answer(self.answer(&need))),
        }
    }

    fn answer(&self, need: &Need) -> Answer {
        match need {
            Need::Credentials { account } => Answer::Credentials(self.held(account).cloned()),
            Need::PasswordCheck { account, password } => Answer::PasswordChecked(
                self.decoy.check_password(account, self.held(account), password),
            ),
            Need::FastTokens { account } => match self.held(account) {
                Some(held) => Answer::FastTokens {
                    generation: Some(held.generation()),
                    tokens: self.tokens.clone(),
                    now: NOW,
                },
                None => {
                    let tokens = FastTokens::default();
                    Answer::FastTokens { generation: None, tokens, now: NOW }
                }
            },
        }
    }

    fn held(&self, account: &BareJid) -> Option<&Credentials> {
        (*account == jid("juliet")).then_some(&self.credentials)
    }
}

pub fn jid(local: &str) -> BareJid {
    BareJid::new(Some(local), DOMAIN).expect("a JID")
}
