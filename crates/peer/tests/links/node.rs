//! One node: the four machines, and the little above them that the protocol needs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use jackdaw_peer::frame::{
    Control, Deliveries, Incarnation, Item, LinkId, Origin, Parcel, Sends, Tenure, Worker,
};
use jackdaw_peer::link::{Arrivals, Downlink, Fence, Intake, IntakeEvent, Uplink, UplinkConfig};

use crate::clients::Recipient;

/// Small, so that bounds are met all the time.
const SESSION_BYTES_MAX: usize = 1_200;
const SHARD_BYTES_MAX: usize = 2_500;
const BYTES_MAX: usize = 5_000;

/// A message under way.
#[derive(Clone, Debug)]
pub enum Message {
    Up(Sends),
    Down(Deliveries),
    Control(Control),
}

/// Taken, and not durable yet.
#[derive(Clone, Debug)]
pub struct Taken {
    pub tenure: Tenure,
    pub link: LinkId,
    pub number: u64,
    pub origin: Origin,
}

pub struct Node {
    pub fence: Fence,
    pub uplink: Uplink,
    pub intake: Intake,
    pub downlink: Downlink,
    pub arrivals: Arrivals,
    /// Commits in the order of acceptance, per recipient.
    pub commits: BTreeMap<Recipient, VecDeque<Taken>>,
    /// What the downlink had no room for, or whose session had another owner at that moment.
    pub spool: BTreeMap<Recipient, VecDeque<Origin>>,
}

impl Node {
    pub fn new() -> Node {
        let config = UplinkConfig {
            worker: Worker::FIRST,
            session_bytes_max: SESSION_BYTES_MAX,
            shard_bytes_max: SHARD_BYTES_MAX,
            bytes_max: BYTES_MAX,
        };
        Node {
            fence: Fence::default(),
            uplink: Uplink::new(config),
            intake: Intake::default(),
            downlink: Downlink::default(),
            arrivals: Arrivals::default(),
            commits: BTreeMap::new(),
            spool: BTreeMap::new(),
        }
    }

    /// Its one payload stream to every other node.
    pub fn link(name: Incarnation) -> LinkId {
        LinkId { incarnation: name, worker: Worker::FIRST }
    }

    pub fn receive(&mut self, now: Instant, from: Incarnation, message: Message) {
        let fence = &self.fence;
        let result = match message {
            Message::Up(sends) => self.intake.handle_sends(Node::link(from), sends, fence),
            Message::Down(deliveries) => self.arrivals.handle_deliveries(from, deliveries, fence),
            Message::Control(Control::Receipt(receipt)) => {
                self.uplink.handle_receipt(now, from, receipt, fence)
            }
            Message::Control(Control::Accepts(accepts)) => {
                self.uplink.handle_accepts(now, from, &accepts, fence)
            }
            Message::Control(Control::Moved(moved)) => {
                self.uplink.handle_moved(moved, fence);
                Ok(())
            }
            Message::Control(Control::DeliveryReceipt(receipt)) => {
                self.downlink.handle_receipt(now, from, receipt, fence)
            }
            Message::Control(other) => panic!("{other:?} was never sent"),
        };
        result.expect("an honest peer");
    }

    /// What is taken waits for its commit.
    pub fn collect(&mut self) -> Vec<Taken> {
        let mut all = Vec::new();
        while let Some(event) = self.intake.poll_event() {
            let IntakeEvent::Taken { tenure, link, number, item } = event else { continue };
            let Item::Stanza(stanza) = item else { panic!("only stanzas were sent") };
            let origin = stanza.origin.expect("clients have one");
            let taken = Taken { tenure, link, number, origin };
            let to = Recipient(stanza.stanza[0]);
            self.commits.entry(to).or_default().push_back(taken.clone());
            all.push(taken);
        }
        all
    }

    /// A row is durable: deliver it, behind what could not be delivered yet.
    pub fn deliver(&mut self, to: Recipient, origin: Origin) {
        self.spool.entry(to).or_default().push_back(origin);
        self.flush(to);
    }

    pub fn flush(&mut self, to: Recipient) {
        let Some(waiting) = self.spool.get_mut(&to) else { return };
        while let Some(origin) = waiting.front().copied() {
            let parcel = Parcel {
                stanza: Bytes::from_static(b"<message/>"),
                origin: Some(origin),
                origin_hash: 0,
                settle: 0,
            };
            if self.downlink.deliver(to.generation(), parcel).is_err() {
                break;
            }
            waiting.pop_front();
        }
    }

    /// What it has for another node, in small pieces.
    pub fn transmit(&mut self, now: Instant, to: Incarnation, bytes: usize) -> Vec<Message> {
        let up = self.uplink.poll_transmit(now, to, bytes).into_iter().map(Message::Up);
        let down = self.downlink.poll_transmit(now, Node::link(to), bytes, &self.fence);
        let answers = self.intake.poll_answers(to, 3).into_iter();
        let answers = answers.chain(self.arrivals.poll_answers(to, 3, &self.fence));
        let controls = answers.map(Message::Control);
        controls.chain(up).chain(down.into_iter().map(Message::Down)).collect()
    }

    pub fn connected(&mut self, peer: Incarnation) {
        self.uplink.handle_connected(peer);
        self.downlink.handle_connected(Node::link(peer));
        self.intake.handle_connected(peer);
    }

    pub fn disconnected(&mut self, peer: Incarnation) {
        self.uplink.handle_disconnected(peer);
        self.downlink.handle_disconnected(Node::link(peer));
    }

    pub fn timeout(&mut self, now: Instant) {
        self.uplink.handle_timeout(now);
        self.downlink.handle_timeout(now);
        assert!(self.uplink.bytes() <= BYTES_MAX, "the bound of all is passed");
    }
}
