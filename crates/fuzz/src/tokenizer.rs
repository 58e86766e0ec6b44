//! The tokenizer: `xmlparser`, `quick-xml` and `rxml` read the same in what it accepts, and in
//! what would be forwarded (bad-inputs X12).

use bytes::Bytes;
use jackdaw_stanza::Stanza;
use jackdaw_xml::{Element, Frame, Framer, Scan, Scope};

use crate::agreement::{
    check_canonical_form, compare_with_quick_xml, compare_with_rxml, compare_with_xmlparser,
};
use crate::events::{self, LIMITS};

/// One stanza in the scope of a client.
pub(crate) fn run(data: &[u8]) {
    events::check_unframed(data);
    let Ok(document) = std::str::from_utf8(data) else {
        assert!(events::ours(data).is_err(), "not UTF-8, and accepted");
        return;
    };
    check_agreement(document);
    check_canonical_form(document);
    if events::ours(data).is_ok() {
        check_frame(data);
        check_tree(document);
        check_forwarded(data);
    }
}

fn check_agreement(document: &str) {
    compare_with_rxml(document);
    compare_with_quick_xml(document);
    compare_with_xmlparser(document);
}

/// Both stages mean the same by a stanza: else bytes of one could count as another.
fn check_frame(data: &[u8]) {
    let stanza = data.trim_ascii();
    let mut framer = Framer::new();
    assert!(matches!(framer.scan(&LIMITS, b"<stream:stream>"), Ok(Scan::Complete { .. })));
    let expected = Scan::Complete { frame: Frame::Element, length: stanza.len() };
    assert_eq!(framer.scan(&LIMITS, stanza), Ok(expected));
}

/// A tree says what the tokens say, and survives being written.
fn check_tree(document: &str) {
    let scope = Scope::client();
    let tree = Element::parse(document.as_bytes(), &scope, &LIMITS).expect("the tokens are valid");
    let written = tree.to_xml(scope.default_namespace());
    assert_eq!(Element::parse(written.as_bytes(), &scope, &LIMITS), Ok(tree), "{written:?}");
}

/// What leaves the server as a stanza is canonical, says what came in, and says it to everybody.
fn check_forwarded(data: &[u8]) {
    let Ok(stanza) = Stanza::parse(Bytes::copy_from_slice(data), &Scope::client(), &LIMITS) else {
        return;
    };
    let mut written = Vec::new();
    stanza.write_to(&mut written);
    let text = std::str::from_utf8(&written).expect("a stanza is written in UTF-8");
    let (_, is_canonical) = events::ours(&written).expect("a stanza is written well-formed");
    assert!(is_canonical, "{text:?}");
    check_agreement(text);
    let again = Stanza::parse(Bytes::from(written.clone()), &Scope::client(), &LIMITS);
    let again = again.expect("a stanza that is written is a stanza");
    assert_eq!(again.to_bytes(), written, "written twice it differs");
    assert_eq!((again.kind_and_type(), again.id()), (stanza.kind_and_type(), stanza.id()));
    assert_eq!((again.to(), again.from()), (stanza.to(), stanza.from()));
}
