//! What streams carry, and what they do when nobody reads.

use bytes::Bytes;
use jackdaw_peer::frame::{Control, Deliveries, Epoch, Generation, Incarnation, Parcel, Worker};
use jackdaw_peer::transport::{Accepted, CallError, CallKind, Redial, SocketLink};

use crate::support::{Authority, Node, payloads, sends, socket, tenure};

async fn pair() -> (Node, Node) {
    let authority = Authority::new();
    (Node::new(&authority, "a.test").await, Node::new(&authority, "b.test").await)
}

#[tokio::test]
async fn batches_go_both_ways() {
    let (a, mut b) = pair().await;
    let mut socket = a.dialer().link(&b.target(), Worker::FIRST).await.expect("a link");
    let mut owner = b.accept_link().await;
    let batch = vec![sends(1, &[Bytes::from_static(b"<message/>")])];
    socket.outlet.ready().await.expect("open").send(batch.clone());
    assert_eq!(owner.inlet.next().await.expect("open"), Some(batch));
    let stanza = Bytes::from_static(b"<presence/>");
    let parcel = Parcel { stanza, origin: None, origin_hash: 0, settle: 9 };
    let generation = Generation { epoch: Epoch(1), counter: 2 };
    let batch = vec![Deliveries { tenure: tenure(), generation, first: 1, parcels: vec![parcel] }];
    owner.outlet.ready().await.expect("open").send(batch.clone());
    assert_eq!(socket.inlet.next().await.expect("open"), Some(batch));
}

#[tokio::test]
async fn payload_is_not_copied_behind_the_buffer_it_was_received_into() {
    let (a, mut b) = pair().await;
    let socket = a.dialer().link(&b.target(), Worker::FIRST).await.expect("a link");
    let mut owner = b.accept_link().await;
    let stanzas: Vec<Bytes> = (0..32).map(|n| Bytes::from(vec![n; 500])).collect();
    socket.outlet.ready().await.expect("open").send(vec![sends(1, &stanzas)]);
    let received = payloads(&owner.inlet.next().await.expect("open").expect("a batch"));
    assert_eq!(received, stanzas);
    // In one buffer, in the order of the wire, with nothing but heads between them.
    for pair in received.windows(2) {
        let gap = pair[1].as_ptr() as usize - pair[0].as_ptr() as usize - pair[0].len();
        assert!(gap < 32, "{gap} bytes between two payloads");
    }
}

#[tokio::test]
async fn a_reader_that_stops_makes_the_writer_wait_and_nothing_is_lost() {
    let (a, mut b) = pair().await;
    let socket = a.dialer().link(&b.target(), Worker::FIRST).await.expect("a link");
    let mut owner = b.accept_link().await;
    let stanza = Bytes::from(vec![b'x'; 60_000]);
    let mut sent = 0;
    // Windows, TLS and sockets hold some megabytes; then there is no permit, for as long as one
    // waits. 64 MiB is far more than they hold.
    let stopped = loop {
        let permit = socket.outlet.ready();
        tokio::select! {
            biased;
            permit = permit => {
                permit.expect("open").send(vec![sends(sent + 1, std::slice::from_ref(&stanza))]);
                sent += 1;
            }
            () = quiet() => break true,
        }
        if sent > 1_100 {
            break false;
        }
    };
    assert!(stopped, "{sent} batches were taken without a reader");
    for number in 1..=sent {
        let batch = owner.inlet.next().await.expect("open").expect("a batch");
        assert_eq!((batch[0].first, payloads(&batch)[0].len()), (number, 60_000));
    }
    socket.outlet.ready().await.expect("there is room again");
}

/// A writer that has found no room for this long has stopped.
async fn quiet() {
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
}

#[tokio::test]
async fn control_and_calls_pass_a_payload_stream_that_is_full() {
    let (a, mut b) = pair().await;
    let socket = a.dialer().link(&b.target(), Worker::FIRST).await.expect("a link");
    let _unread = b.accept_link().await;
    let stanza = Bytes::from(vec![b'x'; 60_000]);
    let fill = async {
        let mut number = 1;
        while let Ok(permit) = socket.outlet.ready().await {
            permit.send(vec![sends(number, std::slice::from_ref(&stanza))]);
            number += 1;
        }
    };
    let talk = async {
        let (mut control, caller) = a.dialer().control(&b.target()).await.expect("a stream");
        let Some(Accepted::Control(mut other)) = b.accepted.recv().await else {
            panic!("a control stream was expected")
        };
        let frame = Control::Renewed { incarnation: Incarnation(1), request: 4 };
        control.outlet.ready().await.expect("open").send(vec![frame.clone()]);
        assert_eq!(other.inlet.next().await.expect("open"), Some(vec![frame.clone()]));
        other.outlet.ready().await.expect("open").send(vec![frame.clone()]);
        assert_eq!(control.inlet.next().await.expect("open"), Some(vec![frame]));
        let answer = caller.call(CallKind::Vote, Bytes::from_static(b"term 4")).await;
        assert_eq!(answer, Ok(Bytes::from_static(b"a.test Vote term 4")));
    };
    tokio::select! {
        () = fill => panic!("the stream ended"),
        () = talk => {}
    }
}

#[tokio::test]
async fn a_call_is_answered_refused_or_unknown() {
    let (a, b) = pair().await;
    let (_control, caller) = a.dialer().control(&b.target()).await.expect("a stream");
    let body = Bytes::from_static(b"x");
    for kind in [CallKind::Append, CallKind::Lease, CallKind::Membership, CallKind::Snapshot] {
        let answer = caller.call(kind, body.clone()).await.expect("an answer");
        assert_eq!(answer, format!("a.test {kind:?} x"));
    }
    let refused = caller.call(CallKind::Shard, body.clone()).await;
    assert_eq!(refused, Err(CallError::Refused("no shards here".into())));
    let long = caller.call(CallKind::Append, Bytes::from(vec![0; 2 << 20])).await;
    assert!(matches!(long, Err(CallError::Refused(_))), "{long:?}");
    drop(b);
    let unknown = caller.call(CallKind::Append, body).await;
    assert!(matches!(unknown, Err(CallError::Unknown(_))), "{unknown:?}");
}

/// Waits for the end of a link.
async fn end(link: &mut SocketLink) {
    while let Ok(Some(_)) = link.inlet.next().await {}
}

#[tokio::test]
async fn a_node_that_comes_back_is_connected_again() {
    let authority = Authority::new();
    let a = Node::new(&authority, "a.test").await;
    let files = authority.sign("b.test", &["b.test"]);
    // Stays bound, or somebody else could get its port.
    let port = socket();
    let again = port.try_clone().expect("a socket");
    let b = Node::at(port, files.clone(), "b.test", (1, 1)).await;
    let target = b.target();
    let mut redial = Redial::new(a.dialer(), target, 7);
    let mut first = redial.link(Worker::FIRST).await;
    drop(b);
    end(&mut first).await;
    assert!(first.outlet.ready().await.is_err());
    let second = tokio::spawn(async move { redial.link(Worker::FIRST).await });
    let mut b = Node::at(again, files, "b.test", (1, 1)).await;
    let _owner = b.accept_link().await;
    let second = second.await.expect("no panic");
    second.outlet.ready().await.expect("open").send(Vec::new());
}

#[tokio::test]
async fn a_dropped_stream_ends_at_the_other_end() {
    let (a, mut b) = pair().await;
    let mut socket = a.dialer().link(&b.target(), Worker::FIRST).await.expect("a link");
    let owner = b.accept_link().await;
    drop(owner);
    end(&mut socket).await;
    let socket = a.dialer().link(&b.target(), Worker::FIRST).await.expect("a link");
    let mut owner = b.accept_link().await;
    drop(socket);
    while let Ok(Some(_)) = owner.inlet.next().await {}
    assert!(owner.outlet.ready().await.is_err());
}
