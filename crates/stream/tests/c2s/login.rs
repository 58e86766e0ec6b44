//! From the first byte to a bound resource (RFC 6120 §4–§7).

use crate::pair::{AUTH, BIND, HEADER, Pair, config, each_cut, message, secure, starttls};
use crate::scram::ScramClient;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use expect_test::expect;
use jackdaw_stream::sasl::Hash;

const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

#[test]
fn starttls_plain_and_bind_lead_to_stanzas_both_ways() {
    let log = each_cut(|cut| {
        let mut pair = Pair::new(cut, config(), starttls());
        for xml in [HEADER, STARTTLS, HEADER, AUTH, HEADER, BIND] {
            pair.client(xml);
        }
        pair.client("<message to='romeo@example.org'><body>Ay me!</body></message>");
        pair.deliver(message("She speaks."));
        pair.client("</stream:stream>");
        pair.log()
    });
    expect![[r#"
        <?xml version='1.0'?>
          <stream:stream from='example.org' id='TAQ_kztILz_vyku7' version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
          <stream:features>
          <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>
          <required/>
          </starttls>
          </stream:features>
        <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>
        * secured
        <?xml version='1.0'?>
          <stream:stream from='example.org' id='KZZ6P_wbFGnLwyvc' version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
          <stream:features>
          <mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>
          <mechanism>SCRAM-SHA-512-PLUS</mechanism>
          <mechanism>SCRAM-SHA-256-PLUS</mechanism>
          <mechanism>SCRAM-SHA-1-PLUS</mechanism>
          <mechanism>SCRAM-SHA-512</mechanism>
          <mechanism>SCRAM-SHA-256</mechanism>
          <mechanism>SCRAM-SHA-1</mechanism>
          <mechanism>PLAIN</mechanism>
          </mechanisms>
          <authentication xmlns='urn:xmpp:sasl:2'>
          <mechanism>SCRAM-SHA-512-PLUS</mechanism>
          <mechanism>SCRAM-SHA-256-PLUS</mechanism>
          <mechanism>SCRAM-SHA-1-PLUS</mechanism>
          <mechanism>SCRAM-SHA-512</mechanism>
          <mechanism>SCRAM-SHA-256</mechanism>
          <mechanism>SCRAM-SHA-1</mechanism>
          <mechanism>PLAIN</mechanism>
          <inline>
          <sm xmlns='urn:xmpp:sm:3'/>
          <bind xmlns='urn:xmpp:bind:0'>
          <inline>
          <feature var='urn:xmpp:carbons:2'/>
          <feature var='urn:xmpp:sm:3'/>
          <feature var='urn:xmpp:csi:0'/>
          </inline>
          </bind>
          <fast xmlns='urn:xmpp:fast:0'>
          <mechanism>HT-SHA-256-EXPR</mechanism>
          <mechanism>HT-SHA-256-ENDP</mechanism>
          <mechanism>HT-SHA-256-NONE</mechanism>
          </fast>
          </inline>
          </authentication>
          <sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>
          <channel-binding type='tls-exporter'/>
          <channel-binding type='tls-server-end-point'/>
          </sasl-channel-binding>
          <limits xmlns='urn:xmpp:stream-limits:0'>
          <max-bytes>10000</max-bytes>
          </limits>
          </stream:features>
        <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>
          </success>
        <?xml version='1.0'?>
          <stream:stream from='example.org' id='Hk11h3klBNNFYYdU' version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
          <stream:features>
          <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>
          <required/>
          </bind>
          <sm xmlns='urn:xmpp:sm:3'/>
          <csi xmlns='urn:xmpp:csi:0'/>
          <limits xmlns='urn:xmpp:stream-limits:0'>
          <max-bytes>262144</max-bytes>
          <idle-seconds>300</idle-seconds>
          </limits>
          </stream:features>
        * bind juliet@example.org/balcony, carbons: Off
        <iq type='result' id='b1'>
          <bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>
          <jid>juliet@example.org/balcony</jid>
          </bind>
          </iq>
        * stanza: <message to='romeo@example.org'><body>Ay me!</body></message>
        <message from='romeo@example.org/orchard' to='juliet@example.org/balcony' type='chat'>
          <body>She speaks.</body>
          </message>
        </stream:stream>
        * ended
        * close
    "#]].assert_eq(&log);
}

#[test]
fn scram_with_channel_binding_authenticates() {
    let log = each_cut(|cut| {
        let mut pair = Pair::new(cut, config(), secure());
        pair.client(HEADER);
        pair.log();
        let client =
            ScramClient::new(Hash::Sha256, "juliet", "r0m30").bound("tls-exporter", &[0xe0; 32]);
        pair.client(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256-PLUS'>{}\
             </auth>",
            STANDARD.encode(client.first())
        ));
        let challenge = pair.log();
        let challenge = challenge.split(['<', '>']).nth(2).expect("a challenge");
        let challenge = STANDARD.decode(challenge).expect("base64");
        let (last, signature) = client.last(&String::from_utf8(challenge).expect("text"));
        pair.client(&format!(
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>",
            STANDARD.encode(last)
        ));
        pair.log().replace(&STANDARD.encode(signature), "SIGNATURE")
    });
    expect![[r#"
        <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>SIGNATURE</success>
    "#]]
    .assert_eq(&log);
}
