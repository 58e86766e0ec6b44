use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::*;

/// The tokens of a stanza, one a line.
fn tokens(text: &str) -> Result<(String, bool), XmlError> {
    let scope = Scope::client();
    let mut tokens = Tokenizer::new(text.as_bytes(), &scope, &Limits::after_auth());
    let mut out = String::new();
    while let Some(token) = tokens.next()? {
        let written = match token {
            Token::Start(start) => write_start(&mut out, text, &start),
            Token::Text(token) => {
                let source = &text[token.start as usize..token.end as usize];
                writeln!(out, "text {:?} of {source:?}", token.value())
            }
            Token::End(end) => {
                let source = &text[end.start as usize..end.end as usize];
                writeln!(out, "end {} of {source:?}", end.local)
            }
        };
        written.expect("a string takes everything");
    }
    Ok((out, tokens.is_canonical()))
}

fn write_start(out: &mut String, text: &str, start: &Start<'_, '_>) -> std::fmt::Result {
    let source = &text[start.start as usize..start.end as usize];
    let name = &text[start.start as usize + 1..start.name_end as usize];
    writeln!(out, "start {{{}}}{} as {name:?} of {source:?}", start.ns, start.local)?;
    for attribute in start.attributes {
        let source = &text[attribute.start as usize..attribute.end as usize];
        let value_end = attribute.value_start as usize + attribute.raw.len();
        assert_eq!(&text[attribute.value_start as usize..value_end], attribute.raw);
        let value = attribute.value();
        writeln!(out, "  {{{}}}{}={value:?} of {source:?}", attribute.ns, attribute.local)?;
    }
    Ok(())
}

fn check(text: &str, expected: &Expect) {
    expected.assert_eq(&tokens(text).expect("valid").0);
}

fn is_canonical(text: &str) -> bool {
    tokens(text).unwrap_or_else(|error| panic!("{text}: {error}")).1
}

fn error(text: &str) -> XmlError {
    tokens(text).err().unwrap_or_else(|| panic!("{text:?} was accepted"))
}

#[test]
fn a_message_is_its_names_attributes_and_text() {
    check(
        "<message to='juliet@example.com' xml:lang=\"en\"><body>Wherefore?</body><x xmlns='urn:x'/></message>",
        &expect![[r#"
            start {jabber:client}message as "message" of "<message to='juliet@example.com' xml:lang=\"en\">"
              {}to="juliet@example.com" of "to='juliet@example.com'"
              {http://www.w3.org/XML/1998/namespace}lang="en" of "xml:lang=\"en\""
            start {jabber:client}body as "body" of "<body>"
            text "Wherefore?" of "Wherefore?"
            end body of "</body>"
            start {urn:x}x as "x" of "<x xmlns='urn:x'/>"
              {http://www.w3.org/2000/xmlns/}xmlns="urn:x" of "xmlns='urn:x'"
            end x of "/>"
            end message of "</message>"
        "#]],
    );
}

#[test]
fn prefixes_are_resolved_by_the_innermost_declaration() {
    check(
        "<p:a p:b='1' xmlns:p='urn:p'><p:c xmlns:p='urn:q'/><p:d xmlns='urn:r'><e/></p:d ><f/></p:a\n>",
        &expect![[r#"
            start {urn:p}a as "p:a" of "<p:a p:b='1' xmlns:p='urn:p'>"
              {urn:p}b="1" of "p:b='1'"
              {http://www.w3.org/2000/xmlns/}p="urn:p" of "xmlns:p='urn:p'"
            start {urn:q}c as "p:c" of "<p:c xmlns:p='urn:q'/>"
              {http://www.w3.org/2000/xmlns/}p="urn:q" of "xmlns:p='urn:q'"
            end c of "/>"
            start {urn:p}d as "p:d" of "<p:d xmlns='urn:r'>"
              {http://www.w3.org/2000/xmlns/}xmlns="urn:r" of "xmlns='urn:r'"
            start {urn:r}e as "e" of "<e/>"
            end e of "/>"
            end d of "</p:d >"
            start {jabber:client}f as "f" of "<f/>"
            end f of "/>"
            end a of "</p:a\n>"
        "#]],
    );
}

#[test]
fn references_cdata_and_white_space_are_read_as_xml_says() {
    check(
        "\n<a b = '&#x41;&amp;\t'\n c=\"\">1&lt;2\r\n<![CDATA[<&amp;]]]]></a> ",
        &expect![[r#"
            start {jabber:client}a as "a" of "<a b = '&#x41;&amp;\t'\n c=\"\">"
              {}b="A& " of "b = '&#x41;&amp;\t'"
              {}c="" of "c=\"\""
            text "1<2\n" of "1&lt;2\r\n"
            text "<&amp;]]" of "<![CDATA[<&amp;]]]]>"
            end a of "</a>"
        "#]],
    );
}

#[test]
fn what_every_parser_reads_alike_is_canonical() {
    for text in [
        "<message to='a' type=\"chat\"><body>it's &lt;3 &amp; &#13;</body></message>",
        "<iq\n\ttype='get'  id='1'><query xmlns='urn:x'><item a='&#10;'/>\n</query></iq>",
        "<message xmlns='jabber:client'><p:x xmlns:p='urn:p' p:a=''><p:y/></p:x></message>",
        "<message xmlns:p='urn:p' p:a='' xml:lang='en'/>",
        "<message><x xmlns=''/></message>",
    ] {
        assert!(is_canonical(text), "{text}");
    }
}

#[test]
fn what_a_parser_may_read_differently_is_not_canonical() {
    for text in [
        // Prefixes from outside, or shared by the children of the stanza.
        "<message stream:a=''/>",
        "<message xmlns:p='urn:p'><p:x/></message>",
        "<message xmlns:p='urn:p'><x p:a=''/></message>",
        "<p:message xmlns:p='jabber:client'/>",
        // Another namespace.
        "<message xmlns='jabber:server'/>",
        // Declarations that hide others.
        "<message><p:x xmlns:p='urn:p'><p:y xmlns:p='urn:q'/></p:x></message>",
        "<message xmlns:stream='http://etherx.jabber.org/streams'/>",
        "<message><stream:x xmlns:stream='urn:x'/></message>",
        "<message xmlns:xml='http://www.w3.org/XML/1998/namespace'/>",
        // CDATA and references.
        "<message><![CDATA[x]]></message>",
        "<message>&#65;</message>",
        "<message>&#x0d;</message>",
        "<message a='&#010;'/>",
        // White space that parsers normalise.
        "<message>\r</message>",
        "<message a='\n'/>",
        "<message a='\t'/>",
        "<message\r/>",
        // Unusual white space in tags.
        "<message a ='1'/>",
        "<message a= '1'/>",
        "<message></message >",
        " <message/>",
        "<message/>\n",
    ] {
        assert!(!is_canonical(text), "{text}");
    }
}

#[test]
fn after_an_error_the_same_error_comes_again() {
    let scope = Scope::client();
    let mut tokens = Tokenizer::new(b"<a></b>", &scope, &Limits::after_auth());
    assert!(tokens.next().is_ok());
    assert_eq!(tokens.next(), Err(MISMATCH));
    assert_eq!(tokens.next(), Err(MISMATCH));
}

#[test]
fn the_end_of_a_stanza_is_the_end_of_its_tokens() {
    let scope = Scope::client();
    let mut tokens = Tokenizer::new(b"<a/>", &scope, &Limits::after_auth());
    assert!(matches!(tokens.next(), Ok(Some(Token::Start(_)))));
    assert!(matches!(tokens.next(), Ok(Some(Token::End(_)))));
    assert_eq!(tokens.next(), Ok(None));
    assert_eq!(tokens.next(), Ok(None));
}

#[test]
fn what_is_unfinished_is_not_well_formed_at_any_length() {
    let text = "<a b='1' xmlns:c='urn:c'>&lt;<c:d/><![CDATA[x]]></a>";
    assert!(tokens(text).is_ok());
    for end in 0..text.len() {
        assert!(matches!(error(&text[..end]), XmlError::NotWellFormed(_)), "{}", &text[..end]);
    }
}

#[test]
fn canonicalised_stanzas_are_canonical_and_say_the_same() {
    let scope = {
        let mut scope = Scope::new("urn:other");
        scope.declare("c", ns::CLIENT);
        scope.declare("p", "urn:p");
        scope
    };
    let cases = [
        (
            "<c:message to = 'a' p:x='1'\n>\r\n<p:y/><c:body>a<![CDATA[<]]>b</c:body ><z/></c:message>\n",
            "<message to='a' xmlns:ns1='urn:p' ns1:x='1'>\n<y xmlns='urn:p'/><body>a&lt;b</body><z xmlns='urn:other'/></message>",
        ),
        (
            "<message xmlns='jabber:client' xmlns:q='urn:q' a=\"\t'&#x0A;\"><x><q:y q:b='' p:c=''/></x></message>",
            "<message a=' &apos;&#10;'><x><y xmlns='urn:q' xmlns:ns1='urn:q' ns1:b='' xmlns:ns2='urn:p' ns2:c=''/></x></message>",
        ),
    ];
    for (text, canonical) in cases {
        let mut out = b"before".to_vec();
        crate::canonicalise(text.as_bytes(), &scope, &Limits::after_auth(), &mut out)
            .expect("a valid stanza");
        let out = String::from_utf8(out).expect("UTF-8");
        assert_eq!(out, format!("before{canonical}"));
        assert!(is_canonical(canonical));
    }
}

#[test]
fn a_stanza_that_grows_past_the_limit_is_refused() {
    let long = format!("urn:{}", "x".repeat(50_000));
    let items = "<p:y/>z".repeat(9);
    let text = format!("<message xmlns:p='{long}'>{items}</message>");
    assert!(text.len() < Limits::after_auth().stanza_bytes_max as usize);
    let mut out = Vec::new();
    let outcome =
        crate::canonicalise(text.as_bytes(), &Scope::client(), &Limits::after_auth(), &mut out);
    assert_eq!(outcome, Err(XmlError::Limit(Limit::Bytes)));
    assert!(out.len() < 2 * Limits::after_auth().stanza_bytes_max as usize);
}
