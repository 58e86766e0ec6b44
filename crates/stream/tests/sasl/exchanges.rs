//! Exchanges that succeed: every mechanism, every channel binding.

use crate::client::{ScramClient, attribute};
use crate::server::{DOMAIN, GENERATION, Server, jid};
use jackdaw_stream::sasl::{Channel, ChannelBinding, Hash, Mechanism, start};

const SCRAM: [(Mechanism, Mechanism, Hash); 3] = [
    (Mechanism::ScramSha1, Mechanism::ScramSha1Plus, Hash::Sha1),
    (Mechanism::ScramSha256, Mechanism::ScramSha256Plus, Hash::Sha256),
    (Mechanism::ScramSha512, Mechanism::ScramSha512Plus, Hash::Sha512),
];

/// Logs in and checks the server's signature.
fn login(server: &Server, mechanism: Mechanism, client: &ScramClient) {
    let (server_first, next) = server.start(mechanism, &client.first()).challenge();
    let (client_final, signature) = client.last(&server_first);
    let success = server.respond(next, client_final.as_bytes()).success();
    assert_eq!(success.additional_data.as_deref(), Some(signature.as_bytes()));
    assert_eq!(success.mechanism, mechanism);
    assert_eq!(success.account, jid("juliet"));
    assert_eq!(success.generation, Some(GENERATION));
    assert_eq!(success.token, None);
}

#[test]
fn scram_logs_in_with_every_hash() {
    for (mechanism, _, hash) in SCRAM {
        login(&Server::new(), mechanism, &ScramClient::new(hash, "juliet", "r0m30"));
    }
}

#[test]
fn scram_plus_logs_in_with_every_hash_and_channel_binding() {
    let server = Server::new();
    for (_, mechanism, hash) in SCRAM {
        for kind in [ChannelBinding::Exporter, ChannelBinding::ServerEndPoint] {
            let data = server.channel.binding(kind).expect("available");
            let client = ScramClient::new(hash, "juliet", "r0m30").bound(kind.name(), data);
            login(&server, mechanism, &client);
        }
    }
}

#[test]
fn a_client_that_can_bind_may_say_so_where_binding_is_not_offered() {
    let server = Server { channel: Channel::default(), ..Server::new() };
    let client = ScramClient::new(Hash::Sha256, "juliet", "r0m30");
    let client = ScramClient { gs2_header: "y,,".to_owned(), ..client };
    login(&server, Mechanism::ScramSha256, &client);
}

#[test]
fn scram_takes_ones_own_bare_jid_as_authzid_and_prepares_names() {
    let client = ScramClient::new(Hash::Sha256, "JULIET", "r0m30");
    let client = ScramClient { gs2_header: "n,a=Juliet@EXAMPLE.ORG,".to_owned(), ..client };
    login(&Server::new(), Mechanism::ScramSha256, &client);
}

#[test]
fn without_an_initial_response_an_empty_challenge_asks_for_it() {
    let server = Server::new();
    let step = start(Mechanism::Plain, None, server.context());
    let (challenge, next) = server.settle(step).challenge();
    assert_eq!(challenge, "");
    let success = server.respond(next, b"\0juliet\0r0m30").success();
    assert_eq!(success.account, jid("juliet"));
}

#[test]
fn the_first_message_of_the_server_has_a_long_nonce_and_the_downgrade_protection() {
    let server = Server::new();
    let client = ScramClient::new(Hash::Sha256, "juliet", "r0m30");
    let (message, _) = server.start(Mechanism::ScramSha256, &client.first()).challenge();
    let nonce = attribute(&message, "r").strip_prefix(&client.nonce).expect("the client's first");
    assert!(nonce.len() * 6 >= 128, "{} bits", nonce.len() * 6);

    let mut names: Vec<_> = server.offer().mechanisms.iter().map(|m| m.name()).collect();
    names.sort_unstable();
    let advertised =
        format!("{}\u{1f}tls-exporter\u{1e}tls-server-end-point", names.join("\u{1e}"));
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, advertised.as_bytes());
    assert_eq!(attribute(&message, "h"), jackdaw_stream::sasl::encode(hash.as_ref()));
}

#[test]
fn plain_logs_in_with_and_without_authzid() {
    for message in ["\0juliet\0r0m30", "juliet@example.org\0juliet\0r0m30", "\0JuLiEt\0r0m30"] {
        let success = Server::new().start(Mechanism::Plain, message.as_bytes()).success();
        assert_eq!(success.account, jid("juliet"));
        assert_eq!(success.generation, Some(GENERATION));
        assert_eq!(success.additional_data, None);
    }
}

#[test]
fn anonymous_gets_a_name_of_its_own_and_no_account() {
    let success = Server::new().start(Mechanism::Anonymous, b"sirhc").success();
    assert_eq!(success.account.domain(), DOMAIN);
    assert_eq!(success.generation, None);
    assert_eq!(success.account, jid(&format!("anonymous-{}", "05".repeat(18))));
}

/// A server whose client has a certificate for these accounts, one of them elsewhere.
fn certified(locals: &[&str]) -> Server {
    let mut server = Server::new();
    server.channel.identities = locals.iter().map(|local| jid(local)).collect();
    let elsewhere = jackdaw_jid::BareJid::parse("juliet@example.net").expect("a JID");
    server.channel.identities.push(elsewhere);
    server
}

#[test]
fn external_takes_the_only_account_of_the_certificate_without_asking() {
    let success = certified(&["juliet"]).start(Mechanism::External, b"").success();
    assert_eq!(success.account, jid("juliet"));
    assert_eq!(success.generation, Some(GENERATION));
}

#[test]
fn external_takes_the_named_account_of_several() {
    let server = certified(&["romeo", "juliet"]);
    let success = server.start(Mechanism::External, b"Juliet@example.org").success();
    assert_eq!(success.account, jid("juliet"));
}

#[test]
fn external_needs_an_authzid_among_several_accounts() {
    let failure = certified(&["romeo", "juliet"]).start(Mechanism::External, b"").failure();
    assert_eq!(failure.condition().element(), "invalid-authzid");
}

#[test]
fn external_refuses_what_the_certificate_does_not_assert() {
    for authzid in [
        "romeo@example.org",
        "juliet@example.net",
        "juliet@example.org/balcony",
        "juliet",
        "\u{7f}",
    ] {
        let failure =
            certified(&["juliet"]).start(Mechanism::External, authzid.as_bytes()).failure();
        assert_eq!(failure.condition().element(), "invalid-authzid", "{authzid}");
    }
}

#[test]
fn external_refuses_a_certificate_whose_account_does_not_exist() {
    let failure = certified(&["romeo"]).start(Mechanism::External, b"").failure();
    assert_eq!(failure.condition().element(), "not-authorized");
}
