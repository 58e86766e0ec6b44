//! Other parsers accept what we accept and read the same in it.
//!
//! Where another parser accepts and we do not, the reason is in `agreement::stricter_than_xml`, or
//! `rxml`, which implements the same restricted XML, refuses too.

use proptest::prelude::*;

use crate::agreement::{compare_with_quick_xml, compare_with_rxml, compare_with_xmlparser};
use crate::{corpus, events, generate};

#[test]
fn the_corpus_is_accepted_and_refused_as_it_says() {
    for document in corpus::VALID {
        assert!(events::ours(document.as_bytes()).is_ok(), "{document:?}");
    }
    for document in corpus::INVALID {
        assert!(events::ours(document.as_bytes()).is_err(), "{document:?}");
    }
}

#[test]
fn the_corpus_is_read_as_others_read_it() {
    for document in corpus::VALID.iter().chain(corpus::INVALID) {
        compare_with_rxml(document);
        compare_with_quick_xml(document);
        compare_with_xmlparser(document);
    }
}

proptest! {
    #![proptest_config(generate::cases(4_000))]

    #[test]
    fn rxml_reads_the_same(document in generate::any_document()) {
        compare_with_rxml(&document);
    }

    #[test]
    fn quick_xml_reads_the_same(document in generate::any_document()) {
        compare_with_quick_xml(&document);
    }

    #[test]
    fn xmlparser_finds_the_same_tokens(document in generate::any_document()) {
        compare_with_xmlparser(&document);
    }
}
