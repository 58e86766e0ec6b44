use super::*;
use crate::test_harness::{Harness, parse, run, xml};

struct Server {
    harness: Harness,
    registrar: Registrar,
    start: Instant,
}

#[expect(clippy::disallowed_methods, reason = "a starting point; only differences count")]
fn server(rates: Rates) -> Server {
    let harness = Harness::new();
    let start = Instant::now();
    let hosts = harness.services.hosts.clone();
    let administration = harness.services.administration.get().expect("set").clone();
    Server { registrar: Registrar::new(hosts, administration, rates, start), harness, start }
}

impl Server {
    fn ask(&self, kind: &str, content: &str, peer: &str, at: Duration) -> String {
        let iq = format!(
            "<iq type='{kind}' id='reg' to='capulet.lit'>\
             <query xmlns='jabber:iq:register'>{content}</query></iq>"
        );
        self.send(&iq, peer, at)
    }

    fn send(&self, iq: &str, peer: &str, at: Duration) -> String {
        let peer = peer.parse().expect("an address");
        xml(&run(self.registrar.answer(parse(iq), peer, self.start + at)))
    }

    fn make(&self, name: &str, peer: &str, at: Duration) -> bool {
        let content = format!("<username>{name}</username><password>Calliope</password>");
        self.ask("set", &content, peer, at).contains("type='result'")
    }
}

const NOW: Duration = Duration::ZERO;
const PEER: &str = "192.0.2.1";

#[test]
fn a_stranger_is_told_what_is_needed_and_registers() {
    let server = server(Rates::default());
    let needed = server.ask("get", "", PEER, NOW);
    assert!(needed.contains("<username/><password/>"), "{needed}");
    assert!(needed.contains("from='capulet.lit'") && needed.contains("type='result'"), "{needed}");
    assert!(server.make("Bill", PEER, NOW));
    assert_eq!(server.harness.administered(), ["add bill@capulet.lit"]);
    assert!(server.harness.last_password_is("Calliope"));
}

#[test]
fn without_an_address_the_only_domain_is_meant() {
    let server = server(Rates::default());
    let content = "<username>bill</username><password>x</password>";
    let iq =
        format!("<iq type='set' id='1'><query xmlns='jabber:iq:register'>{content}</query></iq>");
    assert!(server.send(&iq, PEER, NOW).contains("type='result'"));
    let elsewhere = iq.replace("<iq ", "<iq to='verona.lit' ");
    assert!(server.send(&elsewhere, PEER, NOW).contains("item-not-found"));
}

#[test]
fn a_registration_fails_with_the_condition_of_the_document() {
    let server = server(Rates::default());
    server.harness.add_account("bill@capulet.lit");
    for (content, condition) in [
        ("<username>bill</username><password>x</password>", "conflict"),
        ("<username>bill</username>", "not-acceptable"),
        ("<username>bill</username><password/>", "not-acceptable"),
        ("<username>a@b</username><password>x</password>", "jid-malformed"),
        ("<remove/>", "unexpected-request"),
    ] {
        let answer = server.ask("set", content, PEER, NOW);
        assert!(answer.contains(&format!("<{condition} ")), "{content}: {answer}");
    }
}

#[test]
fn an_address_makes_no_more_accounts_than_its_rate_allows() {
    let server = server(Rates { per_address_per_hour: 2, per_hour: 100 });
    assert!(server.make("a", PEER, NOW));
    assert!(!server.make("a", PEER, NOW), "taken, and it counts");
    assert!(!server.make("b", PEER, NOW));
    assert!(server.make("b", "192.0.2.2", NOW), "somebody else");
    assert!(server.make("c", PEER, HOUR), "an hour later");
}

#[test]
fn addresses_of_one_network_count_together() {
    let server = server(Rates { per_address_per_hour: 1, per_hour: 100 });
    assert!(server.make("a", "2001:db8:0:1::1", NOW));
    assert!(!server.make("b", "2001:db8:0:1:ffff::2", NOW));
    assert!(server.make("c", "2001:db8:0:2::1", NOW));
    assert!(server.make("d", "192.0.2.1", NOW));
    assert!(!server.make("e", "::ffff:192.0.2.1", NOW), "the same, written in IPv6");
}

#[test]
fn all_addresses_together_are_bounded() {
    let server = server(Rates { per_address_per_hour: 5, per_hour: 3 });
    let made = (0..10).filter(|n| server.make(&format!("u{n}"), &format!("192.0.2.{n}"), NOW));
    assert_eq!(made.count(), 3);
}
