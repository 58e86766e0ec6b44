use super::*;
use crate::test_harness::Harness;
use jackdaw_xml::{Limits, Scope};

fn info(content: &str) -> Element {
    let xml = format!("<query xmlns='http://jabber.org/protocol/disco#info'>{content}</query>");
    Element::parse(xml.as_bytes(), &Scope::client(), &Limits::trusted()).expect("XML")
}

const FEATURES: &str = "<feature var='http://jabber.org/protocol/disco#items'/>\
    <feature var='http://jabber.org/protocol/muc'/>\
    <feature var='http://jabber.org/protocol/caps'/>\
    <feature var='http://jabber.org/protocol/disco#info'/>";

const FORM: &str = "<x xmlns='jabber:x:data' type='result'>\
    <field var='os_version'><value>10.5.1</value></field>\
    <field var='FORM_TYPE' type='hidden'>\
    <value>urn:xmpp:dataforms:softwareinfo</value></field>\
    <field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>\
    <field var='os'><value>Mac</value></field>\
    <field var='software'><value>Psi</value></field>\
    <field var='software_version'><value>0.11</value></field></x>";

const PSI: &str = "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
    <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>";

const EXODUS: &str = "<identity category='client' name='Exodus 0.9.1' type='pc'/>";

#[test]
fn the_simple_example_of_the_document_verifies() {
    let info = info(&format!("{EXODUS}{FEATURES}"));
    assert_eq!(verify(&info, Hash::Sha1, "QgayPKawpkPSDYmwT/WM94uAlu0="), Ok(()));
}

#[test]
fn the_complex_example_of_the_document_verifies() {
    let info = info(&format!("{PSI}{FEATURES}{FORM}"));
    assert_eq!(verify(&info, Hash::Sha1, "q07IKJEyjvHSyhy//CH0CxmKi8w="), Ok(()));
}

#[test]
fn information_that_gives_another_hash_is_refused() {
    let forged = info(&format!("{EXODUS}{FEATURES}<feature var='urn:evil'/>"));
    let outcome = verify(&forged, Hash::Sha1, "QgayPKawpkPSDYmwT/WM94uAlu0=");
    assert_eq!(outcome, Err(CapsError::Mismatch));
}

#[test]
fn duplicates_and_parts_that_read_as_several_are_ill_formed() {
    for content in [
        format!("{EXODUS}{EXODUS}{FEATURES}"),
        format!("{EXODUS}{FEATURES}{FEATURES}"),
        format!("{EXODUS}{FORM}{FORM}"),
        "<feature var='a&lt;b'/>".to_owned(),
        "<feature/>".to_owned(),
        "<identity category='client/pc' type='' name='x'/>".to_owned(),
        "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>a</value>\
         <value>b</value></field></x>"
            .to_owned(),
    ] {
        let outcome = verification(&info(&content), Hash::Sha1);
        assert_eq!(outcome, Err(CapsError::IllFormed), "{content}");
    }
}

#[test]
fn a_form_without_a_hidden_type_is_ignored() {
    let plain = verification(&info(&format!("{EXODUS}{FEATURES}")), Hash::Sha256);
    for form in [
        "<x xmlns='jabber:x:data'><field var='a'><value>b</value></field></x>",
        "<x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>b</value></field></x>",
    ] {
        let with_form = info(&format!("{EXODUS}{FEATURES}{form}"));
        assert_eq!(verification(&with_form, Hash::Sha256), plain);
    }
}

#[test]
fn the_stream_feature_leads_to_information_with_that_hash() {
    let harness = Harness::new();
    let juliet = harness.connect("juliet@capulet.lit/balcony");
    let features = harness.registry.stream_features();
    let caps = features.iter().find(|e| e.is(ns::CAPS, "c")).expect("capabilities");
    let (node, ver) = (caps.attr("node").expect("a node"), caps.attr("ver").expect("a hash"));
    let query =
        format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}#{ver}'/>");
    let answer = harness.get(&juliet, "capulet.lit", &query);
    let answer = Element::parse(answer.as_bytes(), &Scope::client(), &Limits::trusted());
    let answer = answer.expect("XML");
    assert_eq!(answer.attr("node"), Some(format!("{node}#{ver}").as_str()));
    let hash = Hash::parse(caps.attr("hash").expect("a hash function")).expect("known");
    assert_eq!(verify(&answer, hash, ver), Ok(()));
    let stale = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}#x'/>");
    assert_eq!(harness.get(&juliet, "capulet.lit", &stale), "item-not-found");
}
