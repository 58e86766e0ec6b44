//! What other nodes send: no panic, no memory beyond what bytes pay for, and what is read is
//! written the same. A certificate makes a peer known, not right.
//!
//! An input is a row of messages: a byte whose low bits say of which stream, two for the length,
//! the message.

use std::time::{Duration, Instant};

use bytes::Bytes;
use jackdaw_peer::frame::{
    Control, Entry, Epoch, Generation, Incarnation, Item, LinkId, Parcel, Shard, Stanza, Tenure,
    Worker,
};
use jackdaw_peer::handshake::{ClusterId, Features, Hello, Myself, NodeName, Versions};
use jackdaw_peer::link::{
    Arrivals, Downlink, Fence, Intake, Local, Uplink, UplinkConfig, Violation,
};
use jackdaw_peer::wire::{Downward, Framed, OnControl, Upward};

/// The node that sends.
const PEER: LinkId = LinkId { incarnation: Incarnation(2), worker: Worker::FIRST };

/// Messages of one input; more show nothing new.
const MESSAGES_MAX: usize = 64;

pub(crate) fn run(data: &[u8]) {
    let mut node = Node::new();
    let mut rest = data;
    for _ in 0..MESSAGES_MAX {
        let [kind, high, low, others @ ..] = rest else { break };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(others.len());
        let (message, others) = others.split_at(length);
        rest = others;
        let message = Bytes::copy_from_slice(message);
        match kind % 3 {
            0 => node.upward(message),
            1 => node.downward(message),
            _ => node.control(message),
        }
        node.drain();
    }
}

/// Decodes, and sees that the same is written.
fn read<T: Framed + Clone + PartialEq + std::fmt::Debug>(message: Bytes) -> Option<T> {
    let read = T::decode(message).ok()?;
    let written = Bytes::from(read.clone().encode());
    assert_eq!(T::decode(written).as_ref(), Ok(&read), "it reads otherwise when it is written");
    Some(read)
}

/// All machines of one node, with something in each: shard 1 is ours, shard 2 is the peer's, and a
/// session of each has its socket at the other.
struct Node {
    now: Instant,
    fence: Fence,
    uplink: Uplink,
    intake: Intake,
    downlink: Downlink,
    arrivals: Arrivals,
}

fn tenure(shard: u16) -> Tenure {
    Tenure { shard: Shard::new(shard).expect("a shard"), epoch: Epoch(5) }
}

fn generation(counter: u64) -> Generation {
    Generation { epoch: Epoch(5), counter }
}

impl Node {
    #[expect(clippy::disallowed_methods, reason = "an origin; nothing reads the clock after it")]
    fn new() -> Node {
        let now = Instant::now();
        let fence = Fence::default();
        let mut uplink = Uplink::new(UplinkConfig::new(Worker::FIRST, 1 << 20));
        let (mut intake, mut downlink) = (Intake::default(), Downlink::default());
        let mut arrivals = Arrivals::default();
        uplink.assign(&fence, tenure(2), PEER.incarnation);
        uplink.handle_connected(PEER.incarnation);
        intake.claim(&fence, tenure(1), Vec::new()).expect("nothing is sound");
        downlink.handle_connected(PEER);
        downlink.open(&fence, tenure(1), generation(1), PEER, 1);
        arrivals.open(tenure(2).shard, generation(2), 1);
        let stanza = Bytes::from_static(b"<message/>");
        for _ in 0..8 {
            let item = Item::Stanza(Stanza { origin: None, stanza: stanza.clone() });
            uplink.send(tenure(2).shard, Some(Local(1)), item).expect("room");
            let parcel = Parcel { stanza: stanza.clone(), origin: None, origin_hash: 0, settle: 0 };
            downlink.deliver(generation(1), parcel).expect("room");
        }
        uplink.poll_transmit(now, PEER.incarnation, usize::MAX);
        downlink.poll_transmit(now, PEER, usize::MAX, &fence);
        Node { now, fence, uplink, intake, downlink, arrivals }
    }

    fn upward(&mut self, message: Bytes) {
        match read::<Upward>(message) {
            Some(Upward::Hello(hello)) => greet(&hello),
            Some(Upward::Batch(batch)) => {
                for sends in batch {
                    let items = |entry: &&Entry| matches!(entry, Entry::Item(_));
                    let most = sends.entries.iter().filter(items).count();
                    judge(self.intake.handle_sends(PEER, sends, &self.fence));
                    let taken = std::iter::from_fn(|| self.intake.poll_event()).count();
                    // One more may say that the node is deposed.
                    assert!(taken <= most + 1, "{taken} events of {most} items");
                }
            }
            None => {}
        }
    }

    fn downward(&mut self, message: Bytes) {
        let Some(Downward::Batch(batch)) = read::<Downward>(message) else { return };
        for deliveries in batch {
            let most = deliveries.parcels.len();
            let from = PEER.incarnation;
            judge(self.arrivals.handle_deliveries(from, deliveries, &self.fence));
            assert!(std::iter::from_fn(|| self.arrivals.poll_event()).count() <= most);
        }
    }

    fn control(&mut self, message: Bytes) {
        match read::<OnControl>(message) {
            Some(OnControl::Hello(hello)) => greet(&hello),
            Some(OnControl::Batch(frames)) => {
                frames.into_iter().for_each(|frame| self.frame(frame));
            }
            Some(OnControl::Welcome(_) | OnControl::Refusal(_)) | None => {}
        }
    }

    fn frame(&mut self, frame: Control) {
        let (now, from, fence) = (self.now, PEER.incarnation, &self.fence);
        match frame {
            Control::Receipt(it) => judge(self.uplink.handle_receipt(now, from, it, fence)),
            Control::Accepts(it) => judge(self.uplink.handle_accepts(now, from, &it, fence)),
            Control::Moved(it) => self.uplink.handle_moved(it, fence),
            Control::DeliveryReceipt(it) => {
                judge(self.downlink.handle_receipt(now, from, it, fence));
            }
            Control::Gone(it) => self.downlink.handle_gone(from, it, fence),
            // For the layers above.
            _ => {}
        }
    }

    /// Everything is polled until it is empty, and ends.
    fn drain(&mut self) {
        self.now += Duration::from_secs(1);
        let (now, from) = (self.now, PEER.incarnation);
        self.uplink.handle_timeout(now);
        self.downlink.handle_timeout(now);
        while self.uplink.poll_event().is_some() || self.downlink.poll_event().is_some() {}
        let room = 1 << 16;
        assert!(self.uplink.poll_transmit(now, from, room).len() <= 1);
        assert!(self.downlink.poll_transmit(now, PEER, room, &self.fence).len() <= 1);
        let most = 1_000;
        while !self.intake.poll_answers(from, most).is_empty() {}
        while !self.arrivals.poll_answers(from, most, &self.fence).is_empty() {}
        assert!(self.uplink.bytes() <= 1 << 20);
    }
}

/// A violation ends the connection, and is an answer like any other.
fn judge(result: Result<(), Violation>) {
    let (Ok(()) | Err(_)) = result;
}

/// Whoever is let in has the name of its certificate, and a version that both speak.
fn greet(hello: &Hello) {
    let myself = Myself {
        versions: Versions::OURS,
        features: Features(1),
        cluster: Some(ClusterId([1; 16])),
        name: NodeName::new("here.test").expect("a name"),
        incarnation: Incarnation(1),
    };
    let certified = [NodeName::new("there.test").expect("a name")];
    if let Ok((welcome, agreed)) = myself.answer(hello, &certified) {
        assert!(certified.contains(&agreed.name));
        assert!(
            hello.versions.contains(welcome.version) && myself.versions.contains(welcome.version)
        );
        assert!(hello.cluster.is_none_or(|cluster| Some(cluster) == myself.cluster));
    }
}
