//! The machines over the transport, with links that are cut.

use std::time::Instant;

use bytes::Bytes;
use jackdaw_peer::frame::{
    Control, Epoch, Incarnation, Item, LinkId, Origin, Shard, Stanza, Tenure, Worker,
};
use jackdaw_peer::link::{Fence, Intake, IntakeEvent, Local, Uplink, UplinkConfig, UplinkEvent};
use jackdaw_peer::transport::{Accepted, BATCH_BYTES, OwnerLink};

use crate::support::{Authority, Node};

const STANZAS: u64 = 3_000;
const OWNER: Incarnation = Incarnation(6);
const SOCKET: LinkId = LinkId { incarnation: Incarnation(6), worker: Worker::FIRST };

/// Takes and accepts at once; gives up the link after so many batches.
async fn own(intake: &mut Intake, fence: &Fence, link: &mut OwnerLink, batches: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    for _ in 0..batches {
        let Ok(Some(batch)) = link.inlet.next().await else { break };
        for sends in batch {
            intake.handle_sends(SOCKET, sends, fence).expect("an honest peer");
        }
        while let Some(event) = intake.poll_event() {
            let IntakeEvent::Taken { tenure, link, number, item } = event else { continue };
            assert!(intake.accept(fence, tenure, link, number));
            let Item::Stanza(Stanza { origin: Some(origin), .. }) = item else { continue };
            taken.push(origin.inbound);
        }
    }
    taken
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the driver of a machine reads the clock")]
async fn everything_is_taken_once_and_in_order_while_links_are_cut() {
    let authority = Authority::new();
    let (a, mut b) = (Node::new(&authority, "a.test").await, Node::new(&authority, "b.test").await);
    let tenure = Tenure { shard: Shard::new(9).expect("a shard"), epoch: Epoch(5) };
    let (fence, other_fence) = (Fence::default(), Fence::default());
    let mut uplink = Uplink::new(UplinkConfig::new(Worker::FIRST, 1 << 30));
    uplink.assign(&fence, tenure, OWNER);
    let mut intake = Intake::default();
    intake.claim(&other_fence, tenure, Vec::new()).expect("nothing is sound");
    let (mut control, _caller) = a.dialer().control(&b.target()).await.expect("a stream");
    let Some(Accepted::Control(owner_control)) = b.accepted.recv().await else {
        panic!("a control stream was expected")
    };
    let (mut sent, mut handled, mut taken) = (0, 0, Vec::new());
    while handled < STANZAS {
        let socket = a.dialer().link(&b.target(), Worker::FIRST).await.expect("a link");
        let mut owner = b.accept_link().await;
        uplink.handle_connected(OWNER);
        intake.handle_connected(SOCKET.incarnation);
        // What fits below the session's bound goes out, and the link is cut behind three batches.
        while sent < STANZAS {
            let session = jackdaw_peer::frame::Generation { epoch: Epoch(1), counter: 1 };
            let origin = Some(Origin { session, inbound: sent + 1 });
            let stanza = Stanza { origin, stanza: Bytes::from(vec![b'x'; 300]) };
            match uplink.send(tenure.shard, Some(Local(1)), Item::Stanza(stanza)) {
                Ok(_) => sent += 1,
                Err(_) => break,
            }
        }
        let mut batches = 0;
        while let permit = socket.outlet.ready().await.expect("open")
            && let batch = uplink.poll_transmit(Instant::now(), OWNER, BATCH_BYTES)
            && !batch.is_empty()
        {
            permit.send(batch);
            batches += 1;
        }
        taken.extend(own(&mut intake, &other_fence, &mut owner, batches.min(3)).await);
        uplink.handle_disconnected(OWNER);
        let answers = intake.poll_answers(SOCKET.incarnation, 100);
        owner_control.outlet.ready().await.expect("open").send(answers);
        for frame in control.inlet.next().await.expect("open").expect("a batch") {
            let now = Instant::now();
            let result = match frame {
                Control::Receipt(it) => uplink.handle_receipt(now, OWNER, it, &fence),
                Control::Accepts(it) => uplink.handle_accepts(now, OWNER, &it, &fence),
                other => panic!("{other:?}"),
            };
            result.expect("an honest peer");
        }
        while let Some(event) = uplink.poll_event() {
            if let UplinkEvent::Accepted { handled: now, .. } = event {
                handled = now;
            }
        }
    }
    assert!(taken.into_iter().eq(1..=STANZAS));
    assert!(uplink.is_empty());
}
