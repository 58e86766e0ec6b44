//! STARTTLS (RFC 6120 §5).

use super::event::Event;
use super::negotiation::Tls;
use super::state::State;
use super::timer::Timer;
use super::transport::TlsInfo;
use super::{C2s, Cx};
use crate::StreamError;
use crate::xml::declare;
use jackdaw_stanza::ns;
use jackdaw_xml::Element;

impl C2s {
    /// Nothing but `<starttls/>` will do.
    pub(super) fn expect_starttls(
        &mut self,
        cx: &mut Cx<'_>,
        element: &Element,
    ) -> Result<State, StreamError> {
        match (element.ns(), element.name()) {
            (ns::TLS, "starttls") => Ok(self.start_tls(cx)),
            // Whoever tries to authenticate here has not read the features (bad-inputs A04).
            (ns::SASL | ns::SASL2 | ns::CLIENT, _) => {
                Err(StreamError::not_authorized().text("TLS is required"))
            }
            _ => Err(StreamError::unsupported_stanza_type()),
        }
    }

    /// Lets the client go ahead. Not a byte behind `<starttls/>` is read: somebody in between may
    /// have written it, to have it taken for the client's own (bad-inputs A04).
    pub(super) fn start_tls(&mut self, cx: &mut Cx<'_>) -> State {
        cx.out.extend_from_slice(b"<proceed");
        declare(cx.out, ns::TLS);
        cx.out.extend_from_slice(b"/>");
        self.timers.set(Timer::Phase, cx.now + self.config.deadlines.tls);
        cx.events.push_back(Event::StartTls);
        State::Securing
    }

    /// TLS is there that was not, and it is the client that opens the stream anew (RFC 6120
    /// §5.4.3.3).
    pub fn handle_secured(&mut self, cx: &mut Cx<'_>, tls: TlsInfo) {
        if !matches!(self.state, State::Securing) {
            tracing::error!("a stream was secured that had not asked for it");
            return;
        }
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.secure(tls);
        }
        self.restart(cx);
        self.state = State::ExpectHeader;
    }

    /// A new header is expected, from both sides (RFC 6120 §4.3.3).
    pub(super) fn restart(&mut self, cx: &mut Cx<'_>) {
        self.input.restart();
        self.is_open = false;
        self.timers.set(Timer::Phase, cx.now + self.config.deadlines.header);
    }

    /// STARTTLS where it is voluntary, or where it makes no sense.
    pub(super) fn start_optional_tls(&mut self, cx: &mut Cx<'_>) -> Result<State, StreamError> {
        match self.negotiation.as_ref().map(|negotiation| negotiation.tls) {
            Some(Tls::Optional | Tls::Required) => Ok(self.start_tls(cx)),
            Some(Tls::Absent | Tls::Present) | None => {
                // RFC 6120 §5.4.2.2; the stream ends with it.
                cx.out.extend_from_slice(b"<failure");
                declare(cx.out, ns::TLS);
                cx.out.extend_from_slice(b"/>");
                Err(StreamError::policy_violation().text("TLS was not offered"))
            }
        }
    }
}
