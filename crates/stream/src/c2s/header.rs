//! Stream headers (RFC 6120 §4.2, §4.7): whom a client wants to talk to, and our own.

use super::features::{self, AfterAuth, BeforeAuth};
use super::negotiation::Tls;
use super::state::State;
use super::timer::Timer;
use super::{C2s, Cx};
use crate::StreamError;
use crate::xml::attribute;
use jackdaw_jid::{BareJid, Jid};
use jackdaw_stanza::ns;
use jackdaw_xml::{StreamHeader, parse_stream_header};
use std::sync::Arc;

impl C2s {
    /// The client opened its stream: answers with a header and the features of the phase.
    pub(super) fn handle_header(&mut self, cx: &mut Cx<'_>, xml: &[u8]) -> Result<(), StreamError> {
        let header = parse_stream_header(xml, self.limits())?;
        check_form(&header)?;
        let domain = self.check_to(&header)?;
        let claimed = self.check_from(&header)?;
        let Some(negotiation) = &mut self.negotiation else { return Ok(()) };
        negotiation.domain = Some(Arc::clone(&domain));
        negotiation.claimed = claimed;
        self.input.scope = header.scope;
        self.write_header(cx.out);
        self.state = self.offer_features(cx, &domain);
        Ok(())
    }

    /// The domain that `to` names.
    fn check_to(&self, header: &StreamHeader) -> Result<Arc<str>, StreamError> {
        let to = header.to.as_deref().ok_or(StreamError::improper_addressing())?;
        let to = Jid::parse(to).map_err(|_| StreamError::host_unknown())?;
        let host = match to.as_jid_ref().is_domain() {
            true => self.config.hosts.find(to.domain()),
            false => None,
        };
        let host = host.ok_or(StreamError::host_unknown())?;
        let Some(negotiation) = &self.negotiation else { return Ok(Arc::clone(&host.domain)) };
        // An account of one domain is nobody on another (bad-inputs A02).
        let is_pinned_elsewhere = negotiation
            .authenticated()
            .is_some_and(|authenticated| authenticated.account.domain() != &*host.domain);
        // The certificate was chosen for the name in the TLS handshake. A name that we do not
        // serve is that of a machine, as in an SRV record.
        let is_secured_elsewhere = negotiation.sni().is_some_and(|sni| {
            let sni = Jid::parse(sni).ok();
            let sni = sni.and_then(|sni| self.config.hosts.find(sni.domain()));
            sni.is_some_and(|secured| secured.domain != host.domain)
        });
        match is_pinned_elsewhere || is_secured_elsewhere {
            true => Err(StreamError::not_authorized()),
            false => Ok(Arc::clone(&host.domain)),
        }
    }

    /// Whom `from` names; after authentication nobody else will do.
    fn check_from(&self, header: &StreamHeader) -> Result<Option<BareJid>, StreamError> {
        let Some(from) = header.from.as_deref() else { return Ok(None) };
        let from = Jid::parse(from).map_err(|_| StreamError::invalid_from())?.to_bare();
        let authenticated = self.negotiation.as_ref().and_then(|n| n.authenticated());
        match authenticated {
            Some(authenticated) if authenticated.account != from => {
                Err(StreamError::invalid_from())
            }
            Some(_) | None => Ok(Some(from)),
        }
    }

    /// Our own header, as far as anything is known.
    pub(super) fn write_header(&mut self, out: &mut Vec<u8>) {
        self.is_open = true;
        out.extend_from_slice(b"<?xml version='1.0'?><stream:stream");
        let negotiation = self.negotiation.as_ref();
        let domain = negotiation.and_then(|n| n.domain.as_ref());
        if let Some(domain) = domain.or(self.config.hosts.default_domain()) {
            attribute(out, "from", domain);
        }
        if let Some(claimed) = negotiation.and_then(|n| n.claimed.as_ref()) {
            attribute(out, "to", claimed.as_str());
        }
        attribute(out, "id", &self.ids.text());
        attribute(out, "version", "1.0");
        attribute(out, "xml:lang", "en");
        attribute(out, "xmlns", ns::CLIENT);
        attribute(out, "xmlns:stream", ns::STREAMS);
        out.push(b'>');
    }

    fn offer_features(&mut self, cx: &mut Cx<'_>, domain: &str) -> State {
        let (config, deadlines) = (&self.config, &self.config.deadlines);
        let Some(negotiation) = &mut self.negotiation else { return State::closed() };
        if negotiation.is_authenticated() {
            self.timers.set(Timer::Phase, cx.now + deadlines.bind);
            features::write_after_auth(cx.out, config, AfterAuth::Unbound);
            return State::ExpectBind;
        }
        if negotiation.tls == Tls::Required {
            self.timers.set(Timer::Phase, cx.now + deadlines.tls);
            features::write_starttls_required(cx.out);
            return State::ExpectStartTls;
        }
        self.timers.set(Timer::Phase, cx.now + deadlines.auth);
        if let Some(host) = config.hosts.find(domain) {
            negotiation.offer = Arc::new(host.sasl.offer(&negotiation.channel, domain));
        }
        let features = BeforeAuth {
            config,
            offer: &negotiation.offer,
            starttls: negotiation.tls == Tls::Optional,
            sasl2: config.sasl2 && negotiation.allows_sasl2(),
        };
        features.write_to(cx.out);
        State::ExpectAuth
    }
}

/// What does not depend on who asks (RFC 6120 §4.7.5, §4.8.2).
fn check_form(header: &StreamHeader) -> Result<(), StreamError> {
    if header.scope.default_namespace() != ns::CLIENT {
        return Err(StreamError::invalid_namespace());
    }
    let version = header.version.as_deref().and_then(|version| version.split_once('.'));
    let major = version.and_then(|(major, _)| major.parse::<u32>().ok());
    match major {
        Some(1..) => Ok(()),
        Some(0) | None => Err(StreamError::unsupported_version()),
    }
}
