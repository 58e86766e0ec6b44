//! One TLS session of a connection: bytes in, events and bytes out.

use std::sync::Arc;

use super::TlsInfo;
use super::config::Contexts;
use super::handshake::{Handshake, Progress};
use super::record::{Alert, BODY_BYTES_MAX, HEADER_BYTES, Opened, Records};

/// What came out of received bytes, in order.
pub(crate) enum Received<'a> {
    /// The handshake is finished.
    Secured(TlsInfo),
    Plaintext(&'a [u8]),
    /// The peer will send no more (`close_notify`).
    Ended,
}

/// The peer broke TLS, or offered nothing we speak. The alert that says so is in the output.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

enum Stage {
    Handshake(Box<Handshake>),
    Established(Box<Records>),
    /// It failed; nothing more is understood or sent.
    Broken,
}

/// The server's side of one session.
pub(crate) struct Session {
    stage: Stage,
    ended: bool,
    closed: bool,
    /// Bytes for the peer.
    pub(crate) outgoing: Vec<u8>,
    /// The beginning of a record whose end has not come: at most one record.
    pub(crate) incoming: Vec<u8>,
    /// Handshake bytes that wait for their turn.
    pub(crate) backlog: Vec<u8>,
}

impl Session {
    pub(crate) fn new(contexts: Arc<Contexts>, direct: bool) -> Result<Session, Failed> {
        let handshake = Handshake::new(contexts, direct)?;
        Ok(Session {
            stage: Stage::Handshake(Box::new(handshake)),
            ended: false,
            closed: false,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            backlog: Vec::new(),
        })
    }

    /// Whether the handshake is still under way.
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self.stage, Stage::Handshake(_))
    }

    /// Takes bytes from the peer; records that are whole are opened where they are.
    pub(crate) fn receive(
        &mut self,
        mut bytes: &mut [u8],
        mut report: impl FnMut(Received<'_>),
    ) -> Result<(), Failed> {
        while !bytes.is_empty() && !self.ended {
            if self.incoming.is_empty()
                && let Some(length) = record_bytes(bytes)
                && length <= bytes.len()
            {
                let (record, rest) = bytes.split_at_mut(length);
                bytes = rest;
                self.take_record(record, &mut report)?;
                continue;
            }
            let missing = match record_bytes(&self.incoming) {
                Some(length) => length - self.incoming.len(),
                None => HEADER_BYTES - self.incoming.len(),
            };
            let (more, rest) = bytes.split_at_mut(missing.min(bytes.len()));
            self.incoming.extend_from_slice(more);
            bytes = rest;
            if record_bytes(&self.incoming) == Some(self.incoming.len()) {
                let mut record = std::mem::take(&mut self.incoming);
                let taken = self.take_record(&mut record, &mut report);
                record.clear();
                self.incoming = record;
                taken?;
            }
        }
        Ok(())
    }

    fn take_record(
        &mut self,
        record: &mut [u8],
        report: &mut impl FnMut(Received<'_>),
    ) -> Result<(), Failed> {
        match &mut self.stage {
            Stage::Handshake(_) => self.shake_hands(record, report),
            Stage::Established(_) if record.len() > HEADER_BYTES + BODY_BYTES_MAX => {
                Err(self.refuse(Alert::RecordOverflow))
            }
            Stage::Established(records) => match records.open(record) {
                Ok(Opened::Data([]) | Opened::Nothing) => Ok(()),
                Ok(Opened::Data(plaintext)) => {
                    report(Received::Plaintext(plaintext));
                    Ok(())
                }
                Ok(Opened::End) => {
                    self.ended = true;
                    report(Received::Ended);
                    Ok(())
                }
                Ok(Opened::Fatal(alert)) => {
                    self.stage = Stage::Broken;
                    Err(Failed(format!("the peer sent alert {alert}")))
                }
                Err(alert) => Err(self.refuse(alert)),
            },
            Stage::Broken => Err(Failed("it had failed before".to_owned())),
        }
    }

    fn shake_hands(
        &mut self,
        record: &[u8],
        report: &mut impl FnMut(Received<'_>),
    ) -> Result<(), Failed> {
        let stage = std::mem::replace(&mut self.stage, Stage::Broken);
        let Stage::Handshake(mut handshake) = stage else { return Ok(()) };
        match handshake.take(record, &mut self.outgoing)? {
            Progress::Continues => self.stage = Stage::Handshake(handshake),
            Progress::Ended => {
                self.ended = true;
                report(Received::Ended);
            }
            Progress::Done => {
                let (info, records) = handshake.finish()?;
                self.stage = Stage::Established(Box::new(records));
                report(Received::Secured(info));
            }
        }
        Ok(())
    }

    /// Ends the session because of what the peer did, and says so.
    fn refuse(&mut self, alert: Alert) -> Failed {
        if let Stage::Established(records) = &mut self.stage {
            // If even this cannot be sealed, the peer sees the connection end.
            let _ = records.seal_alert(alert, &mut self.outgoing);
        }
        self.stage = Stage::Broken;
        Failed(format!("refused with {alert:?}"))
    }

    /// Encrypts into the output, along with what this layer itself has to say.
    pub(crate) fn seal(&mut self, plaintext: &[u8]) -> Result<(), Failed> {
        let Stage::Established(records) = &mut self.stage else { return Ok(()) };
        let sealed = records
            .pay_update(&mut self.outgoing)
            .and_then(|()| records.seal_data(plaintext, &mut self.outgoing));
        sealed.map_err(|alert| {
            self.stage = Stage::Broken;
            Failed(format!("cannot seal: {alert:?}"))
        })
    }

    /// Whether there is something to send that nobody wrote.
    pub(crate) fn has_to_say(&self) -> bool {
        let owes = match &self.stage {
            Stage::Established(records) => records.owes_update(),
            Stage::Handshake(_) | Stage::Broken => false,
        };
        owes || !self.outgoing.is_empty()
    }

    /// Says that we send no more. Only the first call does.
    pub(crate) fn close(&mut self) {
        if let Stage::Established(records) = &mut self.stage
            && !std::mem::replace(&mut self.closed, true)
        {
            // Without it the peer sees the end of the connection all the same.
            let _ = records.seal_close(&mut self.outgoing);
        }
    }
}

#[cfg(test)]
impl Session {
    /// As if the sending key had sealed all it may.
    pub(super) fn wear_out_key(&mut self) {
        if let Stage::Established(records) = &mut self.stage {
            records.wear_out_key();
        }
    }
}

/// Length of the record that begins here, header and all, once its header is there. What is no
/// record at all is passed on at once: it is refused like one.
fn record_bytes(bytes: &[u8]) -> Option<usize> {
    let (header, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [kind, major, _, high, low] = *header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let plausible = (20..=24).contains(&kind) && major == 3 && length <= BODY_BYTES_MAX;
    Some(if plausible { HEADER_BYTES + length } else { HEADER_BYTES })
}
