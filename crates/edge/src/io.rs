//! What a protocol's handlers may do.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

use crate::core::Core;
use crate::link::Phase;
use crate::protocol::{CloseReason, ConnectionId};

/// The context of a call that belongs to a worker, not to one of its connections.
pub struct WorkerIo<'a, M> {
    core: &'a mut Core<M>,
}

impl<'a, M: Send> WorkerIo<'a, M> {
    pub(crate) fn new(core: &'a mut Core<M>) -> WorkerIo<'a, M> {
        WorkerIo { core }
    }

    /// The time, read once per turn.
    pub fn now(&self) -> Instant {
        self.core.now
    }

    /// This worker's number.
    pub fn worker(&self) -> u16 {
        self.core.worker
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> u16 {
        self.core.mailbox.workers()
    }

    /// Sends mail to a connection of any worker.
    ///
    /// On the same worker it is delivered in this turn, after the handler in hand has returned,
    /// in order, without a lock. To another worker it goes into a bounded queue. Either way the
    /// mail comes back if the queue is full.
    pub fn send(&mut self, to: ConnectionId, mail: M) -> Result<(), M> {
        self.core.send(to, mail)
    }

    /// Sends mail to connections of this worker, all of it at once. What is left in the queue has
    /// no place.
    pub fn send_local(&mut self, mail: &mut VecDeque<(ConnectionId, M)>) {
        self.core.send_local(mail);
    }

    /// Sends mail to a worker, also to this one. The mail comes back if its queue is full.
    pub fn send_worker(&mut self, worker: u16, mail: M) -> Result<(), M> {
        self.core.mailbox.send_worker(worker, mail)
    }

    /// Whether an id names a live connection of this worker, with a socket or kept.
    pub fn is_alive(&self, id: ConnectionId) -> bool {
        self.core.find(id).is_some()
    }
}

/// The context of a call for one connection.
pub struct Io<'a, M> {
    worker: WorkerIo<'a, M>,
    slot: u32,
}

impl<'a, M> Deref for Io<'a, M> {
    type Target = WorkerIo<'a, M>;

    fn deref(&self) -> &WorkerIo<'a, M> {
        &self.worker
    }
}

impl<M> DerefMut for Io<'_, M> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.worker
    }
}

impl<'a, M: Send> Io<'a, M> {
    pub(crate) fn new(core: &'a mut Core<M>, slot: u32) -> Io<'a, M> {
        Io { worker: WorkerIo { core }, slot }
    }

    /// The address of this connection.
    pub fn id(&self) -> ConnectionId {
        self.worker.core.links[self.slot].id(self.worker.core.worker, self.slot)
    }

    /// [`WorkerIo::send`], so that `io.send(io.id(), ..)` can be written.
    pub fn send(&mut self, to: ConnectionId, mail: M) -> Result<(), M> {
        self.worker.core.send(to, mail)
    }

    /// The buffer to append output to. It leaves at the end of the turn, in one send with all else
    /// written to this connection until then.
    ///
    /// After [`close`](Self::close), and without a socket, what is written is dropped.
    pub fn out(&mut self) -> &mut Vec<u8> {
        let core = &mut *self.worker.core;
        if !core.links[self.slot].takes_output() {
            core.dropped.clear();
            return &mut core.dropped;
        }
        core.mark_dirty(self.slot);
        let link = &mut core.links[self.slot];
        if link.out.capacity() == 0 {
            link.out = core.pool.take();
        }
        &mut link.out
    }

    /// Appends output; see [`out`](Self::out).
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.out());
    }

    /// Bytes written and not yet taken by the kernel.
    pub fn pending_out(&self) -> usize {
        self.worker.core.links[self.slot].pending_out()
    }

    /// Bytes that are not in [`out`](Self::out) any more, and that the kernel has not taken.
    pub fn sending(&self) -> usize {
        self.worker.core.links[self.slot].sending as usize
    }

    /// Asks for [`Protocol::sent`](crate::Protocol::sent) when what is written by now is sent.
    /// Names the send that it will go out with: as they are numbered, and there is one at a time,
    /// it is out when `sent` says that number.
    pub fn tell_when_sent(&mut self) -> u8 {
        let link = &mut self.worker.core.links[self.slot];
        link.tells_next = true;
        link.sends.wrapping_add(1)
    }

    /// Sets or clears the one timer of this connection.
    pub fn set_timer(&mut self, at: Option<Instant>) {
        self.worker.core.set_timer(self.slot, at);
    }

    /// Wants no more bytes for now: the kernel's buffers fill, and the peer is slowed down.
    pub fn pause_reading(&mut self) {
        let core = &mut *self.worker.core;
        core.links[self.slot].paused = true;
        core.mark_dirty(self.slot);
    }

    /// Wants bytes again, first those held back.
    pub fn resume_reading(&mut self) {
        let core = &mut *self.worker.core;
        let link = &mut core.links[self.slot];
        if !std::mem::replace(&mut link.paused, false) {
            return;
        }
        core.mark_resumed(self.slot);
        core.mark_dirty(self.slot);
    }

    /// Goes over to TLS once what is written has been sent (RFC 6120 §5.4.3.3): the bytes that came
    /// before that are discarded, with what is left of those in hand.
    /// [`Protocol::secured`](crate::Protocol::secured) tells when it is done. No effect if the
    /// connection has TLS already.
    pub fn start_tls(&mut self) {
        let core = &mut *self.worker.core;
        let link = &mut core.links[self.slot];
        if link.phase == Phase::Open && link.tls.is_none() {
            link.starttls = true;
            core.pool.give(std::mem::take(&mut link.held));
            core.mark_dirty(self.slot);
        }
    }

    /// Sends what is written, then closes; no more bytes come. The peer gets
    /// [`Limits::linger`](crate::Limits::linger) to take it all and to close its side.
    pub fn close(&mut self) {
        self.worker.core.close(self.slot, CloseReason::Closed);
    }

    /// Closes at the end of the turn, whatever is still to be sent.
    pub fn abort(&mut self) {
        self.worker.core.abort(self.slot, CloseReason::Aborted);
    }

    /// Gives up a connection that was kept without a socket ([`Fate::Keep`](crate::Fate::Keep)).
    /// Its state is dropped when the handler returns. No effect while there is a socket.
    pub fn free(&mut self) {
        let link = &mut self.worker.core.links[self.slot];
        link.release = link.phase == Phase::Kept;
    }
}
