//! What the transport says about a connection, as far as SASL builds on it.

use jackdaw_jid::BareJid;
use std::fmt;

/// A channel-binding type, by its registered prefix (RFC 5929, RFC 9266).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelBinding {
    /// `tls-exporter` (RFC 9266): keying material of this very connection.
    Exporter,
    /// `tls-server-end-point` (RFC 5929 §4): the hash of the server's certificate.
    /// XEP-0440 §3 makes servers offer it.
    ServerEndPoint,
    /// `tls-unique` (RFC 5929 §3). Never available: TLS 1.3 has none, and rustls keeps the
    /// `Finished` message of TLS 1.2 to itself. It is listed because FAST has a name for it.
    Unique,
}

impl ChannelBinding {
    /// Every type, strongest first.
    pub const ALL: [ChannelBinding; 3] =
        [ChannelBinding::Exporter, ChannelBinding::ServerEndPoint, ChannelBinding::Unique];

    /// The registered prefix, as in the GS2 header and in XEP-0440.
    pub const fn name(self) -> &'static str {
        match self {
            ChannelBinding::Exporter => "tls-exporter",
            ChannelBinding::ServerEndPoint => "tls-server-end-point",
            ChannelBinding::Unique => "tls-unique",
        }
    }

    /// The type of that prefix.
    pub fn parse(name: &str) -> Option<ChannelBinding> {
        ChannelBinding::ALL.into_iter().find(|binding| binding.name() == name)
    }
}

/// One connection as SASL sees it. The default has no TLS and is trusted with nothing.
#[derive(Clone, Default)]
pub struct Channel {
    /// Whether passwords and tokens may cross it: TLS, or a listener the operator declared
    /// trusted.
    pub confidential: bool,
    /// `EXPORTER-Channel-Binding` keying material (RFC 9266 §4.2). On TLS 1.2 only with the
    /// extended master secret, else leave it out.
    pub exporter: Option<[u8; 32]>,
    /// The hash of the server's certificate, by the function RFC 5929 §4.1 prescribes.
    pub server_end_point: Option<Box<[u8]>>,
    /// The bare JIDs the client's **verified** certificate asserts (`id-on-xmppAddr`, RFC 6120
    /// §13.7.1.4). The TLS layer bounds their number.
    pub identities: Vec<BareJid>,
}

impl Channel {
    /// The data to bind to, if this connection has that type.
    pub fn binding(&self, binding: ChannelBinding) -> Option<&[u8]> {
        match binding {
            ChannelBinding::Exporter => self.exporter.as_ref().map(<[u8; 32]>::as_slice),
            ChannelBinding::ServerEndPoint => self.server_end_point.as_deref(),
            ChannelBinding::Unique => None,
        }
    }
}

/// Shows what there is, not the keying material.
impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("confidential", &self.confidential)
            .field("exporter", &self.exporter.is_some())
            .field("server_end_point", &self.server_end_point.is_some())
            .field("identities", &self.identities)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for binding in ChannelBinding::ALL {
            assert_eq!(ChannelBinding::parse(binding.name()), Some(binding));
        }
        assert_eq!(ChannelBinding::parse("tls-exporter "), None);
    }

    #[test]
    fn debug_output_has_no_keying_material() {
        let channel = Channel { exporter: Some([0xab; 32]), ..Channel::default() };
        assert!(format!("{channel:?}").contains("exporter: true"));
    }
}
