//! What a client stream says to its driver, asks of it, and is told.

use super::detached::Detached;
use super::ids::SmId;
use crate::StreamCondition;
use crate::sasl::{self, Generation, Mechanism, SaslCondition, SaslFailure, Secret, TokenUse};
use jackdaw_jid::{BareJid, FullJid};
use jackdaw_stanza::{Settle, Stanza, StanzaError};
use std::sync::Arc;

/// What happened on a stream. To be handled in order.
#[derive(Debug)]
pub enum Event {
    /// Find this out, then call [`answer`](super::C2s::answer). Until then no byte is consumed.
    Request(Request),
    /// Send what is in the buffer, discard what is still to be read, do the TLS handshake, then
    /// call [`handle_secured`](super::C2s::handle_secured).
    StartTls,
    /// A stanza of a client that has bound a resource. Its `from` is as the client wrote it.
    Stanza {
        /// The stanza.
        stanza: Stanza,
        /// Under stream management, its number, for [`accepted`](super::C2s::accepted).
        number: Option<u32>,
    },
    /// A delivery that somebody waits for was acknowledged by the client.
    Settled(Settle),
    /// There is room for deliveries that can wait, after [`send`](super::C2s::send) refused one, or
    /// [`fence`](super::C2s::fence) said that there is none.
    Room,
    /// A delivery that is held has its number in the session: make it durable, then call
    /// [`release`](super::C2s::release).
    Numbered {
        /// Which delivery.
        settle: Settle,
        /// Its number.
        number: u32,
    },
    /// So many stanzas of the client are accepted: have the record of the session say so, then call
    /// [`recorded`](super::C2s::recorded). Until then the client is not told.
    Record(u32),
    /// The client of a session on record leaves: make durable what it acknowledged, then call
    /// [`left`](super::C2s::left).
    Leaving,
    /// A session goes on here, and its client was told `h`: it sends again what follows.
    Resumed {
        /// What it was told.
        h: u32,
        /// Whether it was restored from its record. Then nobody has heard of its presence yet.
        is_restored: bool,
    },
    /// The client said whether anybody looks at it (XEP-0352).
    ClientState(ClientState),
    /// The session is under stream management from now on.
    SmEnabled {
        /// What the client resumes it by.
        id: SmId,
        /// Whether it can be resumed.
        resumable: bool,
    },
    /// Something ended well or badly. To be counted; nothing is to be done.
    Outcome(Outcome),
    /// The session is over for good: unbind its resource, and see to what
    /// [`take_unacknowledged`](super::C2s::take_unacknowledged) gives. At most once.
    Ended,
    /// Send what is in the buffer, then close the socket.
    Close,
}

/// What is worth counting of a stream. Nothing in it comes from the client as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An attempt to authenticate is over.
    Authentication {
        /// With this mechanism; none if the client named none that is known.
        mechanism: Option<Mechanism>,
        /// Why it failed, if it did.
        failure: Option<SaslCondition>,
    },
    /// The stream was ended with this error.
    StreamError(StreamCondition),
}

/// Whether somebody looks at the client (XEP-0352 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// Everything is sent at once.
    Active,
    /// What can wait is held back.
    Inactive,
}

/// A fact that is the driver's to find out.
#[derive(Debug)]
pub enum Request {
    /// Something about an account that authenticates. Answer: [`Answer::Sasl`].
    Sasl {
        /// What.
        need: sasl::Need,
        /// The client's `<user-agent/>`, whose id says which client's tokens are meant.
        client: Option<Arc<UserAgent>>,
    },
    /// Write down the use of a token, and issue or revoke one. Answer: [`Answer::Fast`].
    Fast(FastWork),
    /// Bind a resource. Answer: [`Answer::Bound`] or [`Answer::BindRefused`].
    Bind(Bind),
    /// Find the session and take its state with [`detach`](super::C2s::detach). Answer:
    /// [`Answer::Resumed`] or [`Answer::ResumeFailed`].
    Resume(Resume),
    /// Make a record of a session that can be resumed. Answer: [`Answer::Enabled`], when it is
    /// durable.
    Enable(Enable),
    /// An iq of in-band registration, by somebody who has not authenticated (XEP-0077 §3). Answer:
    /// [`Answer::Register`].
    Register(Stanza),
}

/// The answer to a [`Request`].
#[derive(Debug)]
pub enum Answer {
    /// To [`Request::Sasl`].
    Sasl(sasl::Answer),
    /// To [`Request::Fast`]: the new token, if there is one. A failure fails the attempt: a use
    /// that is not written down could be replayed.
    Fast(Result<Option<IssuedToken>, SaslFailure>),
    /// The resource is bound.
    Bound {
        /// As this; the resource need not be the one that was asked for.
        jid: FullJid,
        /// The number of the session, by which a resumption finds it.
        session: u64,
    },
    /// It is not; the client may try another one.
    BindRefused(StanzaError),
    /// The state of the session that goes on here.
    Resumed(Box<Detached>),
    /// It cannot go on.
    ResumeFailed(ResumeFailed),
    /// To [`Request::Enable`].
    Enabled(Kept),
    /// To [`Request::Register`]: the reply.
    Register(Stanza),
}

/// A client, as it describes itself (XEP-0388 §2.3). Not to be shown to anybody but its user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserAgent {
    /// Stable for one installation.
    pub id: Option<Box<str>>,
    /// The name of the software.
    pub software: Option<Box<str>>,
    /// The name of the device.
    pub device: Option<Box<str>>,
}

/// What has to be done about the tokens of a client that has just authenticated (XEP-0484).
#[derive(Clone, Debug)]
pub struct FastWork {
    /// Whose.
    pub account: BareJid,
    /// Which account of that name.
    pub generation: Option<Generation>,
    /// Which client's.
    pub client: Arc<UserAgent>,
    /// The token it authenticated with, if it did: to be written down before the answer. If that
    /// token is about to expire, and is not revoked, a new one is due (§3.5).
    pub used: Option<(Mechanism, TokenUse)>,
    /// Whether that token is to be revoked at once (§3.6).
    pub revoke: Revoke,
    /// For which mechanism the client asks for a new one (§3.2).
    pub issue: Option<Mechanism>,
}

/// Whether a token is still of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoke {
    /// It is.
    No,
    /// Never again.
    Yes,
}

/// A new token, for the client.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: Secret,
    /// When it expires, as XEP-0082 writes it.
    pub expiry: String,
}

/// A resource that is wanted.
#[derive(Clone, Debug)]
pub struct Bind {
    /// Where: the account, and the resource the client chose or, if it did not, a generated one.
    pub jid: FullJid,
    /// Which account of that name; none for a guest who authenticated with ANONYMOUS.
    pub generation: Option<Generation>,
    /// The client, if it used SASL2.
    pub client: Option<Arc<UserAgent>>,
    /// Whether message carbons are on from the start (XEP-0386 §3.2.1).
    pub carbons: Carbons,
}

/// Whether a session gets carbons (XEP-0280).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carbons {
    /// Only if it asks later.
    #[default]
    Off,
    /// From the start.
    On,
}

/// A session that is about to become resumable (XEP-0198 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enable {
    /// What the client resumes it by.
    pub id: SmId,
    /// How long it waits to be resumed.
    pub resume_secs: u32,
}

/// How long a session that can be resumed is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Its record outlives the process; `h` says what the record says.
    Durably,
    /// As long as the process.
    InMemory,
    /// Not at all: its record could not be written.
    Not,
}

/// A session that a client wants to go on with.
#[derive(Clone, Debug)]
pub struct Resume {
    /// Whose: the account that authenticated.
    pub account: BareJid,
    /// Which.
    pub id: SmId,
    /// How many stanzas it has handled there.
    pub h: u32,
}

/// Why a session is not resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeFailed {
    /// There is no such session of that account. The same to somebody who guesses and to somebody
    /// who names another account's session.
    NotFound {
        /// How many stanzas it had accepted, if it existed and that is still known (XEP-0198 §5).
        h: Option<u32>,
    },
    /// The client acknowledges what it was never sent.
    HandledCountTooHigh {
        /// What it says.
        h: u32,
        /// What it was sent.
        send_count: u32,
    },
}
