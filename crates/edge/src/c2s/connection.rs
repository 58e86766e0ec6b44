//! What the worker keeps of one client connection.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jackdaw_jid::BareJid;
use jackdaw_session::Session;
use jackdaw_stream::c2s::{self, C2s, Event};

use super::Mail;
use super::written::Written;
use crate::{ConnectionId, TlsInfo};

/// JIDs of a client certificate that are looked at. One is usual; thousands are an attack.
const IDENTITIES_MAX: usize = 16;

/// One client connection, or the session it left behind.
pub struct Connection {
    /// None until a direct TLS handshake is done.
    pub(super) stream: Option<C2s>,
    /// The bound session.
    pub(super) session: Option<Arc<Session>>,
    /// What most do not have at most times.
    aside: Option<Box<Aside>>,
    /// What was written and nobody will confirm, until its socket has it.
    pub(super) written: Option<Box<Written>>,
    /// The socket is gone, the session waits to be resumed.
    pub(super) is_kept: bool,
    pub(super) peer: IpAddr,
}

/// A session on its way from one stream to another (XEP-0198 §5).
pub(super) enum Passage {
    /// It was resumed by this stream; mail goes after it.
    Moved(ConnectionId),
    /// It is here, and mail on its way to the stream that had it is not. This mail, in order, waits
    /// for that.
    Behind(VecDeque<Mail>),
}

#[derive(Default)]
struct Aside {
    /// Events behind a stanza whose answer is awaited; at most what one buffer held.
    held: Option<VecDeque<Event>>,
    passage: Option<Passage>,
}

impl Connection {
    pub(super) fn new(stream: Option<C2s>, peer: IpAddr) -> Connection {
        Connection { stream, session: None, aside: None, written: None, is_kept: false, peer }
    }

    /// Whether later stanzas wait for the answer to an earlier one.
    pub(super) fn is_holding(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| aside.held.is_some())
    }

    /// Later stanzas wait, and so do these events.
    pub(super) fn hold(&mut self, events: VecDeque<Event>) {
        self.aside.get_or_insert_default().held = Some(events);
    }

    /// Later stanzas need not wait any longer; gives the events that did.
    pub(super) fn release(&mut self) -> VecDeque<Event> {
        let held = self.aside.as_mut().and_then(|aside| aside.held.take());
        self.tidy();
        held.unwrap_or_default()
    }

    /// Its session comes from another stream, or went to one.
    pub(super) fn passage(&mut self) -> Option<&mut Passage> {
        self.aside.as_mut()?.passage.as_mut()
    }

    pub(super) fn set_passage(&mut self, passage: Passage) {
        self.aside.get_or_insert_default().passage = Some(passage);
    }

    /// The mail that waits for older mail. From now on none does.
    pub(super) fn take_behind(&mut self) -> VecDeque<Mail> {
        let is_behind = |passage: &mut Passage| matches!(passage, Passage::Behind(_));
        let aside = self.aside.as_mut();
        let passage = aside.and_then(|aside| aside.passage.take_if(is_behind));
        self.tidy();
        match passage {
            Some(Passage::Behind(waiting)) => waiting,
            Some(Passage::Moved(_)) | None => VecDeque::new(),
        }
    }

    fn tidy(&mut self) {
        self.aside.take_if(|aside| aside.held.is_none() && aside.passage.is_none());
    }
}

/// What each client costs here, idle or not; `docs/memory.md` has the whole account.
const _: () = assert!(size_of::<Option<Connection>>() <= 272);

/// A stream in the log: worker, slot and generation, unique among the streams of a process.
#[derive(Clone, Copy)]
pub(super) struct StreamName(pub(super) ConnectionId);

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConnectionId { worker, slot, generation } = self.0;
        write!(f, "{worker}.{slot}.{generation}")
    }
}

/// What the stream has to know of a handshake.
pub(super) fn tls_info(tls: &TlsInfo) -> c2s::TlsInfo {
    c2s::TlsInfo {
        exporter: tls.exporter,
        server_end_point: tls.server_end_point.as_deref().map(Into::into),
        sni: tls.sni.as_deref().map(Into::into),
        identities: identities(tls),
    }
}

/// The JIDs that a trusted client certificate asserts (RFC 6120 §13.7.1.4, XEP-0178).
fn identities(tls: &TlsInfo) -> Vec<BareJid> {
    let trusted = tls.client_certificate.as_ref().filter(|certificate| certificate.trusted);
    let Some(leaf) = trusted.and_then(|certificate| certificate.chain.first()) else {
        return Vec::new();
    };
    xmpp_addresses(leaf)
}

/// `id-on-xmppAddr` (RFC 6120 §13.7.1.4).
const XMPP_ADDR: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 8, 5];

fn xmpp_addresses(certificate: &[u8]) -> Vec<BareJid> {
    use x509_parser::extensions::GeneralName;
    use x509_parser::prelude::{FromDer, X509Certificate};
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let address = |name: &GeneralName<'_>| match name {
        GeneralName::OtherName(oid, value) => {
            let is_xmpp = oid.iter()?.eq(XMPP_ADDR.iter().copied());
            let text = is_xmpp.then(|| utf8_string(value)).flatten()?;
            BareJid::parse(text).ok()
        }
        _ => None,
    };
    names.value.general_names.iter().take(IDENTITIES_MAX).filter_map(address).collect()
}

/// The text in `[0] EXPLICIT UTF8String`: both lengths short, as a JID in a certificate has them,
/// or one byte long.
fn utf8_string(der: &[u8]) -> Option<&str> {
    let inner = if der.first() == Some(&0xa0) { tlv(der)? } else { der };
    if inner.first() != Some(&0x0c) {
        return None;
    }
    std::str::from_utf8(tlv(inner)?).ok()
}

fn tlv(der: &[u8]) -> Option<&[u8]> {
    match *der.get(1)? {
        short @ 0..=0x7f => der.get(2..2 + usize::from(short)),
        0x81 => der.get(3..3 + usize::from(*der.get(2)?)),
        0x82 => {
            let length = usize::from(*der.get(2)?) << 8 | usize::from(*der.get(3)?);
            der.get(4..4 + length)
        }
        _ => None,
    }
}
