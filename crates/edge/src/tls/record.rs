//! Record protection after the handshake (RFC 8446 §5, RFC 5246 §6.2).
//!
//! rustls shakes hands, checks certificates and derives the keys; from the first record of data
//! on, its connection object is given up and its keys live here. A session then keeps two key
//! schedules and two counters, about 1.5 KB instead of 7 to 19, and a message costs no
//! allocation: records are opened in the receive buffer and sealed in the send buffer.

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

use super::TlsVersion;
use super::key_update::Secret;

/// Type, version, length (RFC 8446 §5.1).
pub(super) const HEADER_BYTES: usize = 5;

/// Most plaintext in a record.
const PLAINTEXT_BYTES_MAX: usize = 1 << 14;

/// Most that follows a header: TLS 1.2 allows the larger expansion (RFC 5246 §6.2.3).
pub(super) const BODY_BYTES_MAX: usize = PLAINTEXT_BYTES_MAX + 2048;

const TAG_BYTES: usize = 16;

/// The part of the nonce that TLS 1.2 sends with each AES-GCM record (RFC 5288 §3).
const EXPLICIT_NONCE_BYTES: usize = 8;

/// Records sealed with one AES-GCM key: below the 2^24.5 of RFC 8446 §5.5. Then TLS 1.3 takes the
/// next key, TLS 1.2 has none and closes.
const SEALED_MAX: u64 = 1 << 24;

/// Records in a row that carry no data: empty ones, changes of key, warnings. A change of key costs
/// more than any data of its length, and nobody who has something to say needs many of them.
const WITHOUT_DATA_MAX: u8 = 32;

/// Record types (RFC 8446 §5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// A `KeyUpdate` message (RFC 8446 §4.6.3) without its last byte, which says whether the other
/// side shall follow.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];

/// Why a record was refused; the alert to send for it (RFC 8446 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Alert {
    UnexpectedMessage = 10,
    BadRecordMac = 20,
    RecordOverflow = 22,
    InternalError = 80,
}

/// What a record held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened<'a> {
    Data(&'a [u8]),
    /// `close_notify`.
    End,
    /// The peer gave up, with this alert.
    Fatal(u8),
    /// Something that concerns this layer only.
    Nothing,
}

/// One direction's protection.
struct Direction {
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
    /// From which the next key is made; only TLS 1.3 has one.
    secret: Option<Secret>,
}

/// Both directions of an established session.
pub(super) struct Records {
    version: TlsVersion,
    algorithm: &'static Algorithm,
    receive: Direction,
    send: Direction,
    /// The peer asked for a new sending key.
    update_owed: bool,
    /// Records without data that came one behind the other.
    without_data: u8,
}

impl Records {
    /// Takes over from rustls. `secrets` are the client's and the server's traffic secrets, which
    /// TLS 1.3 derives later keys from.
    pub(super) fn new(
        version: TlsVersion,
        keys: ExtractedSecrets,
        secrets: Option<(Secret, Secret)>,
    ) -> Option<Records> {
        let (client, server) = secrets.unzip();
        if version == TlsVersion::V1_3 && client.is_none() {
            return None;
        }
        let (algorithm, receive) = direction(keys.rx, client)?;
        let (_, send) = direction(keys.tx, server)?;
        Some(Records { version, algorithm, receive, send, update_owed: false, without_data: 0 })
    }

    /// Opens one whole record in place.
    pub(super) fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<Opened<'a>, Alert> {
        let opened = self.open_any(record)?;
        self.without_data = match opened {
            Opened::Data([_, ..]) => 0,
            Opened::Data([]) | Opened::Nothing => self.without_data + 1,
            Opened::End | Opened::Fatal(_) => self.without_data,
        };
        if self.without_data > WITHOUT_DATA_MAX {
            return Err(Alert::UnexpectedMessage);
        }
        Ok(opened)
    }

    fn open_any<'a>(&mut self, record: &'a mut [u8]) -> Result<Opened<'a>, Alert> {
        let (kind, plaintext) = match self.version {
            TlsVersion::V1_3 => self.open_v1_3(record)?,
            TlsVersion::V1_2 => self.open_v1_2(record)?,
        };
        match kind {
            DATA => Ok(Opened::Data(plaintext)),
            ALERT => read_alert(plaintext),
            HANDSHAKE if self.version == TlsVersion::V1_3 => self.take_key_update(plaintext),
            // In TLS 1.2 a handshake message would be renegotiation, which we do not do.
            _ => Err(Alert::UnexpectedMessage),
        }
    }

    /// RFC 8446 §5.2: the real type is the last byte that is not zero.
    fn open_v1_3<'a>(&mut self, record: &'a mut [u8]) -> Result<(u8, &'a [u8]), Alert> {
        let (header, body) = split_header(record)?;
        if header[0] != DATA {
            return Err(Alert::UnexpectedMessage);
        }
        let nonce = self.receive.next_nonce()?;
        let opened = self.receive.key.open_in_place(unique(nonce), Aad::from(header), body);
        let inner: &[u8] = opened.map_err(|_| Alert::BadRecordMac)?;
        if inner.len() > PLAINTEXT_BYTES_MAX + 1 {
            return Err(Alert::RecordOverflow);
        }
        let end = inner.iter().rposition(|byte| *byte != 0).ok_or(Alert::UnexpectedMessage)?;
        Ok((inner[end], &inner[..end]))
    }

    /// RFC 5246 §6.2.3.3; the nonce is RFC 5288's or RFC 7905's.
    fn open_v1_2<'a>(&mut self, record: &'a mut [u8]) -> Result<(u8, &'a [u8]), Alert> {
        let (header, body) = split_header(record)?;
        let sequence = self.receive.sequence;
        let mut nonce = self.receive.next_nonce()?;
        let explicit = self.explicit_nonce_bytes();
        let (sent, body) = body.split_at_mut_checked(explicit).ok_or(Alert::BadRecordMac)?;
        nonce[12 - explicit..].copy_from_slice(sent);
        let length = body.len().checked_sub(TAG_BYTES).ok_or(Alert::BadRecordMac)?;
        if length > PLAINTEXT_BYTES_MAX {
            return Err(Alert::RecordOverflow);
        }
        let aad = Aad::from(additional_data(sequence, header[0], length));
        let opened = self.receive.key.open_in_place(unique(nonce), aad, body);
        Ok((header[0], opened.map_err(|_| Alert::BadRecordMac)?))
    }

    /// Peers may change their key, and ask us to (RFC 8446 §4.6.3). Nothing else may come after
    /// the handshake.
    fn take_key_update(&mut self, message: &[u8]) -> Result<Opened<'static>, Alert> {
        match message.split_last() {
            Some((asks @ 0..=1, start)) if *start == KEY_UPDATE => {
                // However often it is asked for, once is enough until the answer has left.
                self.update_owed |= *asks == 1;
                self.receive.update(self.algorithm)?;
                Ok(Opened::Nothing)
            }
            _ => Err(Alert::UnexpectedMessage),
        }
    }

    /// Seals data, in as many records as it takes.
    pub(super) fn seal_data(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Alert> {
        for chunk in data.chunks(PLAINTEXT_BYTES_MAX) {
            if self.send.sequence >= SEALED_MAX && self.algorithm != &CHACHA20_POLY1305 {
                self.update_owed = true;
            }
            self.pay_update(out)?;
            self.seal(DATA, chunk, out)?;
        }
        Ok(())
    }

    /// Changes the sending key if that is due. TLS 1.2 cannot.
    pub(super) fn pay_update(&mut self, out: &mut Vec<u8>) -> Result<(), Alert> {
        if !std::mem::take(&mut self.update_owed) {
            return Ok(());
        }
        if self.version == TlsVersion::V1_2 {
            return Err(Alert::InternalError);
        }
        let [kind, a, b, c] = KEY_UPDATE;
        self.seal(HANDSHAKE, &[kind, a, b, c, 0], out)?;
        self.send.update(self.algorithm)
    }

    pub(super) fn owes_update(&self) -> bool {
        self.update_owed
    }

    pub(super) fn seal_close(&mut self, out: &mut Vec<u8>) -> Result<(), Alert> {
        // Level warning, `close_notify`.
        self.seal(ALERT, &[1, 0], out)
    }

    pub(super) fn seal_alert(&mut self, alert: Alert, out: &mut Vec<u8>) -> Result<(), Alert> {
        self.seal(ALERT, &[2, alert as u8], out)
    }

    fn seal(&mut self, kind: u8, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), Alert> {
        let v1_3 = self.version == TlsVersion::V1_3;
        let explicit = self.explicit_nonce_bytes();
        let length = explicit + plaintext.len() + usize::from(v1_3) + TAG_BYTES;
        let [high, low] = (length as u16).to_be_bytes();
        let header = [if v1_3 { DATA } else { kind }, 3, 3, high, low];
        let sequence = self.send.sequence;
        let nonce = self.send.next_nonce()?;
        out.extend_from_slice(&header);
        out.extend_from_slice(&nonce[12 - explicit..]);
        let start = out.len();
        out.extend_from_slice(plaintext);
        let key = &self.send.key;
        let tag = if v1_3 {
            out.push(kind);
            key.seal_in_place_separate_tag(unique(nonce), Aad::from(header), &mut out[start..])
        } else {
            let aad = Aad::from(additional_data(sequence, kind, plaintext.len()));
            key.seal_in_place_separate_tag(unique(nonce), aad, &mut out[start..])
        };
        out.extend_from_slice(tag.map_err(|_| Alert::InternalError)?.as_ref());
        Ok(())
    }

    fn explicit_nonce_bytes(&self) -> usize {
        let gcm = self.algorithm != &CHACHA20_POLY1305;
        if self.version == TlsVersion::V1_2 && gcm { EXPLICIT_NONCE_BYTES } else { 0 }
    }
}

#[cfg(test)]
impl Records {
    pub(super) fn wear_out_key(&mut self) {
        self.send.sequence = SEALED_MAX;
    }
}

impl Direction {
    /// The initialisation vector with the sequence number mixed in (RFC 8446 §5.3). Never twice
    /// for one key: the number only grows. AES-GCM in TLS 1.2 sends the lower part of it along,
    /// as rustls did before.
    fn next_nonce(&mut self) -> Result<[u8; 12], Alert> {
        let mut nonce = self.iv;
        for (byte, mixed) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= mixed;
        }
        self.sequence = self.sequence.checked_add(1).ok_or(Alert::InternalError)?;
        Ok(nonce)
    }

    /// Goes over to the next key (RFC 8446 §7.2). TLS 1.2 has none.
    fn update(&mut self, algorithm: &'static Algorithm) -> Result<(), Alert> {
        let secret = self.secret.as_mut().ok_or(Alert::InternalError)?;
        let (key, iv) = secret.advance(algorithm).ok_or(Alert::InternalError)?;
        (self.key, self.iv, self.sequence) = (key, iv, 0);
        Ok(())
    }
}

fn direction(
    (sequence, keys): (u64, ConnectionTrafficSecrets),
    secret: Option<Secret>,
) -> Option<(&'static Algorithm, Direction)> {
    let (algorithm, key, iv) = match keys {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
        _ => return None,
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).ok()?);
    let iv = iv.as_ref().try_into().ok()?;
    Some((algorithm, Direction { key, iv, sequence, secret }))
}

fn unique(nonce: [u8; 12]) -> Nonce {
    Nonce::assume_unique_for_key(nonce)
}

fn split_header(record: &mut [u8]) -> Result<([u8; HEADER_BYTES], &mut [u8]), Alert> {
    let (header, body) =
        record.split_first_chunk_mut::<HEADER_BYTES>().ok_or(Alert::UnexpectedMessage)?;
    Ok((*header, body))
}

/// What TLS 1.2 authenticates beside the content (RFC 5246 §6.2.3.3).
fn additional_data(sequence: u64, kind: u8, length: usize) -> [u8; 13] {
    let mut data = [0; 13];
    data[..8].copy_from_slice(&sequence.to_be_bytes());
    data[8..11].copy_from_slice(&[kind, 3, 3]);
    data[11..].copy_from_slice(&(length as u16).to_be_bytes());
    data
}

fn read_alert(message: &[u8]) -> Result<Opened<'static>, Alert> {
    match message {
        [_, 0] => Ok(Opened::End),
        // `user_canceled`, and what TLS 1.2 calls a warning: `no_renegotiation`.
        [_, 90 | 100] => Ok(Opened::Nothing),
        [_, alert] => Ok(Opened::Fatal(*alert)),
        _ => Err(Alert::UnexpectedMessage),
    }
}
