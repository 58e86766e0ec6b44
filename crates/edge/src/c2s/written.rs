//! Messages to clients without stream management, from the buffer to the socket.
//!
//! Nobody confirms them. What can be known is whether the socket has taken them: then a row of the
//! spool is settled, and until then a message is kept, so that it does not end with the connection.

use std::collections::VecDeque;

use jackdaw_stanza::{Delivery, Settle};
use jackdaw_stream::c2s::C2s;

use super::mail::address;
use super::{C2sProtocol, Connection, Mail};
use crate::Io;

/// Queues kept for the next connection that needs one. At the end of a turn few are in use, as
/// sockets usually take at once what is written.
const SPARE_MAX: usize = 256;

/// Places that a queue keeps for the next connection.
const PLACES_KEPT: usize = 64;

/// Messages in the order in which they were written.
pub(super) type Written = VecDeque<Message>;

/// One of them.
pub(super) struct Message {
    /// With which send of the connection it goes out.
    send: u8,
    fate: Fate,
}

/// What becomes of a message.
pub(super) enum Fate {
    /// Somebody waits for it, and keeps it.
    Settle(Settle),
    /// It is kept here.
    Keep(Delivery),
}

impl Fate {
    /// That of a delivery to this stream; none if the client will confirm it, or it cannot wait.
    pub(super) fn of(connection: &Connection, delivery: &Delivery) -> Option<Fate> {
        let is_confirmed = connection.stream.as_ref().is_none_or(C2s::is_sm_enabled);
        match delivery.settle {
            _ if is_confirmed || !delivery.can_wait() => None,
            Some(settle) => Some(Fate::Settle(settle.released())),
            None => Some(Fate::Keep(delivery.clone())),
        }
    }
}

impl C2sProtocol {
    /// A message was written to a client that will not confirm it.
    pub(super) fn note_written(
        &mut self,
        io: &mut Io<'_, Mail>,
        connection: &mut Connection,
        fate: Fate,
    ) {
        let mut fate = fate;
        if let Fate::Keep(delivery) = &mut fate
            && io.sending() > 0
        {
            // It may wait longer than the buffer it came in should.
            delivery.stanza.unshare();
        }
        let send = io.tell_when_sent();
        let spare = &mut self.spare;
        let written = connection.written.get_or_insert_with(|| spare.pop().unwrap_or_default());
        written.push_back(Message { send, fate });
    }

    /// The socket has taken what went out with this send.
    pub(super) fn settle_sent(&mut self, connection: &mut Connection, send: u8) {
        let Some(written) = &mut connection.written else { return };
        while let Some(message) = written.pop_front_if(|message| message.send == send) {
            if let Fate::Settle(settle) = message.fate {
                self.shared.router.settled(settle);
            }
        }
        if written.is_empty()
            && let Some(mut spare) = connection.written.take()
            && self.spare.len() < SPARE_MAX
        {
            spare.shrink_to(PLACES_KEPT);
            self.spare.push(spare);
        }
    }

    /// The connection is over: what its socket had not taken goes where messages go to somebody who
    /// is away.
    pub(super) fn give_back_unsent(&mut self, io: &Io<'_, Mail>, connection: &mut Connection) {
        let here = address(io.id());
        for message in connection.written.take().into_iter().flat_map(|written| *written) {
            match message.fate {
                Fate::Settle(settle) => self.shared.router.unsent(settle),
                Fate::Keep(delivery) => self.shared.router.undelivered(here, delivery),
            }
        }
    }
}
