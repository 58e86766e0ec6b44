//! Control frames, both ways.

use super::decode::{self, needed, shard, tenure, worker};
use super::v1::control_frame::Frame;
use super::{Malformed, OnControl, encode, v1};
use crate::frame::{
    Accepts, Control, DeliveryReceipt, Epoch, Generation, Gone, Incarnation, Moved, Receipt,
    SessionRanges, Tenure,
};

impl TryFrom<v1::Control> for OnControl {
    type Error = Malformed;

    fn try_from(message: v1::Control) -> Result<OnControl, Malformed> {
        match needed(message.frame)? {
            v1::control::Frame::Hello(hello) => Ok(OnControl::Hello(hello.try_into()?)),
            v1::control::Frame::Welcome(welcome) => Ok(OnControl::Welcome(welcome.try_into()?)),
            v1::control::Frame::Refusal(refusal) => Ok(OnControl::Refusal(refusal.into())),
            v1::control::Frame::Batch(batch) => {
                // One without content is of a later version.
                let known = batch.frames.into_iter().filter_map(|frame| frame.frame);
                known.map(Control::try_from).collect::<Result<_, _>>().map(OnControl::Batch)
            }
        }
    }
}

impl From<OnControl> for v1::Control {
    fn from(message: OnControl) -> v1::Control {
        let frame = match message {
            OnControl::Hello(hello) => v1::control::Frame::Hello(hello.into()),
            OnControl::Welcome(welcome) => v1::control::Frame::Welcome(welcome.into()),
            OnControl::Refusal(refusal) => v1::control::Frame::Refusal(refusal.into()),
            OnControl::Batch(frames) => {
                let wire = |frame: Control| v1::ControlFrame { frame: Some(frame.into()) };
                let frames = frames.into_iter().map(wire).collect();
                v1::control::Frame::Batch(v1::ControlBatch { frames })
            }
        };
        v1::Control { frame: Some(frame) }
    }
}

fn generation(generation: Option<v1::Generation>) -> Result<Generation, Malformed> {
    needed(generation).map(Generation::from)
}

impl TryFrom<Frame> for Control {
    type Error = Malformed;

    fn try_from(frame: Frame) -> Result<Control, Malformed> {
        Ok(match frame {
            Frame::Receipt(it) => Control::Receipt(Receipt {
                tenure: tenure(it.shard, it.epoch)?,
                worker: worker(it.worker)?,
                next: it.next,
                missed: it.missed,
            }),
            Frame::Accepts(it) => Control::Accepts(Accepts {
                tenure: tenure(it.shard, it.epoch)?,
                worker: worker(it.worker)?,
                ranges: decode::ranges(it.ranges),
            }),
            Frame::Moved(it) => Control::Moved(Moved {
                tenure: tenure(it.shard, it.epoch)?,
                owner: (it.owner != 0).then_some(Incarnation(it.owner)),
            }),
            Frame::BindOk(it) => Control::BindOk {
                tenure: tenure(it.shard, it.epoch)?,
                nonce: it.nonce,
                generation: generation(it.generation)?,
            },
            Frame::BindConflict(it) => {
                Control::BindConflict { tenure: tenure(it.shard, it.epoch)?, nonce: it.nonce }
            }
            Frame::Evict(it) => Control::Evict {
                tenure: tenure(it.shard, it.epoch)?,
                generation: generation(it.generation)?,
                nonce: it.nonce,
            },
            Frame::Evicted(it) => Control::Evicted {
                tenure: tenure(it.shard, it.epoch)?,
                generation: generation(it.generation)?,
                inbound: it.inbound,
                delivered: it.delivered,
            },
            Frame::DeliveryReceipt(it) => Control::DeliveryReceipt(DeliveryReceipt {
                tenure: tenure(it.shard, it.epoch)?,
                generation: generation(it.generation)?,
                next: it.next,
                missed: it.missed,
            }),
            Frame::Acknowledged(it) => Control::Acknowledged(SessionRanges {
                tenure: tenure(it.shard, it.epoch)?,
                generation: generation(it.generation)?,
                ranges: decode::ranges(it.ranges),
            }),
            Frame::Settled(it) => Control::Settled(SessionRanges {
                tenure: tenure(it.shard, it.epoch)?,
                generation: generation(it.generation)?,
                ranges: decode::ranges(it.ranges),
            }),
            Frame::Gone(it) => Control::Gone(Gone {
                tenure: tenure(it.shard, it.epoch)?,
                generation: generation(it.generation)?,
            }),
            Frame::Renew(it) => Control::Renew {
                incarnation: Incarnation(it.incarnation),
                request: it.request,
                unreachable: it.unreachable.into_iter().map(Incarnation).collect(),
            },
            Frame::Renewed(it) => {
                Control::Renewed { incarnation: Incarnation(it.incarnation), request: it.request }
            }
            Frame::Recover(it) => Control::Recover {
                request: it.request,
                epoch: Epoch(it.epoch),
                shards: it.shards.into_iter().map(shard).collect::<Result<_, _>>()?,
            },
            Frame::Recovered(it) => {
                Control::Recovered { request: it.request, records: it.records, last: it.last }
            }
        })
    }
}

/// The two fields that nearly every frame begins with.
fn wire(tenure: Tenure) -> (u32, u64) {
    (tenure.shard.number().into(), tenure.epoch.0)
}

impl From<Control> for Frame {
    fn from(frame: Control) -> Frame {
        match frame {
            Control::Receipt(it) => Frame::Receipt(it.into()),
            Control::Accepts(it) => Frame::Accepts(it.into()),
            Control::Moved(it) => Frame::Moved(it.into()),
            Control::BindOk { tenure, nonce, generation } => {
                let (shard, epoch) = wire(tenure);
                let generation = Some(generation.into());
                Frame::BindOk(v1::BindOk { shard, epoch, nonce, generation })
            }
            Control::BindConflict { tenure, nonce } => {
                let (shard, epoch) = wire(tenure);
                Frame::BindConflict(v1::BindConflict { shard, epoch, nonce })
            }
            Control::Evict { tenure, generation, nonce } => {
                let (shard, epoch) = wire(tenure);
                let generation = Some(generation.into());
                Frame::Evict(v1::Evict { shard, epoch, generation, nonce })
            }
            Control::Evicted { tenure, generation, inbound, delivered } => {
                let (shard, epoch) = wire(tenure);
                let generation = Some(generation.into());
                Frame::Evicted(v1::Evicted { shard, epoch, generation, inbound, delivered })
            }
            Control::DeliveryReceipt(it) => Frame::DeliveryReceipt(it.into()),
            Control::Acknowledged(it) => Frame::Acknowledged(it.into()),
            Control::Settled(it) => Frame::Settled(it.into()),
            Control::Gone(Gone { tenure, generation }) => {
                let (shard, epoch) = wire(tenure);
                Frame::Gone(v1::Gone { shard, epoch, generation: Some(generation.into()) })
            }
            Control::Renew { incarnation, request, unreachable } => {
                let unreachable = unreachable.into_iter().map(|Incarnation(name)| name).collect();
                Frame::Renew(v1::Renew { incarnation: incarnation.0, request, unreachable })
            }
            Control::Renewed { incarnation, request } => {
                Frame::Renewed(v1::Renewed { incarnation: incarnation.0, request })
            }
            Control::Recover { request, epoch, shards } => {
                let shards = shards.into_iter().map(|shard| shard.number().into()).collect();
                Frame::Recover(v1::Recover { request, epoch: epoch.0, shards })
            }
            Control::Recovered { request, records, last } => {
                Frame::Recovered(v1::Recovered { request, records, last })
            }
        }
    }
}

impl From<Receipt> for v1::Receipt {
    fn from(it: Receipt) -> v1::Receipt {
        let (shard, epoch) = wire(it.tenure);
        let worker = it.worker.number().into();
        v1::Receipt { shard, epoch, worker, next: it.next, missed: it.missed }
    }
}

impl From<Accepts> for v1::Accepts {
    fn from(it: Accepts) -> v1::Accepts {
        let (shard, epoch) = wire(it.tenure);
        let worker = it.worker.number().into();
        v1::Accepts { shard, epoch, worker, ranges: encode::ranges(it.ranges) }
    }
}

impl From<Moved> for v1::Moved {
    fn from(it: Moved) -> v1::Moved {
        let (shard, epoch) = wire(it.tenure);
        v1::Moved { shard, epoch, owner: it.owner.map_or(0, |Incarnation(owner)| owner) }
    }
}

impl From<DeliveryReceipt> for v1::DeliveryReceipt {
    fn from(it: DeliveryReceipt) -> v1::DeliveryReceipt {
        let (shard, epoch) = wire(it.tenure);
        let generation = Some(it.generation.into());
        v1::DeliveryReceipt { shard, epoch, generation, next: it.next, missed: it.missed }
    }
}

impl From<SessionRanges> for v1::Acknowledged {
    fn from(it: SessionRanges) -> v1::Acknowledged {
        let (shard, epoch) = wire(it.tenure);
        let (generation, ranges) = (Some(it.generation.into()), encode::ranges(it.ranges));
        v1::Acknowledged { shard, epoch, generation, ranges }
    }
}

impl From<SessionRanges> for v1::Settled {
    fn from(it: SessionRanges) -> v1::Settled {
        let (shard, epoch) = wire(it.tenure);
        let (generation, ranges) = (Some(it.generation.into()), encode::ranges(it.ranges));
        v1::Settled { shard, epoch, generation, ranges }
    }
}
