//! Exchanges that fail, and how.

use crate::client::{ScramClient, attribute};
use crate::server::{Outcome, Server};
use jackdaw_stream::sasl::{
    Answer, Channel, Credentials, Hash, Mechanism, SaslConfig, SaslFailure, Step, start,
};

fn condition(outcome: Outcome) -> &'static str {
    outcome.failure().condition().element()
}

/// Runs SCRAM to its end with a client that may have been tampered with.
fn scram(server: &Server, mechanism: Mechanism, client: &ScramClient) -> Outcome {
    let (server_first, next) = server.start(mechanism, &client.first()).challenge();
    server.respond(next, client.last(&server_first).0.as_bytes())
}

// bad-inputs A01.
#[test]
fn acting_for_somebody_else_is_invalid_authzid_with_every_mechanism() {
    let server = Server::new();
    for authzid in [
        "romeo@example.org",
        "juliet@example.net",
        "juliet@example.org/balcony",
        "juliet@example.org/",
        "juliet",
        "example.org",
    ] {
        let plain = format!("{authzid}\0juliet\0r0m30");
        let refused = server.start(Mechanism::Plain, plain.as_bytes());
        assert_eq!(condition(refused), "invalid-authzid", "PLAIN {authzid}");

        let scram = format!("n,a={authzid},n=juliet,r=abcdefgh");
        let refused = server.start(Mechanism::ScramSha256, scram.as_bytes());
        assert_eq!(condition(refused), "invalid-authzid", "SCRAM {authzid}");
    }
}

// bad-inputs A03: somebody in the middle took the -PLUS mechanisms out of the offer.
#[test]
fn a_client_that_did_not_see_the_offer_of_channel_binding_is_refused() {
    let refused = Server::new().start(Mechanism::ScramSha256, b"y,,n=juliet,r=abcdefgh");
    assert_eq!(condition(refused), "not-authorized");
}

// bad-inputs A03, the same with the client's `y` changed to `n` on the way.
#[test]
fn a_flag_changed_on_the_way_is_not_authorized() {
    let server = Server::new();
    let client = ScramClient::new(Hash::Sha256, "juliet", "r0m30");
    let first = client.first();
    let client = ScramClient { gs2_header: "y,,".to_owned(), ..client };
    let (server_first, next) = server.start(Mechanism::ScramSha256, &first).challenge();
    let outcome = server.respond(next, client.last(&server_first).0.as_bytes());
    assert_eq!(condition(outcome), "not-authorized");
}

// bad-inputs A03: the downgrade-protection hash is under the client's signature.
#[test]
fn a_downgrade_protection_hash_changed_on_the_way_is_not_authorized() {
    let server = Server::new();
    let client = ScramClient::new(Hash::Sha256, "juliet", "r0m30");
    let (server_first, next) = server.start(Mechanism::ScramSha256, &client.first()).challenge();
    let forged = server_first.replace(attribute(&server_first, "h"), "AAAA");
    assert_ne!(forged, server_first);
    let outcome = server.respond(next, client.last(&forged).0.as_bytes());
    assert_eq!(condition(outcome), "not-authorized");
}

#[test]
fn the_channel_binding_must_be_the_one_of_this_channel() {
    let server = Server::new();
    let plus = Mechanism::ScramSha256Plus;
    for (kind, data) in [
        ("tls-exporter", [0u8; 32].as_slice()),
        ("tls-exporter", &[]),
        ("tls-server-end-point", &[0xe0; 32]),
    ] {
        let client = ScramClient::new(Hash::Sha256, "juliet", "r0m30").bound(kind, data);
        assert_eq!(condition(scram(&server, plus, &client)), "not-authorized", "{kind}");
    }
}

#[test]
fn only_an_offered_channel_binding_is_taken() {
    let channel = Channel { exporter: None, ..Server::new().channel };
    let server = Server { channel, ..Server::new() };
    for kind in ["tls-exporter", "tls-unique", "tls-server-end-point2", "x"] {
        let message = format!("p={kind},,n=juliet,r=abcdefgh");
        let refused = server.start(Mechanism::ScramSha256Plus, message.as_bytes());
        assert_eq!(condition(refused), "not-authorized", "{kind}");
    }
}

#[test]
fn the_flag_must_fit_the_mechanism() {
    for (mechanism, flag) in [
        (Mechanism::ScramSha256Plus, "n"),
        (Mechanism::ScramSha256Plus, "y"),
        (Mechanism::ScramSha256, "p=tls-exporter"),
    ] {
        let message = format!("{flag},,n=juliet,r=abcdefgh");
        let refused = Server::new().start(mechanism, message.as_bytes());
        assert_eq!(condition(refused), "malformed-request", "{flag}");
    }
}

// bad-inputs A07: an account that is not there, one without keys, one with another password.
#[test]
fn an_unknown_account_and_a_wrong_password_look_the_same_in_scram() {
    let without_keys = Server {
        credentials: Credentials::without_password(Server::new().credentials.generation()),
        ..Server::new()
    };
    let cases = [(Server::new(), "romeo"), (Server::new(), "juliet"), (without_keys, "juliet")];
    for hash in Hash::ALL {
        let mechanism = match hash {
            Hash::Sha1 => Mechanism::ScramSha1,
            Hash::Sha256 => Mechanism::ScramSha256,
            Hash::Sha512 => Mechanism::ScramSha512,
        };
        for (server, username) in &cases {
            let client = ScramClient::new(hash, username, "not r0m30");
            let (first, next) = server.start(mechanism, &client.first()).challenge();
            let (again, _) = server.start(mechanism, &client.first()).challenge();
            assert_eq!(first, again, "the salt is stable");
            assert_eq!(attribute(&first, "s").len(), "AwMDAwMDAwMDAwMDAwMDAw==".len());
            assert_eq!(attribute(&first, "i"), "4096");
            let failure = server.respond(next, client.last(&first).0.as_bytes()).failure();
            assert_eq!(failure, SaslFailure::not_authorized());
        }
    }
}

// The same of PLAIN: the same question is asked, the same answer given.
#[test]
fn an_unknown_account_and_a_wrong_password_look_the_same_in_plain() {
    for message in ["\0romeo\0r0m30", "\0juliet\0not r0m30"] {
        let server = Server::new();
        let step = start(Mechanism::Plain, Some(message.as_bytes()), server.context());
        assert!(matches!(step, Step::Need(..)), "{message:?}");
        assert_eq!(server.settle(step).failure(), SaslFailure::not_authorized());
    }
}

#[test]
fn a_proof_is_good_for_its_own_exchange_only() {
    let server = Server::new();
    let client = ScramClient::new(Hash::Sha256, "juliet", "r0m30");
    let (first, _) = server.start(Mechanism::ScramSha256, &client.first()).challenge();
    let (replayed, _) = client.last(&first);
    let other = ScramClient { nonce: "another".to_owned(), ..client };
    let (_, next) = server.start(Mechanism::ScramSha256, &other.first()).challenge();
    assert_eq!(condition(server.respond(next, replayed.as_bytes())), "not-authorized");
}

#[test]
fn a_proof_of_another_length_is_malformed() {
    let server = Server::new();
    for proof in ["AAEC", &"A".repeat(48)] {
        let client = ScramClient::new(Hash::Sha256, "juliet", "r0m30");
        let (first, next) = server.start(Mechanism::ScramSha256, &client.first()).challenge();
        let message = format!("c=biws,r={},p={proof}", attribute(&first, "r"));
        assert_eq!(condition(server.respond(next, message.as_bytes())), "malformed-request");
    }
}

// bad-inputs A10.
#[test]
fn what_is_not_offered_is_an_invalid_mechanism() {
    let server = Server { config: SaslConfig::default(), ..Server::new() };
    for mechanism in
        [Mechanism::Anonymous, Mechanism::External, Mechanism::Plain, Mechanism::HtSha256Uniq]
    {
        assert_eq!(condition(server.start(mechanism, b"")), "invalid-mechanism");
        let step = start(mechanism, None, server.context());
        assert_eq!(condition(server.settle(step)), "invalid-mechanism");
    }
}

#[test]
fn plain_has_exactly_three_parts_and_two_of_them_are_not_empty() {
    for message in [
        "",
        "\0",
        "\0\0",
        "juliet\0r0m30",
        "\0juliet\0",
        "\0\0r0m30",
        "\0juliet\0r0m30\0",
        "juliet@example.org\0juliet\0r0m30\0x",
    ] {
        let refused = Server::new().start(Mechanism::Plain, message.as_bytes());
        assert_eq!(condition(refused), "malformed-request", "{message:?}");
    }
    assert_eq!(
        condition(Server::new().start(Mechanism::Plain, b"\0juliet\0\xff")),
        "malformed-request"
    );
}

#[test]
fn a_trace_of_anonymous_is_short_text() {
    let server = Server::new();
    let refused = server.start(Mechanism::Anonymous, "a".repeat(256).as_bytes());
    assert_eq!(condition(refused), "malformed-request");
    assert_eq!(condition(server.start(Mechanism::Anonymous, b"\xff")), "malformed-request");
}

#[test]
fn an_over_long_message_is_malformed_at_every_step() {
    let server = Server::new();
    let long = vec![b'a'; jackdaw_stream::sasl::MESSAGE_BYTES_MAX + 1];
    for mechanism in server.offer().mechanisms {
        assert_ne!(mechanism, Mechanism::External);
        assert_eq!(condition(server.start(mechanism, &long)), "malformed-request");
    }
    let client = ScramClient::new(Hash::Sha1, "juliet", "r0m30");
    let (_, next) = server.start(Mechanism::ScramSha1, &client.first()).challenge();
    assert_eq!(condition(server.respond(next, &long)), "malformed-request");
}

#[test]
fn a_store_that_does_not_answer_is_a_temporary_failure() {
    for (mechanism, message) in
        [(Mechanism::Plain, "\0juliet\0r0m30"), (Mechanism::ScramSha256, "n,,n=juliet,r=abcdefgh")]
    {
        let server = Server::new();
        let step = start(mechanism, Some(message.as_bytes()), server.context());
        let Step::Need(_, next) = step else { panic!("nothing asked") };
        assert_eq!(
            condition(server.settle(next.answer(Answer::Unavailable))),
            "temporary-auth-failure"
        );
    }
}

#[test]
fn an_answer_to_another_question_is_a_temporary_failure() {
    let server = Server::new();
    let step = start(Mechanism::Plain, Some(b"\0juliet\0r0m30"), server.context());
    let Step::Need(_, next) = step else { panic!("nothing asked") };
    let answer = Answer::Credentials(Some(server.credentials.clone()));
    assert_eq!(condition(server.settle(next.answer(answer))), "temporary-auth-failure");
}

#[test]
fn nothing_secret_is_in_the_debug_output_of_an_exchange() {
    let server = Server::new();
    let step = start(Mechanism::Plain, Some(b"\0juliet\0r0m30"), server.context());
    assert!(!format!("{step:?}").contains("r0m30"));
}
