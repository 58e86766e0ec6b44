//! FAST tokens. The proofs were computed with Python's hmac module.

use crate::server::{GENERATION, NOW, Outcome, Server};
use jackdaw_stream::sasl::{
    FastRequest, FastToken, FastTokens, Generation, Mechanism, Secret, TOKEN_RANDOM_BYTES,
    TokenSlot, TokenUse, UnixSeconds,
};

const TOKEN: &str = "secret-token:fast-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// `HMAC(TOKEN, "Initiator" cb)` and `HMAC(TOKEN, "Responder" cb)` per binding.
struct Proofs {
    mechanism: Mechanism,
    initiator: &'static str,
    responder: &'static str,
}

const NONE: Proofs = Proofs {
    mechanism: Mechanism::HtSha256None,
    initiator: "1a6baca7cfe8c2102ea3dd02a5c2550dcae80e4ab443cfc672b2f38fc6d3c1f4",
    responder: "1448a3b7ac4c40f776420cf53b64db79675677b7942e3d3be38bafc788757486",
};

const EXPR: Proofs = Proofs {
    mechanism: Mechanism::HtSha256Expr,
    initiator: "3a83af6c22fdfb4dfea81e2cae24f1893a547c29966b832ebe1512508181938f",
    responder: "ff406544cdc636229f05ee030a03a0007ba9a4c36ddfab9de81618774ab75cb0",
};

const ENDP: Proofs = Proofs {
    mechanism: Mechanism::HtSha256Endp,
    initiator: "4e71ff2014268bba88cb56953f6845cd6c87976f2f3847fed5c3728ba50c39cf",
    responder: "c6ee666bfa40fbeed22c52e888be08de70629e01e72408cbac33771c8d64b511",
};

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn token(mechanism: Mechanism) -> FastToken {
    FastToken {
        secret: Secret::new(TOKEN.to_owned()),
        mechanism,
        generation: GENERATION,
        expires_at: UnixSeconds(NOW.0 + 1),
        count: 0,
    }
}

fn other(mechanism: Mechanism) -> FastToken {
    FastToken::new([1; TOKEN_RANDOM_BYTES], mechanism, GENERATION, UnixSeconds(NOW.0 + 1))
}

fn server(tokens: FastTokens) -> Server {
    Server { fast: Some(FastRequest::default()), tokens, ..Server::new() }
}

fn message(username: &str, proofs: &Proofs) -> Vec<u8> {
    [username.as_bytes(), &[0], &bytes(proofs.initiator)].concat()
}

fn login(server: &Server, proofs: &Proofs) -> Outcome {
    server.start(proofs.mechanism, &message("juliet", proofs))
}

fn condition(outcome: Outcome) -> &'static str {
    outcome.failure().condition().element()
}

#[test]
fn a_token_logs_in_with_every_channel_binding_and_the_server_proves_that_it_has_it_too() {
    for proofs in [NONE, EXPR, ENDP] {
        let server = server(FastTokens { new: None, current: Some(token(proofs.mechanism)) });
        let success = login(&server, &proofs).success();
        assert_eq!(success.additional_data, Some(bytes(proofs.responder)));
        let expires_at = token(proofs.mechanism).expires_at;
        let used = TokenUse { slot: TokenSlot::Current, count: 0, expires_at, is_news: false };
        assert_eq!(success.token, Some(used));
        assert_eq!(success.generation, Some(GENERATION));
        assert_eq!(success.mechanism, proofs.mechanism);
    }
}

#[test]
fn the_slot_that_matched_is_reported() {
    let mechanism = NONE.mechanism;
    let both = |new, current| FastTokens { new: Some(new), current: Some(current) };
    for (tokens, slot) in [
        (both(token(mechanism), other(mechanism)), TokenSlot::New),
        (both(other(mechanism), token(mechanism)), TokenSlot::Current),
    ] {
        let used = login(&server(tokens), &NONE).success().token.expect("a token");
        assert_eq!(used.slot, slot);
        assert_eq!(used.is_news, slot == TokenSlot::New, "it takes the place of the other one");
    }
}

#[test]
fn a_token_is_good_for_its_own_mechanism_only() {
    let tokens = FastTokens { new: Some(token(EXPR.mechanism)), current: None };
    assert_eq!(condition(login(&server(tokens), &NONE)), "not-authorized");
}

#[test]
fn a_token_bound_to_another_channel_is_refused() {
    let mut server = server(FastTokens { new: Some(token(EXPR.mechanism)), current: None });
    server.channel.exporter = Some([1; 32]);
    assert_eq!(condition(login(&server, &EXPR)), "not-authorized");
}

#[test]
fn an_unknown_account_and_a_wrong_token_look_the_same() {
    let tokens = FastTokens { new: Some(other(NONE.mechanism)), current: None };
    let wrong = login(&server(tokens.clone()), &NONE).failure();
    let unknown = server(tokens).start(NONE.mechanism, &message("romeo", &NONE)).failure();
    let none = login(&server(FastTokens::default()), &NONE).failure();
    assert_eq!(wrong, unknown);
    assert_eq!(wrong, none);
    assert_eq!(wrong.condition().element(), "not-authorized");
}

// bad-inputs A11.
#[test]
fn a_token_of_an_earlier_account_of_the_same_name_is_refused() {
    let earlier = FastToken { generation: Generation(41), ..token(NONE.mechanism) };
    let tokens = FastTokens { new: None, current: Some(earlier) };
    assert_eq!(condition(login(&server(tokens), &NONE)), "not-authorized");
}

#[test]
fn an_expired_token_is_named_as_such_only_to_who_has_it() {
    let expired = FastToken { expires_at: NOW, ..token(NONE.mechanism) };
    let tokens = FastTokens { new: None, current: Some(expired) };
    assert_eq!(condition(login(&server(tokens.clone()), &NONE)), "credentials-expired");
    let forged = Proofs { initiator: NONE.responder, ..NONE };
    assert_eq!(condition(login(&server(tokens), &forged)), "not-authorized");
}

#[test]
fn a_count_has_to_rise() {
    let used = FastToken { count: 5, ..token(NONE.mechanism) };
    let with = |count| Server {
        fast: Some(FastRequest { count }),
        ..server(FastTokens { new: None, current: Some(used.clone()) })
    };
    for count in [0, 4, 5] {
        assert_eq!(condition(login(&with(Some(count)), &NONE)), "not-authorized", "{count}");
    }
    for (sent, kept) in [(None, 5), (Some(6), 6), (Some(u32::MAX), u32::MAX)] {
        let success = login(&with(sent), &NONE).success();
        let used = success.token.expect("a token");
        assert_eq!((used.count, used.is_news), (kept, sent.is_some()));
    }
}

#[test]
fn without_a_fast_element_there_are_no_tokens() {
    let tokens = FastTokens { new: Some(token(NONE.mechanism)), current: None };
    let server = Server { tokens, ..Server::new() };
    assert_eq!(condition(login(&server, &NONE)), "invalid-mechanism");
}

#[test]
fn a_message_in_another_form_is_malformed() {
    let server = server(FastTokens::default());
    let proof = bytes(NONE.initiator);
    for message in [
        b"".to_vec(),
        b"juliet".to_vec(),
        b"juliet\0".to_vec(),
        [b"\0", proof.as_slice()].concat(),
        [b"juliet\0", proof.as_slice(), b"\0"].concat(),
        [b"juliet\0", &proof[1..]].concat(),
        [b"\xff\0", proof.as_slice()].concat(),
    ] {
        let refused = server.start(NONE.mechanism, &message);
        assert_eq!(condition(refused), "malformed-request", "{}", message.escape_ascii());
    }
}
