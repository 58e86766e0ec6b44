//! The router's way to the streams.
//!
//! On a worker's own thread, mail for its own streams goes into a queue of the thread, which the
//! worker empties after each call: no lock, no wake-up. Everything else goes through the edge's
//! mailbox, and so does what a worker has for its own streams while mail of others waits there: a
//! live message does not overtake an offline one that another thread sends. The mailbox is
//! bounded: deliveries come back to the router when it is full. Commands and answers must not be
//! lost; they wait in an overflow list per worker, which holds at most one entry per stanza or
//! request in hand.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use jackdaw_ext::{Command, Outbox};
use jackdaw_router::Router;
use jackdaw_session::Address;
use jackdaw_stanza::{Delivery, IqType, Type};
use parking_lot::Mutex;

use super::Mail;
use super::mail::connection_id;
use crate::{ConnectionId, Mailbox, WorkerIo};

/// No worker: any other thread.
const NOT_A_WORKER: u16 = u16::MAX;

thread_local! {
    static WORKER: Cell<u16> = const { Cell::new(NOT_A_WORKER) };
    static LOCAL: RefCell<VecDeque<(ConnectionId, Mail)>> = const { RefCell::new(VecDeque::new()) };
}

/// This thread is that worker from now on.
pub(super) fn enter_worker(worker: u16) {
    WORKER.set(worker);
}

/// The next mail of this worker for one of its own streams.
pub(super) fn take_local() -> Option<(ConnectionId, Mail)> {
    LOCAL.with_borrow_mut(VecDeque::pop_front)
}

/// Hands all of this worker's mail to the engine, unless some is for the stream `here`. False where
/// there is mail left: it is to be taken one by one.
pub(super) fn pass_local(io: &mut WorkerIo<'_, Mail>, here: ConnectionId) -> bool {
    LOCAL.with_borrow_mut(|local| {
        if local.is_empty() {
            return true;
        }
        if local.iter().all(|(to, _)| *to != here) {
            io.send_local(local);
        }
        local.is_empty()
    })
}

/// Whether the mail has its place among others for the same stream, as stanzas have, and the fences
/// between them. Answers have none, and errors
/// are answers: they go out before whatever came in behind their request is looked at.
pub(super) fn keeps_order(mail: &Mail) -> bool {
    let delivery = match mail {
        Mail::Deliver(delivery) => delivery,
        mail => return matches!(mail, Mail::Command(Command::Fence)),
    };
    let is_result = matches!(delivery.stanza.kind_and_type(), Type::Iq(IqType::Result));
    !is_result && !delivery.stanza.is_error()
}

/// [`Outbox`] over the edge's mailbox.
#[derive(Default)]
pub struct StreamOutbox {
    mailbox: OnceLock<Mailbox<Mail>>,
    overflow: Mutex<VecDeque<(ConnectionId, Mail)>>,
    /// Entries in the list; workers look no further while it is zero.
    overflowing: AtomicUsize,
}

impl StreamOutbox {
    /// An outbox that has no edge yet.
    pub fn new() -> Arc<StreamOutbox> {
        Arc::default()
    }

    /// The edge stands. The first call counts.
    pub fn connect(&self, mailbox: &Mailbox<Mail>) {
        self.mailbox.get_or_init(|| mailbox.clone());
    }

    pub(super) fn send(&self, to: ConnectionId, mail: Mail) -> Result<(), Mail> {
        let worker = WORKER.get();
        if to.worker == worker && !(keeps_order(&mail) && self.is_behind_mail(worker)) {
            LOCAL.with_borrow_mut(|local| local.push_back((to, mail)));
            return Ok(());
        }
        self.send_behind(to, mail)
    }

    /// Sends behind everything that any thread has sent to this worker before.
    fn send_behind(&self, to: ConnectionId, mail: Mail) -> Result<(), Mail> {
        match self.mailbox.get() {
            Some(mailbox) => mailbox.send(to, mail),
            None => Err(mail),
        }
    }

    /// Whether another thread's mail to this worker would be overtaken by what it sends itself.
    fn is_behind_mail(&self, worker: u16) -> bool {
        self.mailbox.get().is_some_and(|mailbox| mailbox.is_waiting(worker))
    }

    /// Sends what must arrive.
    pub(super) fn send_surely(&self, to: ConnectionId, mail: Mail) {
        if let Err(mail) = self.send(to, mail) {
            self.keep(to, mail);
        }
    }

    /// Sends what must arrive, behind everything that any thread has sent to this worker before.
    pub(super) fn send_last(&self, to: ConnectionId, mail: Mail) {
        if let Err(mail) = self.send_behind(to, mail) {
            self.keep(to, mail);
        }
    }

    fn keep(&self, to: ConnectionId, mail: Mail) {
        self.overflow.lock().push_back((to, mail));
        self.overflowing.fetch_add(1, Ordering::Release);
    }

    /// A queue was full: a delivery goes back to the router, which refuses or stores it; the rest
    /// waits.
    pub(super) fn overflow(&self, to: ConnectionId, mail: Mail, router: &Arc<Router>) {
        match mail {
            Mail::Deliver(delivery) => router.undelivered(super::mail::address(to), delivery),
            Mail::Late(mail) => self.overflow(to, *mail, router),
            mail => self.keep(to, mail),
        }
    }

    /// What waits for this worker.
    pub(super) fn take_overflow(&self, worker: u16) -> Vec<(ConnectionId, Mail)> {
        if self.overflowing.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut overflow = self.overflow.lock();
        let (own, others) =
            std::mem::take(&mut *overflow).into_iter().partition(|(to, _)| to.worker == worker);
        *overflow = others;
        self.overflowing.store(overflow.len(), Ordering::Release);
        let own: VecDeque<_> = own;
        own.into()
    }
}

impl Outbox for StreamOutbox {
    fn deliver(&self, to: Address, delivery: Delivery) -> Result<(), Box<Delivery>> {
        match self.send(connection_id(to), Mail::Deliver(delivery)) {
            Err(Mail::Deliver(delivery)) => Err(Box::new(delivery)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn command(&self, to: Address, command: Command) {
        self.send_surely(connection_id(to), Mail::Command(command));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Letterbox;
    use bytes::Bytes;
    use jackdaw_stanza::Stanza;
    use jackdaw_xml::{Limits, Scope};

    const HERE: Address = Address { worker: 0, slot: 1, generation: 1 };

    fn delivery(xml: &'static str) -> Delivery {
        let bytes = Bytes::from_static(xml.as_bytes());
        let stanza = Stanza::parse(bytes, &Scope::client(), &Limits::trusted()).unwrap();
        Delivery::untracked(stanza)
    }

    #[test]
    fn mail_of_another_thread_is_not_overtaken() {
        let mailbox = Mailbox { letterboxes: Arc::new([Letterbox::new(8).expect("eventfd")]) };
        let outbox = StreamOutbox::new();
        outbox.connect(&mailbox);
        let post = |xml| assert!(outbox.deliver(HERE, delivery(xml)).is_ok());
        let in_box = || {
            let mut queue = VecDeque::new();
            mailbox.letterboxes[0].collect(&mut queue);
            queue.len()
        };
        enter_worker(NOT_A_WORKER);
        post("<message id='offline'/>");
        enter_worker(0);
        post("<message id='live'/>");
        post("<message type='error' id='refused'/>");
        post("<iq type='result' id='answer'/>");
        let is_next = |id| match take_local() {
            Some((_, Mail::Deliver(delivery))) => delivery.stanza.id().as_deref() == Some(id),
            _ => false,
        };
        assert!(is_next("refused") && is_next("answer"), "answers are out first, in order");
        assert!(take_local().is_none(), "and nothing else");
        assert_eq!(in_box(), 2);
        // What was collected is not with the stream yet.
        post("<message id='later'/>");
        assert!(take_local().is_none());
        assert_eq!(in_box(), 1);
        mailbox.letterboxes[0].handed_out();
        post("<message id='quick'/>");
        assert!(take_local().is_some());
    }
}
