//! Out of the spool: what is in it goes to whoever is ready (XEP-0160), oldest first.
//!
//! A flush hands out a page and sends a fence after it, through the queue of the stream. When the
//! stream has come to the fence it has taken the page, or given back what it did not take, and says
//! whether it takes more. So what is under way to a stream is bounded, and in order: a stream that
//! gave one message back takes none until a flush begins anew with that one.
//!
//! Where live messages are refused it is the same: the session is shut, messages wait in the spool,
//! and a flush begins when its stream has come to a fence and takes more.

use std::sync::Arc;
use std::time::Duration;

use jackdaw_ext::{Command, Effects};
use jackdaw_jid::BareJid;
use jackdaw_session::{Address, Found, Session, SessionId};
use jackdaw_stanza::Stanza;
use jackdaw_store::{ItemRange, Row as StoreRow};

use crate::Router;
use crate::ledger::{Entry, Row};
use crate::record::Record;
use crate::select::Targets;
use crate::spool::{SPOOL, parse_row, position_of, read_row};

/// Rows read at once.
const PAGE: usize = 100;

/// Bytes of rows that are handed out at once. They wait in memory for their stream, and a spool may
/// hold hundreds of megabytes; a client without stream management loses them from there only to a
/// crash.
const PAGE_BYTES: usize = 256 * 1024;

/// How long a stream that takes no more is left alone, unless it says before that it has room.
const SHUT_RETRY: Duration = Duration::from_millis(500);

/// How long it is left alone after it has said so. Who saw it open has handed over by then, so that
/// nothing comes behind the fence that was meant to be before it.
const SHUT_MIN: Duration = Duration::from_millis(20);

/// Where a flush is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flush {
    /// Who gets what was there before it began.
    pub session: SessionId,
    /// Later rows are live messages that queued: they go to every resource, as they would have.
    live_from: u64,
    /// The last row that was handed out, if any was.
    after: Option<u64>,
    /// How many rows to read: about as many as may be handed out at once.
    rows: usize,
}

/// What became of a page.
enum Page {
    /// There was no more.
    Last,
    /// There may be more; go on from here.
    More(Flush),
    /// The session takes no more.
    Shut,
}

impl Router {
    /// A resource that gets messages to the bare JID, and whose stream takes them.
    pub(crate) fn ready_session(&self, account: &BareJid) -> Option<Arc<Session>> {
        let sessions = self.services.sessions.of(account.as_str());
        sessions.into_iter().find(|session| session.takes_messages())
    }

    /// Rows became offline messages: whoever is ready gets them.
    pub(crate) fn flush_if_ready(self: &Arc<Self>, account: &BareJid) {
        if self.ready_session(account).is_some() && self.spool.begin_flush(account) {
            self.spawn_flush(account.clone());
        }
    }

    /// Not in place: the caller may be a thread of the store.
    pub(crate) fn spawn_flush(self: &Arc<Self>, account: BareJid) {
        let router = Arc::clone(self);
        self.services.spawn.spawn(Box::pin(async move {
            router.flush_begun(&account, None).await;
        }));
    }

    /// Sends the session what is in the spool of its account and belongs to nobody, oldest first.
    pub(crate) async fn flush(self: &Arc<Self>, session: &Arc<Session>) {
        let account = session.account().jid().clone();
        if self.spool.begin_flush(&account) {
            let flush = self.new_flush(&account, session);
            self.flush_begun(&account, Some(flush)).await;
        }
    }

    fn new_flush(&self, account: &BareJid, session: &Session) -> Flush {
        let now = || self.spool.next(self.services.clock.now());
        let live_from = self.spool.live_from(account).unwrap_or_else(now);
        Flush { session: session.id(), live_from, after: None, rows: PAGE }
    }

    /// Flushes until nothing is left, nobody takes more, or a fence is under way.
    async fn flush_begun(self: &Arc<Self>, account: &BareJid, from: Option<Flush>) {
        let mut next = from;
        // What was given back and is not written yet is older than what would be read.
        while !self.spool.waits_for_returned(account) {
            let Some((session, flush)) = self.flush_to(account, next.take()) else {
                if self.spool.end_flush(account) {
                    continue;
                }
                return;
            };
            match self.flush_page(account, &session, flush).await {
                Page::Last if !self.spool.end_flush(account) => return,
                Page::Last | Page::Shut => {}
                Page::More(flush) if self.wait_at_fence(account, &session, flush) => return,
                Page::More(flush) => next = Some(flush),
            }
        }
    }

    /// Whom to go on with, and where; anew with another session where the first takes no more.
    fn flush_to(&self, account: &BareJid, from: Option<Flush>) -> Option<(Arc<Session>, Flush)> {
        let going_on = from.and_then(|flush| {
            let session = self.resumable(account, flush.session)?;
            session.takes_messages().then_some((session, flush))
        });
        going_on.or_else(|| {
            let session = self.ready_session(account)?;
            let flush = self.new_flush(account, &session);
            Some((session, flush))
        })
    }

    /// Sends a fence after a page. False: there is nobody to answer it, go on.
    fn wait_at_fence(&self, account: &BareJid, session: &Session, flush: Flush) -> bool {
        self.spool.pause_flush(account, flush);
        self.outbox().command(session.address(), Command::Fence);
        // It may have ended before it was known to be waited for.
        self.resumable(account, session.id()).is_some()
            || self.spool.take_flush(account, session.id()).is_none()
    }

    async fn flush_page(
        self: &Arc<Self>,
        account: &BareJid,
        session: &Arc<Session>,
        flush: Flush,
    ) -> Page {
        let range = match flush.after {
            Some(position) => ItemRange::after(position.to_be_bytes(), flush.rows),
            None => ItemRange::first(flush.rows),
        };
        let rows = match self.services.stores.engine().list(SPOOL, account, range).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "offline messages could not be read");
                return Page::Last;
            }
        };
        let mut flush = flush;
        let mut bytes = 0;
        for (nth, row) in rows.iter().enumerate() {
            if bytes >= PAGE_BYTES {
                return Page::More(Flush { rows: nth, ..flush });
            }
            if !session.takes_messages() {
                return Page::Shut;
            }
            let Some(position) = position_of(&row.item) else { continue };
            bytes += row.value.len();
            self.flush_row(account, session, flush.live_from, (position, row));
            flush.after = Some(position);
        }
        match rows.len() < flush.rows {
            true => Page::Last,
            false => Page::More(Flush { rows: PAGE, ..flush }),
        }
    }

    fn flush_row(
        self: &Arc<Self>,
        account: &BareJid,
        session: &Arc<Session>,
        live_from: u64,
        (position, row): (u64, &StoreRow),
    ) {
        // What only queued was not delayed.
        let read = match position < live_from {
            true => read_row(account.domain(), &row.value),
            false => parse_row(&row.value),
        };
        let Some(stanza) = read else {
            tracing::error!(%account, position, "a spool row is not readable; it stays");
            return;
        };
        let targets = match self.named(&stanza) {
            Some(named) => Targets::from_iter([named]),
            None if position < live_from => Targets::from_iter([Arc::clone(session)]),
            None => self.non_negative(account),
        };
        // One that is named and shut gets it when it is open.
        let is_shut = targets.is_empty() || targets.iter().any(|session| session.is_shut());
        if is_shut || !self.spool.claim(account, position) {
            return;
        }
        let settle = self.ledger.open(Entry {
            account: account.clone(),
            stanza: None,
            receipt: None,
            waiting: targets.len() as u32,
            is_taken: false,
            is_returned: false,
            position,
            row: Row::Written,
            numbers: Vec::new(),
        });
        let mut effects = Effects::new();
        for session in &targets {
            // A session on record must not have it before it is known to have it.
            let token = if session.has_slot::<Record>() { settle.held() } else { settle };
            if !self.hand_to(session, stanza.clone(), Some(token)) {
                // The queue to it is full: the row stays.
                self.shut(session);
                self.given_up(settle, &mut effects);
            }
        }
        debug_assert!(effects.is_empty(), "a row that is written needs no error");
    }

    /// The resource that a message names, if it is ready (RFC 6121 §8.5.3.1).
    fn named(&self, stanza: &Stanza) -> Option<Arc<Session>> {
        let to = stanza.to().filter(|to| to.is_full())?;
        match self.services.sessions.look_up(to)? {
            Found::Session(session) => Some(session).filter(|session| session.is_ready()),
            Found::Account(_) => None,
        }
    }

    /// A stream has come to a fence: what was handed to it before it has taken or given back. Says
    /// whether it takes more.
    pub fn fenced(self: &Arc<Self>, session: &Arc<Session>, takes_more: bool) {
        let account = session.account().jid();
        let paused = self.spool.take_flush(account, session.id());
        let from = if !takes_more {
            self.shut_for(session, SHUT_RETRY);
            if paused.is_none() {
                return;
            }
            None
        } else if session.is_shut() {
            // First, so that live messages queue behind what it gave back; that is older than where
            // the flush was.
            let is_begun = paused.is_some() || self.spool.begin_flush(account);
            session.open();
            if !is_begun {
                return;
            }
            None
        } else if paused.is_some() {
            paused
        } else {
            return;
        };
        let (router, account) = (Arc::clone(self), account.clone());
        self.start_detached(Box::pin(async move { router.flush_begun(&account, from).await }));
    }

    /// A stream that took no more has room again.
    pub fn has_room(self: &Arc<Self>, session: &Arc<Session>) {
        self.shut_for(session, SHUT_MIN);
    }

    /// A stream gave a message back, or its queue is full: its session gets none until it has come
    /// to a fence.
    pub(crate) fn shut(self: &Arc<Self>, session: &Arc<Session>) {
        if !session.is_shut() {
            self.shut_for(session, SHUT_RETRY);
        }
    }

    fn shut_for(self: &Arc<Self>, session: &Arc<Session>, time: Duration) {
        let turn = session.shut();
        let (router, session) = (Arc::clone(self), Arc::clone(session));
        let fence = async move {
            if session.is_shut_since(turn) {
                router.outbox().command(session.address(), Command::Fence);
            }
        };
        self.services.spawn.after(time, Box::pin(fence));
    }

    /// The session whose stream this message was for, if it is still there.
    pub(crate) fn session_at(&self, stanza: &Stanza, at: Address) -> Option<Arc<Session>> {
        let sessions = self.services.sessions.of(stanza.to()?.bare_str());
        sessions.into_iter().find(|session| session.address() == at)
    }

    /// A session is over: a flush that waits for its stream goes on without it.
    pub(crate) fn flush_without(self: &Arc<Self>, session: &Session) {
        let account = session.account().jid();
        if self.spool.take_flush(account, session.id()).is_some() {
            self.spawn_flush(account.clone());
        }
    }
}
