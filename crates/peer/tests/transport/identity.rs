//! Who may talk to whom.

use jackdaw_peer::frame::Worker;
use jackdaw_peer::handshake::{ClusterId, Reason};
use jackdaw_peer::transport::{Credentials, DialError};

use crate::support::{Authority, Node, name};

fn reason(error: &DialError) -> Option<Reason> {
    match error {
        DialError::Refused(refusal) => Some(refusal.reason),
        _ => None,
    }
}

#[tokio::test]
async fn both_ends_learn_who_the_other_is() {
    let authority = Authority::new();
    let (a, mut b) =
        (Node::new(&authority, "a.test").await, Node::new(&authority, "bb.test").await);
    let worker = Worker::new(3).expect("a worker");
    let dialled = a.dialer().link(&b.target(), worker).await.expect("a link");
    let accepted = b.accept_link().await;
    assert_eq!((&dialled.peer.name, dialled.peer.incarnation.0), (&name("bb.test"), 7));
    assert_eq!((&accepted.peer.name, accepted.peer.incarnation.0), (&name("a.test"), 6));
    assert_eq!(accepted.worker, worker);
}

#[tokio::test]
async fn a_name_that_the_certificate_does_not_hold_is_refused_by_whoever_is_dialled() {
    let authority = Authority::new();
    let liar = Node::with(authority.sign("liar", &["liar.test"]), "a.test", (1, 1)).await;
    let b = Node::new(&authority, "b.test").await;
    let error = liar.dialer().link(&b.target(), Worker::FIRST).await.expect_err("refused");
    assert_eq!(reason(&error), Some(Reason::Name), "{error}");
    let error = liar.dialer().control(&b.target()).await.expect_err("refused");
    assert_eq!(reason(&error), Some(Reason::Name), "{error}");
}

#[tokio::test]
async fn a_name_that_the_certificate_does_not_hold_is_refused_by_whoever_dials() {
    let authority = Authority::new();
    let liar = Node::with(authority.sign("liar", &["liar.test"]), "b.test", (1, 1)).await;
    let a = Node::new(&authority, "a.test").await;
    let error = a.dialer().link(&liar.target(), Worker::FIRST).await.expect_err("refused");
    assert_eq!(reason(&error), Some(Reason::Name), "{error}");
}

#[tokio::test]
async fn another_node_than_the_one_dialled_is_refused() {
    let authority = Authority::new();
    let (a, b) = (Node::new(&authority, "a.test").await, Node::new(&authority, "b.test").await);
    let mut target = b.target();
    target.name = Some(name("c.test"));
    let error = a.dialer().link(&target, Worker::FIRST).await.expect_err("refused");
    assert_eq!(reason(&error), Some(Reason::Name), "{error}");
    target.name = None;
    assert!(a.dialer().link(&target, Worker::FIRST).await.is_ok());
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_on_both_sides() {
    let (authority, other) = (Authority::new(), Authority::new());
    let a = Node::new(&authority, "a.test").await;
    let stranger = Node::new(&other, "b.test").await;
    assert!(a.dialer().link(&stranger.target(), Worker::FIRST).await.is_err());
    // The stranger trusts everybody; it is still not trusted.
    let mut files = other.files("b.test");
    files.authority = authority.files("a.test").authority;
    let trusting = Node::with(files, "b.test", (1, 1)).await;
    assert!(trusting.dialer().link(&a.target(), Worker::FIRST).await.is_err());
    assert!(a.dialer().link(&trusting.target(), Worker::FIRST).await.is_err());
}

#[tokio::test]
async fn clusters_do_not_mix() {
    let authority = Authority::new();
    let (a, b) = (Node::new(&authority, "a.test").await, Node::new(&authority, "b.test").await);
    b.myself.send_modify(|myself| myself.cluster = Some(ClusterId([2; 16])));
    let error = a.dialer().link(&b.target(), Worker::FIRST).await.expect_err("refused");
    assert_eq!(reason(&error), Some(Reason::Cluster), "{error}");
    b.myself.send_modify(|myself| myself.cluster = None);
    assert!(a.dialer().link(&b.target(), Worker::FIRST).await.is_ok());
}

#[tokio::test]
async fn a_version_and_the_next_work_together_whoever_dials() {
    let authority = Authority::new();
    let old = Node::with(authority.sign("old", &["old.test"]), "old.test", (1, 1)).await;
    let new = Node::with(authority.sign("new", &["new.test"]), "new.test", (1, 2)).await;
    let far = Node::with(authority.sign("far", &["far.test"]), "far.test", (2, 3)).await;
    for (from, to, version) in [(&old, &new, 1), (&new, &old, 1), (&new, &far, 2), (&far, &new, 2)]
    {
        let link = from.dialer().link(&to.target(), Worker::FIRST).await.expect("a link");
        assert_eq!(link.peer.version.0, version);
        let (control, _) = from.dialer().control(&to.target()).await.expect("a control stream");
        assert_eq!(control.peer.version.0, version);
    }
    let error = old.dialer().link(&far.target(), Worker::FIRST).await.expect_err("refused");
    assert_eq!(reason(&error), Some(Reason::Version), "{error}");
}

#[tokio::test]
async fn a_certificate_is_replaced_without_a_restart() {
    let authority = Authority::new();
    let (a, mut b) = (Node::new(&authority, "a.test").await, Node::new(&authority, "b.test").await);
    let before = a.dialer().link(&b.target(), Worker::FIRST).await.expect("a link");
    let mut accepted = b.accept_link().await;
    authority.sign("b.test", &["b.test", "also.test"]);
    b.credentials.reload().expect("readable");
    assert_eq!(b.credentials.names(), [name("b.test"), name("also.test")]);
    b.myself.send_modify(|myself| myself.name = name("also.test"));
    let after = a.dialer().link(&b.target(), Worker::FIRST).await.expect("a link");
    assert_eq!(after.peer.name, name("also.test"));
    // What is open stays open.
    before.outlet.ready().await.expect("open").send(Vec::new());
    assert_eq!(accepted.inlet.next().await.expect("open"), Some(Vec::new()));
}

#[tokio::test]
async fn files_that_cannot_be_used_change_nothing() {
    let authority = Authority::new();
    let a = Node::new(&authority, "a.test").await;
    let files = authority.files("a.test");
    let key = std::fs::read(&files.key).expect("a key");
    for wrong in [&b""[..], b"no key", &std::fs::read(&files.certificate).expect("a file")] {
        std::fs::write(&files.key, wrong).expect("writable");
        assert!(a.credentials.reload().is_err());
    }
    authority.sign("other", &["other.test"]);
    std::fs::copy(authority.files("other").key, &files.key).expect("writable");
    let error = a.credentials.reload().expect_err("the key of another certificate");
    assert!(error.to_string().contains("do not fit together"), "{error}");
    std::fs::write(&files.key, key).expect("writable");
    a.credentials.reload().expect("as before");
}

#[test]
fn a_certificate_without_a_name_is_refused_when_it_is_read() {
    let authority = Authority::new();
    let error = Credentials::read(authority.sign("a", &[])).expect_err("no name");
    assert!(error.to_string().contains("subjectAltName"), "{error}");
}
