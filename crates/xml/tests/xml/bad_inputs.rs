//! Bytes that have broken other servers, by their number in the list of bad inputs.

use jackdaw_xml::{
    Element, Framer, Limit, Limits, Scan, Scope, StanzaTokenizer, Tokenizer, XmlError,
    canonicalise, parse_stream_header,
};

const HEADER: &str = "<stream:stream xmlns='jabber:client' to='im.example' version='1.0' \
    xmlns:stream='http://etherx.jabber.org/streams'>";

/// Both stages over one stanza, whole and byte by byte: the condition that ends the stream.
fn condition(limits: &Limits, stanza: &[u8]) -> Option<&'static str> {
    let whole = read(limits, [stanza]);
    assert_eq!(read(limits, stanza.chunks(1)), whole, "{}", String::from_utf8_lossy(stanza));
    whole
}

fn read<'a>(limits: &Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<&'static str> {
    let mut framer = Framer::new();
    assert!(framer.scan(limits, HEADER.as_bytes()).is_ok());
    let mut buffer = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            match framer.scan(limits, piece) {
                Err(error) => return Some(error.condition()),
                Ok(Scan::Partial) => {
                    buffer.extend_from_slice(piece);
                    break;
                }
                Ok(Scan::Complete { length, .. }) => {
                    let (head, rest) = piece.split_at(length);
                    buffer.extend_from_slice(head);
                    piece = rest;
                    if let Err(error) = tokenize(limits, &std::mem::take(&mut buffer)) {
                        return Some(error.condition());
                    }
                }
            }
        }
    }
    assert!(buffer.is_empty(), "{:?} is unfinished", String::from_utf8_lossy(&buffer));
    None
}

fn tokenize(limits: &Limits, stanza: &[u8]) -> Result<bool, XmlError> {
    let scope = Scope::client();
    let mut tokens = Tokenizer::new(stanza, &scope, limits);
    while tokens.next()?.is_some() {}
    Ok(tokens.is_canonical())
}

fn before_auth(stanza: &str) -> Option<&'static str> {
    condition(&Limits::before_auth(), stanza.as_bytes())
}

#[test]
fn x01_a_document_type_is_restricted_wherever_it_stands() {
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>";
    assert_eq!(before_auth(bomb), Some("restricted-xml"));
    assert_eq!(before_auth(&format!("<a>{bomb}</a>")), Some("restricted-xml"));
    for stream in [format!("{bomb}{HEADER}"), format!("<?xml version='1.0'?>{bomb}{HEADER}")] {
        let mut framer = Framer::new();
        let error = framer.scan(&Limits::before_auth(), stream.as_bytes()).expect_err("a bomb");
        assert_eq!(error.condition(), "restricted-xml");
        let parsed = parse_stream_header(stream.as_bytes(), &Limits::before_auth());
        assert_eq!(parsed.map_err(|error| error.condition()), Err("restricted-xml"));
    }
    let tree = Element::parse(bomb.as_bytes(), &Scope::client(), &Limits::before_auth());
    assert_eq!(tree.map_err(|error| error.condition()), Err("restricted-xml"));
}

#[test]
fn x02_restricted_xml_is_refused_and_the_five_entities_are_not() {
    for stanza in [
        "<!-- comment -->",
        "<a><!-- comment --></a>",
        "<?pi?>",
        "<a><?pi?></a>",
        "<a>&foo;</a>",
        "<a b='&foo;'/>",
    ] {
        assert_eq!(before_auth(stanza), Some("restricted-xml"), "{stanza}");
    }
    assert_eq!(before_auth("<a b='&lt;&gt;&amp;&apos;&quot;'>&lt;&gt;&amp;&apos;&quot;</a>"), None);
    assert_eq!(before_auth("<a><![CDATA[<b>]]></a>"), None);
}

#[test]
fn x04_bytes_are_limited_whatever_they_are_part_of() {
    let limits = Limits::before_auth();
    let max = limits.stanza_bytes_max as usize;
    for open in ["<a b='", "<a>", "<a", "<a ", "</", "<a><![CDATA[", "<a>&#", "<a xmlns='"] {
        let endless = format!("{open}{}", "x".repeat(max));
        assert_eq!(before_auth(&endless), Some("policy-violation"), "{open}");
    }
    let stanza = |length: usize| format!("<a>{}</a>", "x".repeat(length - 7));
    assert_eq!(before_auth(&stanza(9_999)), None);
    assert_eq!(before_auth(&stanza(10_000)), None);
    assert_eq!(before_auth(&stanza(10_001)), Some("policy-violation"));
}

#[test]
fn x04_an_unfinished_frame_takes_no_memory_of_the_framer() {
    assert!(size_of::<Framer>() <= 32);
}

#[test]
fn x05_elements_attributes_and_declarations_are_limited_before_and_after_authentication() {
    for limits in [Limits::before_auth(), Limits::after_auth()] {
        let filled = |open: &str, piece: &dyn Fn(usize) -> String, close: &str| {
            let mut text = open.to_owned();
            for index in 0.. {
                let piece = piece(index);
                if text.len() + piece.len() + close.len() > limits.stanza_bytes_max as usize {
                    break;
                }
                text.push_str(&piece);
            }
            text + close
        };
        let elements = filled("<x>", &|_| "<a/>".to_owned(), "</x>");
        let attributes = filled("<x", &|index| format!(" a{index}=''"), "/>");
        let prefixes = filled("<x", &|index| format!(" xmlns:a{index}='b'"), "/>");
        let defaults = filled("<x>", &|_| "<a xmlns='b'/>".to_owned(), "</x>");
        for (text, limit) in [
            (elements, Limit::Elements),
            (attributes, Limit::Attributes),
            (prefixes, Limit::Attributes),
            (defaults, Limit::Namespaces),
        ] {
            assert_eq!(tokenize(&limits, text.as_bytes()), Err(XmlError::Limit(limit)));
            assert_eq!(condition(&limits, text.as_bytes()), Some("policy-violation"));
        }
    }
}

/// Comparisons with every earlier attribute or open prefix would take minutes here.
#[test]
fn x07_the_work_is_linear_in_names_declarations_and_pieces() {
    let limits = Limits {
        stanza_bytes_max: u32::MAX,
        depth_max: 64,
        elements_max: u32::MAX,
        attributes_max: u16::MAX,
        namespaces_max: u16::MAX,
    };
    let attributes: String = (0..60_000).map(|index| format!(" a{index}=''")).collect();
    assert_eq!(tokenize(&limits, format!("<x{attributes}/>").as_bytes()), Ok(true));
    let twice = format!("<x{attributes} a0=''/>");
    assert_eq!(
        tokenize(&limits, twice.as_bytes()),
        Err(XmlError::NotWellFormed("attribute twice"))
    );
    // Open prefixes are walked, so there may be few of them.
    let prefixes: String = (0..60_000).map(|index| format!(" xmlns:a{index}='b'")).collect();
    let outcome = tokenize(&limits, format!("<x{prefixes}/>").as_bytes());
    assert_eq!(outcome, Err(XmlError::Limit(Limit::Namespaces)));
    // Each piece is looked at once, so a token in a million pieces costs a million looks.
    let long = format!("<a b='{}'/>", "x".repeat(1_000_000));
    assert_eq!(read(&limits, long.as_bytes().chunks(1)), None);
}

#[test]
fn x08_nesting_is_limited_and_a_tree_can_be_dropped() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let limits = Limits::after_auth();
    let depth_max = usize::from(limits.depth_max);
    assert_eq!(condition(&limits, nested(depth_max).as_bytes()), None);
    assert_eq!(condition(&limits, nested(depth_max + 1).as_bytes()), Some("policy-violation"));
    let hundred_thousand = "<a>".repeat(100_000);
    assert_eq!(
        tokenize(&Limits { stanza_bytes_max: u32::MAX, ..limits }, hundred_thousand.as_bytes()),
        Err(XmlError::Limit(Limit::Depth))
    );
    let tree = Element::parse(nested(depth_max).as_bytes(), &Scope::client(), &limits);
    drop(tree.clone().expect("allowed"));
    assert_eq!(tree.map(|tree| tree.to_xml("jabber:client").len()), Ok(7 * depth_max - 3));
}

#[test]
fn x09_what_is_not_utf_8_is_refused_whatever_follows_it() {
    let sequences: [&[u8]; 16] = [
        // Cut off.
        b"\xC3",
        b"\xE2",
        b"\xE2\x82",
        b"\xF0",
        b"\xF0\x9F",
        b"\xF0\x9F\xA6",
        b"\xEB",
        // Longer than need be.
        b"\xC0\x80",
        b"\xC0\xBC",
        b"\xE0\x80\xBC",
        b"\xF0\x80\x80\xBC",
        // Surrogates, beyond the last character, never a byte of UTF-8.
        b"\xED\xA0\x80",
        b"\xED\xB0\x80",
        b"\xF4\x90\x80\x80",
        b"\x80",
        b"\xFF",
    ];
    for sequence in sequences {
        for (before, after) in [
            ("<a>", "</a>"),
            ("<a>", "&lt;</a>"),
            ("<a>x", ">\"'/</a>"),
            ("<a b='", "'/>"),
            ("<a b=\"", "\"/>"),
            ("<a b='", "/'></a>"),
            ("<a><![CDATA[", "]]></a>"),
            ("<a xmlns='", "'/>"),
            ("<a", "/>"),
            ("<a ", "='b'/>"),
            ("<a></a", ">"),
        ] {
            let stanza = [before.as_bytes(), sequence, after.as_bytes()].concat();
            let shown = String::from_utf8_lossy(&stanza);
            assert_eq!(condition(&Limits::before_auth(), &stanza), Some("bad-format"), "{shown}");
        }
    }
}

#[test]
fn x09_a_byte_order_mark_inside_a_stream_is_refused() {
    assert_eq!(before_auth("\u{FEFF}<a/>"), Some("not-well-formed"));
    assert_eq!(before_auth("<a/>\u{FEFF}"), Some("not-well-formed"));
    assert_eq!(before_auth("<a>\u{FEFF}</a>"), None, "inside text it is a character");
}

#[test]
fn x10_namespaces_cannot_be_smuggled() {
    for (stanza, expected) in [
        ("<x xmlns:a='jabber:client&#10;x'/>", "restricted-xml"),
        ("<x xmlns='jabber:client&#10;x'/>", "restricted-xml"),
        ("<x xmlns='jabber:client x'/>", "restricted-xml"),
        ("<x xmlns='jabber:client\nx'/>", "restricted-xml"),
        ("<x xmlns='jabber:&#99;lient'/>", "restricted-xml"),
        ("<x xmlns='jabber:client\"/>'/>", "restricted-xml"),
        ("<x xmlns=\"jabber:client'\"/>", "restricted-xml"),
        ("<x xmlns='a\u{1}b'/>", "not-well-formed"),
        ("<x xmlns='a\u{FFFF}b'/>", "not-well-formed"),
        ("<x xmlns:xml='urn:x'/>", "bad-namespace-prefix"),
        ("<x xmlns:xmlns='urn:x'/>", "bad-namespace-prefix"),
        ("<x xmlns:a='http://www.w3.org/2000/xmlns/'/>", "bad-namespace-prefix"),
        ("<x xmlns:a='http://www.w3.org/XML/1998/namespace'/>", "bad-namespace-prefix"),
        ("<x xmlns:a=''/>", "bad-namespace-prefix"),
        ("<a:x/>", "bad-namespace-prefix"),
        ("<x a:b=''/>", "bad-namespace-prefix"),
        ("<x xmlns:a='urn:a' xmlns:b='urn:a' a:c='1' b:c='2'/>", "not-well-formed"),
    ] {
        assert_eq!(before_auth(stanza), Some(expected), "{stanza}");
    }
}

#[test]
fn x10_a_forwarded_stanza_takes_no_prefix_from_its_stream() {
    let mut scope = Scope::client();
    scope.declare("e", "urn:evil");
    let stanza = b"<message><e:x e:y='1'/></message>";
    let mut tokens = Tokenizer::new(stanza, &scope, &Limits::after_auth());
    while tokens.next().expect("valid").is_some() {}
    assert!(!tokens.is_canonical());
    let mut out = Vec::new();
    canonicalise(stanza, &scope, &Limits::after_auth(), &mut out).expect("valid");
    let out = String::from_utf8(out).expect("UTF-8");
    assert_eq!(out, "<message><x xmlns='urn:evil' xmlns:ns1='urn:evil' ns1:y='1'/></message>");
}

#[test]
fn x11_elements_of_the_stream_cannot_stand_inside_a_stanza() {
    for (stanza, expected) in [
        ("<message><stream:error/></message>", "bad-format"),
        ("<message><stream:stream></stream:stream></message>", "bad-format"),
        ("<message><body></stream:stream></body></message>", "not-well-formed"),
        ("<message><error xmlns='http://etherx.jabber.org/streams'/></message>", "bad-format"),
        ("<a><b xmlns:s='http://etherx.jabber.org/streams'><s:features/></b></a>", "bad-format"),
        ("<message><?xml version='1.0'?></message>", "restricted-xml"),
        ("<?xml version='1.0'?><message/>", "restricted-xml"),
    ] {
        assert_eq!(before_auth(stanza), Some(expected), "{stanza}");
    }
}

#[test]
fn x12_only_canonical_stanzas_may_be_forwarded_as_they_are() {
    let limits = Limits::after_auth();
    assert_eq!(tokenize(&limits, b"<message to='a'><body>it's</body></message>"), Ok(true));
    for stanza in [
        "<message><body><![CDATA[</body>]]></body></message>",
        "<message><body>&#60;/body></body></message>",
        "<message to = 'a'/>",
        "<message><body>a\rb</body></message>",
        "<message stream:to='a'/>",
    ] {
        assert_eq!(tokenize(&limits, stanza.as_bytes()), Ok(false), "{stanza}");
        let mut out = Vec::new();
        canonicalise(stanza.as_bytes(), &Scope::client(), &limits, &mut out).expect("valid");
        assert_eq!(tokenize(&limits, &out), Ok(true), "{}", String::from_utf8_lossy(&out));
    }
}

#[test]
fn x14_references_to_what_is_no_character_are_refused() {
    let digits = "1".repeat(9_900);
    for reference in
        ["#0", "#x0", "#x1F", "#xD800", "#xDFFF", "#x110000", "#xFFFE", "#xFFFF", digits.as_str()]
    {
        let reference = if reference.starts_with('#') { reference } else { &format!("#{digits}") };
        for stanza in [format!("<a>&{reference};</a>"), format!("<a b='&{reference};'/>")] {
            assert_eq!(before_auth(&stanza), Some("not-well-formed"), "{stanza}");
        }
    }
}

#[test]
fn x14_references_are_decoded_once() {
    let xml = "<a b='&#38;lt;'>&#38;lt;&amp;amp;&#x26;#60;</a>";
    let tree = Element::parse(xml.as_bytes(), &Scope::client(), &Limits::after_auth());
    let tree = tree.expect("valid");
    assert_eq!(tree.attr("b"), Some("&lt;"));
    assert_eq!(tree.text(), "&lt;&amp;&#60;");
}
