//! A tokenizer finds the end of a stanza that nobody framed, and finds what the framer finds.

use proptest::prelude::*;

use crate::events::{check_unframed, ours};
use crate::{corpus, generate};

/// What may follow a stanza in the buffer, much and little, good and bad.
fn followers() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = ["", " ", "\r\n", "<", "</stream:stream>", "<presence/>", "x", "&"]
        .map(|text| text.as_bytes().to_vec())
        .into();
    all.push(b"<a>\r&amp;]]</a>".to_vec());
    all.push("<a>ü世🦜</a>".repeat(80).into_bytes());
    // No UTF-8, no character of XML, and a character of which a part has come.
    all.push(b"<a>\xFF</a>".to_vec());
    all.push(b"<a>\x01</a>".to_vec());
    all.push(b"<a>\xE4\xB8".to_vec());
    all.push([&[b'y'; 5_000][..], b"\xFF"].concat());
    all
}

#[test]
fn a_stanza_ends_where_the_framer_says_whatever_follows() {
    for stanza in corpus::VALID.iter().chain(corpus::INVALID) {
        for follower in followers() {
            check_unframed(&[stanza.as_bytes(), &follower].concat());
        }
    }
}

#[test]
fn what_follows_does_not_make_a_stanza_less_canonical() {
    for stanza in corpus::VALID {
        let stream = format!("{stanza}<a>\r</a>");
        let (_, is_canonical) = ours(stanza.as_bytes()).expect("valid");
        check_unframed(stream.as_bytes());
        if is_canonical {
            assert!(!stanza.contains('\r'), "{stanza}");
        }
    }
}

#[test]
fn the_beginning_of_a_stanza_is_none() {
    for stanza in corpus::VALID {
        for length in 0..stanza.len() {
            check_unframed(&stanza.as_bytes()[..length]);
        }
    }
}

#[test]
fn characters_are_checked_wherever_a_check_begins_and_ends() {
    // Checks reach 512 bytes ahead: everything stands once at each edge of the first two.
    for shift in (0..40).chain(470..530).chain(980..1_040) {
        let before = "z".repeat(shift);
        for odd in ["世", "🦜", "&amp;", "\r", "]]", "\u{1}", "\u{FFFE}", "&bad;"] {
            check_unframed(format!("<a b='{before}{odd}'>c{odd}</a><d>{odd}</d>").as_bytes());
        }
        let cut = [format!("<a>{before}").as_bytes(), b"\xE4\xB8</a>"].concat();
        check_unframed(&cut);
    }
}

proptest! {
    #![proptest_config(generate::cases(2_000))]

    #[test]
    fn any_documents_are_found_as_the_framer_finds_them(
        documents in prop::collection::vec(generate::any_document(), 1..4),
    ) {
        check_unframed(documents.concat().as_bytes());
    }
}
