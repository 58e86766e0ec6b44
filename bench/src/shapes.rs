//! Stanzas of the shapes that make up a server's traffic.

/// Variants of each shape. Enough that a branch predictor cannot learn them by heart, few enough
/// that they stay in the second-level cache.
const VARIANTS: u64 = 64;

/// A kind of traffic and what it looks like.
pub struct Shape {
    /// How it is called in reports.
    pub name: &'static str,
    /// Stanzas that differ in addresses, ids and lengths.
    pub stanzas: Vec<String>,
}

impl Shape {
    fn new(name: &'static str, make: fn(&mut Letters) -> String) -> Shape {
        let stanzas = (0..VARIANTS).map(|variant| make(&mut Letters::new(variant))).collect();
        Shape { name, stanzas }
    }

    /// Bytes of all stanzas.
    pub fn bytes(&self) -> u64 {
        self.stanzas.iter().map(|stanza| stanza.len() as u64).sum()
    }
}

/// The shapes that readers are compared on.
pub fn all() -> Vec<Shape> {
    vec![
        Shape::new("message", message),
        Shape::new("presence", presence),
        Shape::new("iq", iq),
        Shape::new("omemo", omemo),
    ]
}

/// Stanzas of 1 KB, for framing.
pub fn one_kilobyte() -> Shape {
    Shape::new("1KB", |letters| {
        let mut stanza = message(letters);
        let body = letters.words(1024_usize.saturating_sub(stanza.len()));
        let at = stanza.find("</body>").expect("a message has a body");
        stanza.insert_str(at, &body);
        stanza
    })
}

/// A chat message as Conversations or Gajim send it, ≈ 500 bytes.
fn message(letters: &mut Letters) -> String {
    let (to, id, origin) = (letters.jid(), letters.id(), letters.id());
    let length = 20 + letters.below(160);
    let body = letters.words(length);
    format!(
        "<message to='{to}' id='{id}' type='chat' xml:lang='en'><body>{body}</body>\
         <origin-id xmlns='urn:xmpp:sid:0' id='{origin}'/>\
         <active xmlns='http://jabber.org/protocol/chatstates'/>\
         <request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/></message>"
    )
}

/// Availability with entity capabilities, ≈ 330 bytes.
fn presence(letters: &mut Letters) -> String {
    let (id, hash, photo) = (letters.id(), letters.base64(28), letters.hex(40));
    format!(
        "<presence id='{id}'><show>away</show><priority>5</priority>\
         <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
         node='https://gajim.org' ver='{hash}'/>\
         <x xmlns='vcard-temp:x:update'><photo>{photo}</photo></x></presence>"
    )
}

/// An archive query with a form, ≈ 550 bytes.
fn iq(letters: &mut Letters) -> String {
    let (id, query, with, after) = (letters.id(), letters.hex(8), letters.jid(), letters.id());
    format!(
        "<iq type=\"set\" id=\"{id}\"><query xmlns=\"urn:xmpp:mam:2\" queryid=\"{query}\">\
         <x xmlns=\"jabber:x:data\" type=\"submit\"><field var=\"FORM_TYPE\" type=\"hidden\">\
         <value>urn:xmpp:mam:2</value></field><field var=\"with\"><value>{with}</value></field>\
         <field var=\"start\"><value>2026-11-07T00:00:00Z</value></field></x>\
         <set xmlns=\"http://jabber.org/protocol/rsm\"><max>50</max><after>{after}</after></set>\
         </query></iq>"
    )
}

/// An encrypted message for a few devices (XEP-0384), ≈ 2.5 KB.
fn omemo(letters: &mut Letters) -> String {
    let (to, id, iv) = (letters.jid(), letters.id(), letters.base64(16));
    let keys: String = (0..4 + letters.below(6))
        .map(|_| {
            let (device, key) = (1_000_000 + letters.below(1_000_000), letters.base64(180));
            format!("<key rid='{device}'>{key}</key>")
        })
        .collect();
    let length = 100 + letters.below(400);
    let payload = letters.base64(length);
    format!(
        "<message to='{to}' id='{id}' type='chat'>\
         <encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1717171717'>{keys}\
         <iv>{iv}</iv></header><payload>{payload}</payload></encrypted>\
         <encryption xmlns='urn:xmpp:eme:0' name='OMEMO' \
         namespace='eu.siacs.conversations.axolotl'/>\
         <body>I sent you an OMEMO encrypted message</body>\
         <store xmlns='urn:xmpp:hints'/></message>"
    )
}

/// Makes text from a seed, the same on every machine.
struct Letters {
    state: u64,
}

impl Letters {
    fn new(seed: u64) -> Letters {
        Letters { state: seed }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    fn hex(&mut self, length: usize) -> String {
        self.pick(b"0123456789abcdef", length)
    }

    fn base64(&mut self, length: usize) -> String {
        self.pick(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", length)
    }

    fn word(&mut self) -> String {
        let length = 2 + self.below(8);
        self.pick(b"abcdefghijklmnopqrstuvwxyz", length)
    }

    /// About so many bytes of prose, with an apostrophe or an escaped ampersand here and there.
    fn words(&mut self, length: usize) -> String {
        let mut text = String::new();
        while text.len() < length {
            text.push_str(&self.word());
            text.push_str(match self.below(24) {
                0 => "'s ",
                1 => " &amp; ",
                2 => ". ",
                _ => " ",
            });
        }
        text
    }

    fn id(&mut self) -> String {
        let parts = [8, 4, 4, 4, 12].map(|length| self.hex(length));
        parts.join("-")
    }

    fn jid(&mut self) -> String {
        format!("{}@{}.example/{}", self.word(), self.word(), self.hex(10))
    }
}
