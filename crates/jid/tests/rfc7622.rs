//! The examples of RFC 7622 §3.5, and what other servers got wrong (bad inputs, row A12).

use jackdaw_jid::{Jid, JidRef};
use proptest::prelude::*;

fn check(text: &str, normal: Option<&str>) {
    let parsed = Jid::parse(text).ok();
    assert_eq!(parsed.as_ref().map(Jid::as_str), normal, "{text:?}");
}

#[test]
fn the_valid_examples_of_the_rfc_are_jids() {
    for (text, normal) in [
        ("juliet@example.com", "juliet@example.com"),
        ("juliet@example.com/foo", "juliet@example.com/foo"),
        ("juliet@example.com/foo bar", "juliet@example.com/foo bar"),
        ("juliet@example.com/foo@bar", "juliet@example.com/foo@bar"),
        ("foo\\20bar@example.com", "foo\\20bar@example.com"),
        ("fussball@example.com", "fussball@example.com"),
        ("fu\u{df}ball@example.com", "fu\u{df}ball@example.com"),
        ("\u{3c0}@example.com", "\u{3c0}@example.com"),
        ("\u{3a3}@example.com/foo", "\u{3c3}@example.com/foo"),
        ("\u{3c3}@example.com/foo", "\u{3c3}@example.com/foo"),
        ("\u{3c2}@example.com/foo", "\u{3c2}@example.com/foo"),
        ("king@example.com/\u{265a}", "king@example.com/\u{265a}"),
        ("example.com", "example.com"),
        ("example.com/foobar", "example.com/foobar"),
        ("a.example.com/b@example.net", "a.example.com/b@example.net"),
    ] {
        check(text, Some(normal));
    }
}

#[test]
fn the_invalid_examples_of_the_rfc_are_refused() {
    for text in [
        "\"juliet\"@example.com",
        "foo bar@example.com",
        "juliet@example.com/",
        "@example.com",
        "@example.com/foo",
        "henry\u{2163}@example.com",
        "\u{265a}@example.com",
        "juliet@",
        "/foobar",
        "",
        "@",
        "/",
        "a@b@c",
        "a@b c",
    ] {
        check(text, None);
    }
}

#[test]
fn every_spelling_has_one_normal_form() {
    for (text, normal) in [
        ("JULIET@EXAMPLE.COM/Balcony", "juliet@example.com/Balcony"),
        ("juliet@example.com.", "juliet@example.com"),
        ("\u{ff4a}uliet@example.com", "juliet@example.com"),
        ("juliet@xn--mnchen-3ya.example", "juliet@m\u{fc}nchen.example"),
        ("juliet@M\u{dc}NCHEN.example", "juliet@m\u{fc}nchen.example"),
        ("juliet@[::1]", "juliet@[::1]"),
        ("juliet@[0:0:0:0:0:0:0:1]", "juliet@[::1]"),
        ("juliet@127.0.0.1", "juliet@127.0.0.1"),
    ] {
        check(text, Some(normal));
    }
}

#[test]
fn a_part_may_have_1023_bytes_after_mapping() {
    let most = "a".repeat(1023);
    check(&format!("{most}@b/{most}"), Some(&format!("{most}@b/{most}")));
    check(&format!("a{most}@b"), None);
    check(&format!("a@b/a{most}"), None);
    check(&"x".repeat(1_000_000), None);
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing(text in "\\PC{1,12}(@\\PC{1,12})?(/\\PC{1,12})?") {
        if let Ok(jid) = Jid::parse(&text) {
            let again = Jid::parse(jid.as_str());
            prop_assert_eq!(again.as_ref().map(Jid::as_str), Ok(jid.as_str()));
            prop_assert_eq!(again.map(|j| j.bare_str().to_owned()), Ok(jid.bare_str().to_owned()));
        }
    }

    #[test]
    fn the_borrowed_parser_agrees_with_the_owned_one(text in "[a-cA-C.@/ -]{0,12}") {
        if let Some(borrowed) = JidRef::parse_normalised(&text) {
            let owned = Jid::parse(&text);
            prop_assert_eq!(owned.as_ref().map(Jid::as_str), Ok(text.as_str()));
            prop_assert_eq!(owned.ok().map(|jid| jid.to_bare().as_str().to_owned()),
                            Some(borrowed.bare_str().to_owned()));
        }
    }
}
