use super::*;

fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a name")
}

fn node(text: &str, min: u32, max: u32) -> Myself {
    Myself {
        versions: Versions::new(Version(min), Version(max)).expect("versions"),
        features: Features(0b0110),
        cluster: Some(ClusterId([7; 16])),
        name: name(text),
        incarnation: Incarnation(3),
    }
}

/// What `dialler` and `dialled` come to, each with a certificate for its own name.
fn meet(dialler: &Myself, dialled: &Myself) -> Result<(Agreed, Agreed), Refusal> {
    let hello = dialler.hello(Worker::FIRST);
    let (welcome, there) = dialled.answer(&hello, std::slice::from_ref(&dialler.name))?;
    let here = dialler.check(welcome, std::slice::from_ref(&dialled.name), Some(&dialled.name))?;
    Ok((here, there))
}

#[test]
fn neighbouring_versions_work_together_whoever_dials() {
    let (old, new) = (node("old", 1, 1), node("new", 1, 2));
    for (a, b, version) in [(&old, &new, 1), (&new, &old, 1), (&new, &node("newer", 2, 3), 2)] {
        let (here, there) = meet(a, b).expect("they agree");
        assert_eq!((here.version, there.version), (Version(version), Version(version)));
    }
}

#[test]
fn versions_too_far_apart_are_refused_with_what_is_spoken() {
    let refusal = meet(&node("a", 1, 1), &node("b", 2, 3)).expect_err("nothing in common");
    assert_eq!(refusal.reason, Reason::Version);
    assert_eq!(refusal.to_string(), "no version of 1–1 is spoken here (it speaks versions 2–3)");
}

#[test]
fn used_is_what_both_have() {
    let other = Myself { features: Features(0b0011), ..node("b", 1, 1) };
    let (here, there) = meet(&node("a", 1, 1), &other).expect("they agree");
    assert_eq!((here.features, there.features), (Features(0b0010), Features(0b0010)));
}

#[test]
fn a_name_has_to_be_in_the_certificate_on_both_sides() {
    let (a, b) = (node("a", 1, 1), node("b", 1, 1));
    let refusal = b.answer(&a.hello(Worker::FIRST), &[name("c")]).expect_err("not its name");
    assert_eq!(refusal.reason, Reason::Name);
    let (welcome, _) = b.answer(&a.hello(Worker::FIRST), &[name("a")]).expect("its name");
    assert!(a.check(welcome.clone(), &[name("c")], None).is_err());
    assert!(a.check(welcome.clone(), &[name("b")], Some(&name("c"))).is_err());
    assert!(a.check(welcome, &[name("b")], None).is_ok());
}

#[test]
fn clusters_do_not_mix_but_whoever_is_in_none_may_ask() {
    let other = Myself { cluster: Some(ClusterId([8; 16])), ..node("b", 1, 1) };
    let refusal = meet(&node("a", 1, 1), &other).expect_err("another cluster");
    assert_eq!(refusal.reason, Reason::Cluster);
    let fresh = Myself { cluster: None, ..node("b", 1, 1) };
    assert!(meet(&node("a", 1, 1), &fresh).is_ok() && meet(&fresh, &node("a", 1, 1)).is_ok());
}

#[test]
fn a_node_does_not_talk_to_itself() {
    let refusal = meet(&node("a", 1, 1), &node("a", 1, 1)).expect_err("itself");
    assert_eq!(refusal.reason, Reason::Myself);
}

#[test]
fn a_version_that_was_not_offered_is_refused() {
    let (a, b) = (node("a", 1, 1), node("b", 1, 2));
    let (welcome, _) = b.answer(&a.hello(Worker::FIRST), &[name("a")]).expect("they agree");
    let wrong = Welcome { version: Version(2), ..welcome };
    assert_eq!(a.check(wrong, &[name("b")], None).map_err(|r| r.reason), Err(Reason::Version));
}

#[test]
fn names_are_dns_names() {
    assert_eq!(name("Jackdaw-0.Example.NET").as_str(), "jackdaw-0.example.net");
    let long = "a".repeat(64);
    for wrong in ["", "a..b", ".a", "*.example.net", "a b", "-a", "a-", "é", &long] {
        assert_eq!(NodeName::new(wrong), None, "{wrong}");
    }
}
