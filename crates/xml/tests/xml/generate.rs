//! Documents made of valid and not so valid pieces.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::corpus;

/// So many cases, or a multiple of it for a longer hunt: `XML_CASES_FACTOR=100 cargo test`.
pub fn cases(cases: u32) -> ProptestConfig {
    let factor = std::env::var("XML_CASES_FACTOR").ok().and_then(|factor| factor.parse().ok());
    ProptestConfig::with_cases(cases * factor.unwrap_or(1))
}

const NAMES: &[&str] = &["a", "body", "message", "p:x", "q:y", "stream:error", "xml:z", "é"];

const ATTRIBUTES: &[&str] = &[
    " xmlns='jabber:client'",
    " xmlns='urn:a'",
    " xmlns=''",
    " xmlns:p='urn:p'",
    " xmlns:p=\"urn:q\"",
    " xmlns:q='urn:p'",
    " xmlns:stream='urn:s'",
    " xmlns:r='urn:&amp;'",
    " p:x='1'",
    " q:x='2'",
    " x='3'",
    " x=\"a&#10;b\"",
    " y='&lt;&amp;&apos;'",
    " z='a\n\tb\r\nc'",
    " xml:lang='en'",
    "\tto = 'a'",
    " to='>'",
    "\r\n",
    " ",
];

const TEXTS: &[&str] = &[
    "text",
    " ",
    "\n",
    "\r\n",
    "\r",
    "it's",
    "]]",
    ">",
    "&amp;",
    "&gt;",
    "&#13;",
    "&#x41;",
    "<![CDATA[<a>&lt;]]>",
    "<![CDATA[]]]>",
    "ü世🦜",
    "&bad;",
    "\u{1}",
];

/// Bytes that matter to a parser.
const EDITS: &[&str] = &[
    "<",
    ">",
    "/",
    "=",
    "'",
    "\"",
    "&",
    ";",
    "#",
    "!",
    "?",
    "[",
    "]",
    ":",
    "-",
    "x",
    "0",
    " ",
    "\t",
    "\n",
    "\r",
    "\0",
    "\u{1}",
    "\u{FFFE}",
    "é",
    "<a>",
    "</a>",
    "<a/>",
    "]]>",
    "<![CDATA[",
    "<!--",
    "<?",
    "&#",
    "xmlns",
    "xmlns:p='urn:p'",
    "p:",
];

fn element() -> impl Strategy<Value = String> {
    let attributes = || prop::collection::vec(select(ATTRIBUTES), 0..5);
    let empty = (select(NAMES), attributes())
        .prop_map(|(name, attributes)| format!("<{name}{}/>", attributes.concat()));
    let leaf = prop_oneof![2 => empty, 3 => select(TEXTS).prop_map(str::to_owned)];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        (select(NAMES), attributes(), prop::collection::vec(inner, 0..5)).prop_map(
            |(name, attributes, content)| {
                format!("<{name}{}>{}</{name}>", attributes.concat(), content.concat())
            },
        )
    })
}

/// A change to a document: where, how much is cut out there, what is put in.
type Edit = (Index, usize, &'static str);

fn edits(most: usize) -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec((any::<Index>(), 0..3_usize, select(EDITS)), 0..=most)
}

fn edit(mut document: String, edits: Vec<Edit>) -> String {
    for (index, cut, put) in edits {
        let mut start = index.index(document.len() + 1);
        let mut end = (start + cut).min(document.len());
        while !document.is_char_boundary(start) {
            start -= 1;
        }
        while !document.is_char_boundary(end) {
            end += 1;
        }
        document.replace_range(start..end, put);
    }
    document
}

/// Generated elements, nearly half of them valid.
pub fn generated() -> impl Strategy<Value = String> {
    (element(), edits(1)).prop_map(|(document, edits)| edit(document, edits))
}

/// Stanzas of the corpus with a few changes.
pub fn mutated() -> impl Strategy<Value = String> {
    let corpus: Vec<&str> = corpus::VALID.iter().chain(corpus::INVALID).copied().collect();
    (select(corpus), edits(3)).prop_map(|(document, edits)| edit(document.to_owned(), edits))
}

/// Either.
pub fn any_document() -> impl Strategy<Value = String> {
    prop_oneof![generated(), mutated()]
}
