//! SASL: whatever the messages are, an exchange ends or goes on, and nobody gets in without what it
//! takes (bad-inputs A01, A03, A10).

use std::sync::{Arc, LazyLock};

use jackdaw_jid::BareJid;
use jackdaw_stream::sasl::{
    Channel, Context, Decoy, FastRequest, MESSAGE_BYTES_MAX, Mechanism, NONCE_BYTES, Nonce,
    SaslConfig, Step, Success, decode, encode, start,
};

use crate::account::{self, DOMAIN, JULIET};
use crate::script::{Piece, pieces};

/// More than any exchange has.
const STEPS_MAX: usize = 16;

/// The longest nonce a message of a client can hold, and what we add.
const CHALLENGE_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 512;

static DECOY: LazyLock<Arc<Decoy>> = LazyLock::new(account::decoy);

/// A letter for the mechanism, a digit for the connection, then the client's messages, each as it
/// is after base64, with `^|` between them.
pub(crate) fn run(data: &[u8]) {
    check_base64(data);
    let [mechanism, connection, messages @ ..] = data else { return };
    let mechanism = usize::from(*mechanism) % Mechanism::ALL.len();
    let mechanism = Mechanism::ALL[mechanism];
    let mut messages = pieces(messages, |sign| sign == b'|').filter_map(|piece| match piece {
        Piece::Bytes(bytes) => Some(bytes),
        Piece::Sign(_) => None,
    });
    let context = context(*connection);
    let is_confidential = context.channel.confidential;
    let mut step = start(mechanism, messages.next(), context);
    for _ in 0..STEPS_MAX {
        step = match step {
            Step::Challenge(data, next) => {
                assert!(data.len() <= CHALLENGE_BYTES_MAX, "a challenge out of proportion");
                match messages.next() {
                    Some(message) => next.respond(message),
                    None => return,
                }
            }
            Step::Need(need, next) => next.answer(account::find_out(&need)),
            Step::Success(success) => return check_success(mechanism, is_confidential, &success),
            Step::Failure(_) => return,
        };
    }
    panic!("an exchange that does not end");
}

/// Bits of a digit: TLS with what there is to bind to, a certificate of the account, `<fast/>`.
fn context(connection: u8) -> Context {
    let has = |bit: u8| connection & 1 << bit != 0;
    let channel = Channel {
        confidential: has(0),
        exporter: has(0).then_some([0xe0; 32]),
        server_end_point: has(1).then(|| [0xed; 48].into()),
        identities: match has(2) {
            true => vec![BareJid::parse(JULIET).expect("a JID")],
            false => Vec::new(),
        },
    };
    let config =
        SaslConfig { anonymous: true, external: true, plain: true, ..SaslConfig::default() };
    let offer = config.offer(&channel, DOMAIN);
    Context {
        domain: DOMAIN.into(),
        channel: Arc::new(channel),
        offer: Arc::new(offer),
        decoy: Arc::clone(&DECOY),
        nonce: Nonce([5; NONCE_BYTES]),
        fast: has(3).then(FastRequest::default),
    }
}

/// In are guests and the account, by what was chosen.
fn check_success(mechanism: Mechanism, is_confidential: bool, success: &Success) {
    assert_eq!(success.mechanism, mechanism);
    assert_eq!(success.account.domain(), DOMAIN);
    if mechanism == Mechanism::Anonymous {
        assert_eq!(success.generation, None);
        assert_ne!(success.account.as_str(), JULIET);
    } else {
        assert_eq!(success.account.as_str(), JULIET);
        assert!(success.generation.is_some());
    }
    assert!(mechanism != Mechanism::Plain || is_confidential, "a password in the clear");
    assert!(!mechanism.is_fast(), "there is no token");
}

/// There is one spelling of each message.
fn check_base64(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(message) = decode(text) {
        assert_eq!(encode(&message).as_str(), if text.is_empty() { "=" } else { text });
    }
    let short = data.get(..1024).unwrap_or(data);
    assert_eq!(decode(&encode(short)).as_deref().map(Vec::as_slice), Ok(short));
}
