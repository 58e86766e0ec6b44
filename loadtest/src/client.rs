//! One client: its socket, the frame it waits for, what it has to send.

use jackdaw_xml::{Framer, Limits};

use crate::error::Result;
use crate::login::Login;
use crate::wire::Wire;

/// Where a client is.
pub enum Phase {
    /// The connection is not up.
    Connecting(Box<Login>),
    /// The login is under way.
    LoggingIn(Box<Login>),
    /// Its behaviour has it.
    Established,
    /// It said goodbye, and waits for the server to do so.
    Closing,
}

/// One connection and what belongs to it. Buffers are there only while they hold something.
pub struct Client {
    pub wire: Wire,
    pub framer: Framer,
    pub phase: Phase,
    /// The beginning of a frame that has not ended.
    pub partial: Vec<u8>,
    /// What is to be sent.
    pub out: Vec<u8>,
    /// Whether `out` will be looked at when the turn ends.
    pub is_dirty: bool,
    /// Whether the socket took less than it was given, and will say when it takes more.
    pub is_blocked: bool,
    /// The full address, once established.
    pub jid: Box<str>,
    /// Under stream management: the stanzas that came (XEP-0198 §4).
    pub handled: Option<u32>,
}

impl Client {
    pub fn new(wire: Wire, login: Login) -> Client {
        Client {
            wire,
            framer: Framer::new(),
            phase: Phase::Connecting(Box::new(login)),
            partial: Vec::new(),
            out: Vec::new(),
            is_dirty: false,
            is_blocked: false,
            jid: Box::default(),
            handled: None,
        }
    }

    /// Makes the framer believe that the stream has begun: a relay sends no header.
    pub fn skip_header(&mut self) {
        let header = b"<stream:stream xmlns='jabber:client'>";
        self.framer = Framer::new();
        // A header of our own is one.
        let _ = self.framer.scan(&Limits::after_auth(), header);
    }

    /// Sends what the socket takes; whether that was all.
    pub fn flush(&mut self) -> Result<bool> {
        if !self.out.is_empty() {
            let taken = self.wire.write(&self.out)?;
            self.out.drain(..taken);
        }
        self.is_blocked = !self.out.is_empty();
        Ok(!self.is_blocked)
    }
}
