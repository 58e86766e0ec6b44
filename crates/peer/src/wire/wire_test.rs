use super::*;
use crate::frame::{
    Bind, Entry, Epoch, Generation, Incarnation, Item, Moved, Origin, Parcel, Receipt, Shard,
    Stanza, Tenure, Unbind, Worker,
};
use crate::handshake::{Features, NodeName, Reason, Version, Versions};

fn tenure() -> Tenure {
    Tenure { shard: Shard::new(4095).expect("a shard"), epoch: Epoch(1 << 40) }
}

fn generation() -> Generation {
    Generation { epoch: Epoch(9), counter: 77 }
}

fn payload() -> Bytes {
    Bytes::from_static(b"<message from='a@b/c' to='d@e'><body>Hello</body></message>")
}

fn sends() -> Vec<Sends> {
    let origin = Some(Origin { session: generation(), inbound: 12 });
    let items = [
        Item::Stanza(Stanza { origin, stanza: payload() }),
        Item::Stanza(Stanza { origin: None, stanza: payload() }),
        Item::Bind(Bind { jid: "a@b/c".into(), nonce: 5, previous: Some(generation()) }),
        Item::Unbind(Unbind { jid: "a@b/c".into(), generation: generation() }),
    ];
    let entries = items.into_iter().map(Entry::Item).chain([Entry::Gap(3)]).collect();
    vec![Sends { tenure: tenure(), floor: 3, first: 4, entries }]
}

fn deliveries() -> Vec<Deliveries> {
    let origin = Some(Origin { session: generation(), inbound: 12 });
    let parcel = Parcel { stanza: payload(), origin, origin_hash: 3, settle: 4 };
    vec![Deliveries { tenure: tenure(), generation: generation(), first: 1, parcels: vec![parcel] }]
}

/// What is written is what is read.
fn check<T: Framed + Clone + PartialEq + std::fmt::Debug>(message: T) {
    let bytes = Bytes::from(message.clone().encode());
    assert_eq!(T::decode(bytes), Ok(message));
}

#[test]
fn batches_are_read_as_they_were_written() {
    check(Upward::Batch(sends()));
    check(Upward::Batch(Vec::new()));
    check(Downward::Batch(deliveries()));
}

#[test]
fn every_control_frame_is_read_as_it_was_written() {
    let (tenure, generation, worker) = (tenure(), generation(), Worker::new(7).expect("a worker"));
    let ranges = vec![crate::frame::Range { first: 4, count: 2 }];
    let some = crate::frame::SessionRanges { tenure, generation, ranges: ranges.clone() };
    let frames = vec![
        Control::Receipt(Receipt { tenure, worker, next: 7, missed: true }),
        Control::Accepts(crate::frame::Accepts { tenure, worker, ranges }),
        Control::Moved(Moved { tenure, owner: Some(Incarnation(9)) }),
        Control::Moved(Moved { tenure, owner: None }),
        Control::BindOk { tenure, nonce: 4, generation },
        Control::BindConflict { tenure, nonce: 4 },
        Control::Evict { tenure, generation, nonce: 4 },
        Control::Evicted { tenure, generation, inbound: 5, delivered: 6 },
        Control::DeliveryReceipt(crate::frame::DeliveryReceipt {
            tenure,
            generation,
            next: 8,
            missed: false,
        }),
        Control::Acknowledged(some.clone()),
        Control::Settled(some),
        Control::Gone(crate::frame::Gone { tenure, generation }),
        Control::Renew {
            incarnation: Incarnation(3),
            request: 1,
            unreachable: vec![Incarnation(4)],
        },
        Control::Renewed { incarnation: Incarnation(3), request: 1 },
        Control::Recover { request: 2, epoch: Epoch(8), shards: vec![tenure.shard] },
        Control::Recovered { request: 2, records: vec![payload()], last: true },
    ];
    check(OnControl::Batch(frames));
}

#[test]
fn handshakes_are_read_as_they_were_written() {
    let name = NodeName::new("jackdaw-0").expect("a name");
    let hello = Hello {
        versions: Versions::OURS,
        features: Features(3),
        cluster: Some(crate::handshake::ClusterId([1; 16])),
        name: name.clone(),
        incarnation: Incarnation(4),
        worker: Worker::FIRST,
    };
    check(Upward::Hello(hello.clone()));
    check(OnControl::Hello(hello));
    let (version, features) = (Version(1), Features(2));
    let incarnation = Incarnation(0);
    check(Downward::Welcome(Welcome { version, features, cluster: None, name, incarnation }));
    let text = "no".to_owned();
    for reason in [Reason::Cluster, Reason::Malformed, Reason::Myself, Reason::Name, Reason::Other]
    {
        let refusal = Refusal { reason, text: text.clone(), versions: Versions::OURS };
        check(Downward::Refusal(refusal));
    }
}

#[test]
fn payload_is_a_slice_of_the_message() {
    let bytes = Bytes::from(Upward::Batch(sends()).encode());
    let whole = bytes.as_ptr_range();
    let Ok(Upward::Batch(sends)) = Upward::decode(bytes.clone()) else { panic!("a batch") };
    let Entry::Item(Item::Stanza(stanza)) = &sends[0].entries[0] else { panic!("a stanza") };
    let payload = stanza.stanza.as_ptr_range();
    assert!(whole.start <= payload.start && payload.end <= whole.end);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut wrong = sends();
    wrong[0].entries = vec![Entry::Gap(0)];
    let zero = |floor, first| vec![Sends { floor, first, ..sends().remove(0) }];
    for sends in [wrong, zero(0, 1), zero(1, 0)] {
        assert!(Upward::decode(Upward::Batch(sends).encode().into()).is_err());
    }
    assert!(Upward::decode(Bytes::new()).is_err());
    assert!(Upward::decode(Bytes::from_static(b"\xff\xff")).is_err());
    let shard = v1::Sends { shard: 4096, epoch: 1, floor: 1, first: 1, entries: vec![] };
    assert!(Sends::try_from(shard).is_err());
}

#[test]
fn a_control_frame_of_a_later_version_is_left_out() {
    let known =
        OnControl::Batch(vec![Control::Renewed { incarnation: Incarnation(1), request: 1 }]);
    let mut batch = v1::ControlBatch::default();
    let v1::control::Frame::Batch(frames) =
        v1::Control::from(known.clone()).frame.expect("a frame")
    else {
        panic!("a batch")
    };
    batch.frames.push(v1::ControlFrame { frame: None });
    batch.frames.extend(frames.frames);
    let message = v1::Control { frame: Some(v1::control::Frame::Batch(batch)) };
    assert_eq!(OnControl::decode(message.encode_to_vec().into()), Ok(known));
}

#[test]
fn a_message_of_empty_entries_is_refused_before_anything_is_built() {
    let entries = vec![v1::Entry::default(); FIELDS_MAX];
    let sends = v1::Sends { shard: 1, epoch: 1, floor: 1, first: 1, entries };
    let batch = v1::UpwardBatch { sends: vec![sends] };
    let message = v1::Upward { frame: Some(v1::upward::Frame::Batch(batch)) };
    let refused = Upward::decode(message.encode_to_vec().into());
    assert_eq!(refused, Err(Malformed("a message has too many fields")));
}
