//! Whatever a peer sends, an exchange ends or goes on, and nobody gets in.

use crate::client::ScramClient;
use crate::server::{Outcome, Server};
use jackdaw_stream::sasl::{
    Credentials, FastRequest, FastTokens, Hash, Mechanism, Password, SaslCondition, decode,
};
use proptest::prelude::*;

fn mechanism() -> impl Strategy<Value = Mechanism> {
    proptest::sample::select(Mechanism::ALL.to_vec())
}

/// One change somebody could make to a message.
#[derive(Clone, Debug)]
enum Mutation {
    Cut(usize),
    Flip(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Repeat(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<usize>().prop_map(Mutation::Cut),
        (any::<usize>(), 1u8..).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        any::<usize>().prop_map(Mutation::Remove),
        any::<usize>().prop_map(Mutation::Repeat),
    ]
}

fn apply(mut message: Vec<u8>, mutation: &Mutation) -> Vec<u8> {
    let length = message.len();
    // An earlier mutation may have left nothing to change.
    if length == 0 {
        return message;
    }
    match *mutation {
        Mutation::Cut(at) => message.truncate(at % length),
        Mutation::Flip(at, bits) => message[at % length] ^= bits,
        Mutation::Insert(at, byte) => message.insert(at % (length + 1), byte),
        Mutation::Remove(at) => drop(message.remove(at % length)),
        Mutation::Repeat(at) => message.extend_from_within(at % length..),
    }
    message
}

proptest! {
    #[test]
    fn random_bytes_never_get_in(
        mechanism in mechanism(),
        first in proptest::collection::vec(any::<u8>(), 0..300),
        second in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let server = Server { fast: Some(FastRequest::default()), ..Server::new() };
        match server.start(mechanism, &first) {
            Outcome::Challenge(_, next) => {
                prop_assert!(matches!(server.respond(next, &second), Outcome::Failure(_)));
            }
            Outcome::Success(success) => {
                prop_assert_eq!(success.mechanism, Mechanism::Anonymous);
            }
            Outcome::Failure(_) => {}
        }
    }

    // Unlike random bytes, this gets far into the parser.
    #[test]
    fn text_made_of_scrams_own_characters_never_gets_in(
        first in "[npya=,r2CD3mjuliet+/ü@.]{0,80}",
        second in "[cbiws=,rp+/A]{0,80}",
    ) {
        let server = Server::new();
        for mechanism in [Mechanism::ScramSha1, Mechanism::ScramSha1Plus] {
            if let Outcome::Challenge(_, next) = server.start(mechanism, first.as_bytes()) {
                let outcome = server.respond(next, second.as_bytes());
                prop_assert!(matches!(outcome, Outcome::Failure(_)));
            }
        }
    }

    // A changed first message is not the one the client signed; a changed last one has another
    // proof or signs something else.
    #[test]
    fn a_changed_scram_message_never_gets_in(change in mutation(), of_the_first in any::<bool>()) {
        let server = Server::new();
        let client = ScramClient::new(Hash::Sha1, "juliet", "r0m30")
            .bound("tls-exporter", &[0xe0; 32]);
        let first =
            if of_the_first { apply(client.first(), &change) } else { client.first() };
        prop_assume!(!of_the_first || first != client.first());
        let Outcome::Challenge(challenge, next) =
            server.start(Mechanism::ScramSha1Plus, &first)
        else {
            return Ok(());
        };
        let challenge = String::from_utf8(challenge).expect("SCRAM is text");
        // The client sees its own nonce back, or it would stop here.
        prop_assume!(challenge.starts_with(&format!("r={}", client.nonce)));
        let last = client.last(&challenge).0.into_bytes();
        let sent = if of_the_first { last.clone() } else { apply(last.clone(), &change) };
        prop_assume!(of_the_first || sent != last);
        prop_assert!(matches!(server.respond(next, &sent), Outcome::Failure(_)));
    }

    #[test]
    fn decoding_answers_anything(text in ".{0,200}") {
        if let Err(failure) = decode(&text) {
            prop_assert_eq!(failure.condition(), SaslCondition::IncorrectEncoding);
        }
    }

    #[test]
    fn what_reads_as_stored_credentials_writes_the_same(
        change in mutation(),
        more in mutation(),
    ) {
        let row = apply(apply(Server::new().credentials.encode(), &change), &more);
        if let Ok(held) = Credentials::decode(&row) {
            prop_assert_eq!(held.encode(), row);
        }
    }

    #[test]
    fn random_bytes_read_as_tokens_write_the_same(row in proptest::collection::vec(0u8..3, 0..40)) {
        if let Ok(tokens) = FastTokens::decode(&row) {
            prop_assert_eq!(tokens.encode(), row);
        }
    }

    #[test]
    fn preparing_a_password_never_panics_and_is_stable_for_ascii(
        text in any::<String>(),
        ascii in "[ -~]{1,64}",
    ) {
        // Whether it is one is not the question here.
        let _ = Password::prepare(&text);
        prop_assert_eq!(Password::prepare(&ascii), Password::prepare(&ascii));
        prop_assert!(Password::prepare(&ascii).is_ok());
    }
}
