//! To the wire. Nothing here can fail, and no payload is copied: prost copies it once, into the
//! buffer that is sent.

use super::{Downward, Upward, v1};
use crate::frame::{
    Bind, Deliveries, Entry, Generation, Item, Origin, Parcel, Range, Sends, Stanza, Unbind,
};

pub(super) fn ranges(ranges: Vec<Range>) -> Vec<v1::Range> {
    let run = |range: Range| v1::Range { first: range.first, count: range.count };
    ranges.into_iter().map(run).collect()
}

impl From<Generation> for v1::Generation {
    fn from(generation: Generation) -> v1::Generation {
        v1::Generation { epoch: generation.epoch.0, counter: generation.counter }
    }
}

fn origin(origin: Option<Origin>) -> (Option<v1::Generation>, u64) {
    origin.map_or((None, 0), |origin| (Some(origin.session.into()), origin.inbound))
}

impl From<Upward> for v1::Upward {
    fn from(message: Upward) -> v1::Upward {
        let frame = match message {
            Upward::Hello(hello) => v1::upward::Frame::Hello(hello.into()),
            Upward::Batch(sends) => {
                let sends = sends.into_iter().map(v1::Sends::from).collect();
                v1::upward::Frame::Batch(v1::UpwardBatch { sends })
            }
        };
        v1::Upward { frame: Some(frame) }
    }
}

impl From<Sends> for v1::Sends {
    fn from(sends: Sends) -> v1::Sends {
        v1::Sends {
            shard: sends.tenure.shard.number().into(),
            epoch: sends.tenure.epoch.0,
            floor: sends.floor,
            first: sends.first,
            entries: sends.entries.into_iter().map(v1::Entry::from).collect(),
        }
    }
}

impl From<Entry> for v1::Entry {
    fn from(entry: Entry) -> v1::Entry {
        let entry = match entry {
            Entry::Item(Item::Stanza(stanza)) => v1::entry::Entry::Stanza(stanza.into()),
            Entry::Item(Item::Bind(bind)) => v1::entry::Entry::Bind(bind.into()),
            Entry::Item(Item::Unbind(unbind)) => v1::entry::Entry::Unbind(unbind.into()),
            Entry::Gap(count) => v1::entry::Entry::Gap(count),
        };
        v1::Entry { entry: Some(entry) }
    }
}

impl From<Stanza> for v1::Stanza {
    fn from(stanza: Stanza) -> v1::Stanza {
        let (session, inbound) = origin(stanza.origin);
        v1::Stanza { session, inbound, stanza: stanza.stanza }
    }
}

impl From<Bind> for v1::Bind {
    fn from(bind: Bind) -> v1::Bind {
        let previous = bind.previous.map(v1::Generation::from);
        v1::Bind { jid: bind.jid.into_string(), nonce: bind.nonce, previous }
    }
}

impl From<Unbind> for v1::Unbind {
    fn from(unbind: Unbind) -> v1::Unbind {
        let generation = Some(unbind.generation.into());
        v1::Unbind { jid: unbind.jid.into_string(), generation }
    }
}

impl From<Downward> for v1::Downward {
    fn from(message: Downward) -> v1::Downward {
        let frame = match message {
            Downward::Welcome(welcome) => v1::downward::Frame::Welcome(welcome.into()),
            Downward::Refusal(refusal) => v1::downward::Frame::Refusal(refusal.into()),
            Downward::Batch(deliveries) => {
                let deliveries = deliveries.into_iter().map(v1::Deliveries::from).collect();
                v1::downward::Frame::Batch(v1::DownwardBatch { deliveries })
            }
        };
        v1::Downward { frame: Some(frame) }
    }
}

impl From<Deliveries> for v1::Deliveries {
    fn from(deliveries: Deliveries) -> v1::Deliveries {
        v1::Deliveries {
            shard: deliveries.tenure.shard.number().into(),
            epoch: deliveries.tenure.epoch.0,
            generation: Some(deliveries.generation.into()),
            first: deliveries.first,
            deliveries: deliveries.parcels.into_iter().map(v1::Delivery::from).collect(),
        }
    }
}

impl From<Parcel> for v1::Delivery {
    fn from(parcel: Parcel) -> v1::Delivery {
        let (sender, inbound) = origin(parcel.origin);
        let (origin, settle) = (parcel.origin_hash, parcel.settle);
        v1::Delivery { stanza: parcel.stanza, sender, inbound, origin, settle }
    }
}
