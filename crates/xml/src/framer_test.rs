use super::*;

const HEADER: &str = "<stream:stream xmlns='jabber:client' to='a>b/'>";
const LIMITS: Limits = Limits::after_auth();

/// All frames of a stream that arrives in pieces of the given size, white space merged.
fn frames(text: &str, piece: usize) -> Result<Vec<(Frame, String)>, XmlError> {
    let mut framer = Framer::new();
    let mut frames: Vec<(Frame, String)> = Vec::new();
    let mut buffer = Vec::new();
    for mut bytes in text.as_bytes().chunks(piece) {
        while !bytes.is_empty() {
            match framer.scan(&LIMITS, bytes)? {
                Scan::Partial => {
                    buffer.extend_from_slice(bytes);
                    break;
                }
                Scan::Complete { frame, length } => {
                    let (head, rest) = bytes.split_at(length);
                    buffer.extend_from_slice(head);
                    bytes = rest;
                    let text = String::from_utf8(std::mem::take(&mut buffer)).expect("UTF-8");
                    match frames.last_mut() {
                        Some((Frame::Whitespace, run)) if frame == Frame::Whitespace => {
                            run.push_str(&text);
                        }
                        _ => frames.push((frame, text)),
                    }
                }
            }
        }
    }
    assert_eq!(framer.is_between(), buffer.is_empty());
    Ok(frames)
}

fn check(parts: &[(Frame, &str)]) {
    let text: String = parts.iter().map(|(_, text)| *text).collect();
    let expected: Vec<_> = parts.iter().map(|(frame, text)| (*frame, text.to_string())).collect();
    for piece in 1..=text.len() {
        assert_eq!(frames(&text, piece).as_ref(), Ok(&expected), "pieces of {piece}");
    }
}

fn refused(stanza: &str) -> XmlError {
    let text = format!("{HEADER}{stanza}");
    let whole = frames(&text, text.len()).expect_err(stanza);
    for piece in 1..text.len() {
        assert_eq!(frames(&text, piece), Err(whole), "{stanza:?} in pieces of {piece}");
    }
    whole
}

#[test]
fn a_stream_is_cut_into_its_parts_wherever_the_bytes_are_cut() {
    check(&[
        (
            Frame::StreamOpen,
            "<?xml version='1.0'?> \n<stream:stream xmlns='jabber:client' to='a>b/'>",
        ),
        (Frame::Element, "<presence/>"),
        (Frame::Whitespace, " \t\r\n"),
        (
            Frame::Element,
            "<message to=\"it's>\" id='\"/>'><body>a'b\"c>d/</body><x/><y a='/'/></message>",
        ),
        (Frame::Element, "<a><![CDATA[<b>]] >]></a>]]]><c/></a>"),
        (Frame::Element, "<iq\n/>"),
        (Frame::Whitespace, " "),
        (Frame::StreamClose, "</stream:stream >"),
    ]);
    check(&[(Frame::Whitespace, "\n"), (Frame::StreamOpen, HEADER)]);
}

#[test]
fn a_restarted_stream_begins_with_a_header() {
    let mut framer = Framer::new();
    let length = HEADER.len();
    let open = Ok(Scan::Complete { frame: Frame::StreamOpen, length });
    assert_eq!(framer.scan(&LIMITS, HEADER.as_bytes()), open);
    assert_eq!(framer.scan(&LIMITS, b"<message><bo"), Ok(Scan::Partial));
    assert!(!framer.is_between());
    framer.restart();
    assert!(framer.is_between());
    assert_eq!(framer.scan(&LIMITS, HEADER.as_bytes()), open);
    assert_eq!(framer.scan(&LIMITS, b""), Ok(Scan::Partial));
    assert!(framer.is_between());
}

#[test]
fn what_xmpp_forbids_is_refused_at_its_first_byte() {
    for stanza in ["<!-- -->", "<!DOCTYPE a>", "<a><!--", "<a><!DOCTYPE a>"] {
        assert_eq!(refused(stanza), DECLARATION);
    }
    for stanza in ["<?xml version='1.0'?>", "<?pi?>", "<a><?pi?></a>"] {
        assert_eq!(refused(stanza), INSTRUCTION);
    }
    assert_eq!(frames("<!DOCTYPE", 9), Err(DECLARATION));
    assert_eq!(frames("<?xml version='1.0'?><?xml version='1.0'?>", 50), Err(INSTRUCTION));
    assert_eq!(frames("<?xml version='1.0'?><!DOCTYPE a>", 50), Err(DECLARATION));
}

#[test]
fn what_begins_no_tag_is_refused() {
    for stanza in
        ["text", "&amp;", "< a/>", "<a>< b/></a>", "<a><</a>", "<1/>", "<=", "\u{FEFF}<a/>"]
    {
        assert!(matches!(refused(stanza), XmlError::NotWellFormed(_)), "{stanza}");
    }
    for stanza in ["<a <b/>", "<a b='<'/>", "<a></a <", "</stream:stream<"] {
        assert_eq!(refused(stanza), LT_IN_TAG);
    }
    assert_eq!(refused("<a><![CDAT["), XmlError::NotWellFormed("CDATA section"));
    assert!(matches!(frames("</stream:stream>", 4), Err(XmlError::NotWellFormed(_))));
    assert!(matches!(frames("<?xml version='1.0'?>x", 4), Err(XmlError::NotWellFormed(_))));
}

#[test]
fn a_frame_may_have_as_many_bytes_as_allowed_and_no_more() {
    let limits = Limits { stanza_bytes_max: 200, ..LIMITS };
    for (length, piece) in [199, 200, 201].into_iter().flat_map(|l| (1..=l).map(move |p| (l, p))) {
        let mut framer = Framer::new();
        assert!(framer.scan(&limits, HEADER.as_bytes()).is_ok());
        let stanza = format!("<a>{}</a>", "x".repeat(length - 7));
        let outcome = stanza
            .as_bytes()
            .chunks(piece)
            .map(|bytes| framer.scan(&limits, bytes))
            .find(|scan| *scan != Ok(Scan::Partial));
        match outcome {
            Some(Ok(Scan::Complete { frame: Frame::Element, .. })) => assert!(length <= 200),
            other => {
                assert_eq!(other, Some(Err(XmlError::Limit(Limit::Bytes))));
                assert_eq!(length, 201);
            }
        }
    }
}

#[test]
fn a_long_stanza_does_not_count_against_the_next() {
    let limits = Limits { stanza_bytes_max: 100, ..LIMITS };
    let mut framer = Framer::new();
    assert!(framer.scan(&limits, HEADER.as_bytes()).is_ok());
    let stanza = format!("<a>{}</a>", "x".repeat(80));
    let twice = stanza.repeat(2);
    let complete = Ok(Scan::Complete { frame: Frame::Element, length: stanza.len() });
    assert_eq!(framer.scan(&limits, twice.as_bytes()), complete);
    assert_eq!(framer.scan(&limits, &twice.as_bytes()[stanza.len()..]), complete);
}

#[test]
fn an_element_may_be_as_deep_as_allowed_and_no_deeper() {
    let limits = Limits { depth_max: 3, ..LIMITS };
    let scan = |stanza: &str| {
        let mut framer = Framer::new();
        framer.scan(&limits, HEADER.as_bytes())?;
        framer.scan(&limits, stanza.as_bytes())
    };
    assert!(scan("<a><b><c></c><c/></b></a>").is_ok());
    assert_eq!(scan("<a><b><c><d>"), Err(XmlError::Limit(Limit::Depth)));
    assert_eq!(scan("<a><b><c><d/>"), Err(XmlError::Limit(Limit::Depth)));
}
