//! From the wire: everything is checked here once, and is a type behind it.

use super::{Downward, Malformed, Upward, v1};
use crate::frame::{
    Bind, Deliveries, Entry, Epoch, Generation, Item, Origin, Parcel, Range, Sends, Shard, Stanza,
    Tenure, Unbind, Worker,
};

/// The longest address: three parts of 1,023 bytes (RFC 7622 §3.1) and two separators.
const JID_BYTES_MAX: usize = 3 * 1023 + 2;

/// A field that has to be there.
pub(super) fn needed<T>(field: Option<T>) -> Result<T, Malformed> {
    field.ok_or(Malformed("a field is missing"))
}

/// The shard at its epoch. Epoch 0 is before the first assignment, and nobody's.
pub(super) fn tenure(shard: u32, epoch: u64) -> Result<Tenure, Malformed> {
    if epoch == 0 {
        return Err(Malformed("an epoch is 0"));
    }
    Ok(Tenure { shard: self::shard(shard)?, epoch: Epoch(epoch) })
}

pub(super) fn shard(number: u32) -> Result<Shard, Malformed> {
    let number = u16::try_from(number).ok();
    number.and_then(Shard::new).ok_or(Malformed("there is no such shard"))
}

pub(super) fn worker(number: u32) -> Result<Worker, Malformed> {
    let number = u16::try_from(number).ok();
    number.and_then(Worker::new).ok_or(Malformed("there is no such worker"))
}

pub(super) fn ranges(ranges: Vec<v1::Range>) -> Vec<Range> {
    let run = |range: v1::Range| Range { first: range.first, count: range.count };
    ranges.into_iter().map(run).collect()
}

impl From<v1::Generation> for Generation {
    fn from(generation: v1::Generation) -> Generation {
        Generation { epoch: Epoch(generation.epoch), counter: generation.counter }
    }
}

/// The session's first generation and a number in it, if there is a session.
fn origin(session: Option<v1::Generation>, inbound: u64) -> Option<Origin> {
    session.map(|session| Origin { session: session.into(), inbound })
}

fn jid(text: String) -> Result<Box<str>, Malformed> {
    match text.is_empty() || text.len() > JID_BYTES_MAX {
        true => Err(Malformed("an address is empty or too long")),
        false => Ok(text.into_boxed_str()),
    }
}

impl TryFrom<v1::Upward> for Upward {
    type Error = Malformed;

    fn try_from(message: v1::Upward) -> Result<Upward, Malformed> {
        match needed(message.frame)? {
            v1::upward::Frame::Hello(hello) => Ok(Upward::Hello(hello.try_into()?)),
            v1::upward::Frame::Batch(batch) => {
                let sends = batch.sends.into_iter().map(Sends::try_from);
                sends.collect::<Result<_, _>>().map(Upward::Batch)
            }
        }
    }
}

impl TryFrom<v1::Sends> for Sends {
    type Error = Malformed;

    fn try_from(sends: v1::Sends) -> Result<Sends, Malformed> {
        if sends.first == 0 || sends.floor == 0 {
            return Err(Malformed("a number is 0"));
        }
        let entries = sends.entries.into_iter().map(Entry::try_from);
        Ok(Sends {
            tenure: tenure(sends.shard, sends.epoch)?,
            floor: sends.floor,
            first: sends.first,
            entries: entries.collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<v1::Entry> for Entry {
    type Error = Malformed;

    fn try_from(entry: v1::Entry) -> Result<Entry, Malformed> {
        // One that is not known takes numbers nobody knows how many, so it cannot be skipped.
        let item = match needed(entry.entry)? {
            v1::entry::Entry::Stanza(stanza) => Item::Stanza(stanza.into()),
            v1::entry::Entry::Bind(bind) => Item::Bind(bind.try_into()?),
            v1::entry::Entry::Unbind(unbind) => Item::Unbind(unbind.try_into()?),
            v1::entry::Entry::Gap(0) => return Err(Malformed("a gap is empty")),
            v1::entry::Entry::Gap(count) => return Ok(Entry::Gap(count)),
        };
        Ok(Entry::Item(item))
    }
}

impl From<v1::Stanza> for Stanza {
    fn from(stanza: v1::Stanza) -> Stanza {
        Stanza { origin: origin(stanza.session, stanza.inbound), stanza: stanza.stanza }
    }
}

impl TryFrom<v1::Bind> for Bind {
    type Error = Malformed;

    fn try_from(bind: v1::Bind) -> Result<Bind, Malformed> {
        let previous = bind.previous.map(Generation::from);
        Ok(Bind { jid: jid(bind.jid)?, nonce: bind.nonce, previous })
    }
}

impl TryFrom<v1::Unbind> for Unbind {
    type Error = Malformed;

    fn try_from(unbind: v1::Unbind) -> Result<Unbind, Malformed> {
        Ok(Unbind { jid: jid(unbind.jid)?, generation: needed(unbind.generation)?.into() })
    }
}

impl TryFrom<v1::Downward> for Downward {
    type Error = Malformed;

    fn try_from(message: v1::Downward) -> Result<Downward, Malformed> {
        match needed(message.frame)? {
            v1::downward::Frame::Welcome(welcome) => Ok(Downward::Welcome(welcome.try_into()?)),
            v1::downward::Frame::Refusal(refusal) => Ok(Downward::Refusal(refusal.into())),
            v1::downward::Frame::Batch(batch) => {
                let deliveries = batch.deliveries.into_iter().map(Deliveries::try_from);
                deliveries.collect::<Result<_, _>>().map(Downward::Batch)
            }
        }
    }
}

impl TryFrom<v1::Deliveries> for Deliveries {
    type Error = Malformed;

    fn try_from(deliveries: v1::Deliveries) -> Result<Deliveries, Malformed> {
        if deliveries.first == 0 {
            return Err(Malformed("a number is 0"));
        }
        Ok(Deliveries {
            tenure: tenure(deliveries.shard, deliveries.epoch)?,
            generation: needed(deliveries.generation)?.into(),
            first: deliveries.first,
            parcels: deliveries.deliveries.into_iter().map(Parcel::from).collect(),
        })
    }
}

impl From<v1::Delivery> for Parcel {
    fn from(delivery: v1::Delivery) -> Parcel {
        Parcel {
            stanza: delivery.stanza,
            origin: origin(delivery.sender, delivery.inbound),
            origin_hash: delivery.origin,
            settle: delivery.settle,
        }
    }
}
