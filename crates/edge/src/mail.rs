//! Mail between threads: one bounded queue per worker, and a bell rung only for a sleeper.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::doorbell::Doorbell;
use crate::protocol::ConnectionId;

/// Mail on its way to a worker.
pub(crate) struct Envelope<M> {
    /// The connection it is for; `None` is the worker itself.
    pub(crate) to: Option<ConnectionId>,
    pub(crate) mail: M,
}

/// The queue of one worker. The lock is held for a push or for a swap of the whole queue, so
/// senders and the worker meet for nanoseconds, once per turn.
pub(crate) struct Letterbox<M> {
    queue: Mutex<VecDeque<Envelope<M>>>,
    waiting: AtomicUsize,
    /// What was collected is being handed out.
    is_handing_out: AtomicBool,
    sleeping: AtomicBool,
    closed: AtomicBool,
    mail_max: usize,
    pub(crate) doorbell: Arc<Doorbell>,
}

impl<M> Letterbox<M> {
    pub(crate) fn new(mail_max: usize) -> std::io::Result<Letterbox<M>> {
        Ok(Letterbox {
            queue: Mutex::new(VecDeque::new()),
            waiting: AtomicUsize::new(0),
            is_handing_out: AtomicBool::new(false),
            sleeping: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            mail_max,
            doorbell: Arc::new(Doorbell::new()?),
        })
    }

    fn post(&self, envelope: Envelope<M>) -> Result<(), M> {
        {
            let mut queue = self.queue.lock();
            if queue.len() >= self.mail_max || self.closed.load(Ordering::Relaxed) {
                return Err(envelope.mail);
            }
            queue.push_back(envelope);
            self.waiting.store(queue.len(), Ordering::SeqCst);
        }
        self.wake();
        Ok(())
    }

    /// Rings if the worker sleeps or is about to.
    pub(crate) fn wake(&self) {
        if self.sleeping.swap(false, Ordering::SeqCst) {
            self.doorbell.ring();
        }
    }

    /// The worker: announces that it will sleep. False if there is mail after all.
    ///
    /// Both sides write their flag before they read the other's (`SeqCst`), so either the worker
    /// sees the mail or the sender sees the sleeper.
    pub(crate) fn sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return true;
        }
        self.sleeping.store(false, Ordering::Relaxed);
        false
    }

    /// The worker: is awake.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// The worker: exchanges its empty queue for what has come.
    pub(crate) fn collect(&self, into: &mut VecDeque<Envelope<M>>) {
        debug_assert!(into.is_empty());
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        // Only the worker reads this flag.
        self.is_handing_out.store(true, Ordering::Relaxed);
        let mut queue = self.queue.lock();
        std::mem::swap(&mut *queue, into);
        self.waiting.store(0, Ordering::SeqCst);
    }

    /// The worker: everything collected is handed out.
    pub(crate) fn handed_out(&self) {
        self.is_handing_out.store(false, Ordering::Relaxed);
    }

    /// The worker is gone: from now on mail is given back.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock();
        self.closed.store(true, Ordering::Relaxed);
        queue.clear();
    }
}

/// Sends mail to connections and workers from any thread.
pub struct Mailbox<M> {
    pub(crate) letterboxes: Arc<[Letterbox<M>]>,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Mailbox<M> {
        Mailbox { letterboxes: Arc::clone(&self.letterboxes) }
    }
}

impl<M: Send> Mailbox<M> {
    /// Sends to a connection. The mail comes back if its worker's queue is full or the worker is
    /// gone. If only the connection is gone, its worker hears of it:
    /// [`Protocol::undelivered`](crate::Protocol::undelivered).
    pub fn send(&self, to: ConnectionId, mail: M) -> Result<(), M> {
        match self.letterboxes.get(usize::from(to.worker)) {
            Some(letterbox) => letterbox.post(Envelope { to: Some(to), mail }),
            None => Err(mail),
        }
    }

    /// Sends to a worker itself. The mail comes back if its queue is full or it is gone.
    pub fn send_worker(&self, worker: u16, mail: M) -> Result<(), M> {
        match self.letterboxes.get(usize::from(worker)) {
            Some(letterbox) => letterbox.post(Envelope { to: None, mail }),
            None => Err(mail),
        }
    }

    /// For the worker itself: whether mail for its connections has come and is not handed out yet.
    /// Mail it sends to its own connections by another way would overtake that.
    pub(crate) fn is_waiting(&self, worker: u16) -> bool {
        self.letterboxes.get(usize::from(worker)).is_some_and(|letterbox| {
            // Who hears of a post by another way hears of it after the store of `waiting`.
            letterbox.waiting.load(Ordering::Relaxed) > 0
                || letterbox.is_handing_out.load(Ordering::Relaxed)
        })
    }

    /// How many workers there are; they are numbered from 0.
    pub fn workers(&self) -> u16 {
        self.letterboxes.len() as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(mail_max: usize) -> Mailbox<u32> {
        let letterbox = Letterbox::new(mail_max).expect("eventfd");
        Mailbox { letterboxes: Arc::new([letterbox]) }
    }

    #[test]
    fn a_full_queue_gives_the_mail_back() {
        let mailbox = mailbox(2);
        assert_eq!(mailbox.send_worker(0, 1), Ok(()));
        assert_eq!(mailbox.send_worker(0, 2), Ok(()));
        assert_eq!(mailbox.send_worker(0, 3), Err(3));
        let mut queue = VecDeque::new();
        mailbox.letterboxes[0].collect(&mut queue);
        assert_eq!(queue.iter().map(|envelope| envelope.mail).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(mailbox.send_worker(0, 3), Ok(()));
    }

    #[test]
    fn unknown_and_closed_workers_give_the_mail_back() {
        let mailbox = mailbox(2);
        assert_eq!(mailbox.send_worker(1, 9), Err(9));
        mailbox.letterboxes[0].close();
        assert_eq!(mailbox.send_worker(0, 9), Err(9));
    }

    #[test]
    fn mail_waits_until_it_is_handed_out() {
        let mailbox = mailbox(2);
        assert!(!mailbox.is_waiting(0));
        assert_eq!(mailbox.send_worker(0, 1), Ok(()));
        assert!(mailbox.is_waiting(0));
        let mut queue = VecDeque::new();
        mailbox.letterboxes[0].collect(&mut queue);
        assert!(mailbox.is_waiting(0));
        mailbox.letterboxes[0].handed_out();
        assert!(!mailbox.is_waiting(0));
    }

    #[test]
    fn a_worker_with_mail_does_not_fall_asleep() {
        let mailbox = mailbox(2);
        assert!(mailbox.letterboxes[0].sleep());
        assert_eq!(mailbox.send_worker(0, 1), Ok(()));
        assert!(!mailbox.letterboxes[0].sleep());
    }
}
