//! Stream features (RFC 6120 §4.3.2): what is offered in which phase.

use super::config::C2sConfig;
use crate::sasl::Offer;
use crate::xml::{attribute, declare, text};
use jackdaw_stanza::ns;

/// Before TLS where TLS is required: nothing else is offered (RFC 6120 §5.3.1).
pub(super) fn write_starttls_required(out: &mut Vec<u8>) {
    out.extend_from_slice(b"<stream:features><starttls");
    declare(out, ns::TLS);
    out.extend_from_slice(b"><required/></starttls></stream:features>");
}

/// What a client finds that may authenticate.
pub(super) struct BeforeAuth<'a> {
    pub config: &'a C2sConfig,
    pub offer: &'a Offer,
    /// Whether TLS can still be started.
    pub starttls: bool,
    /// Whether SASL2 is offered on this stream.
    pub sasl2: bool,
}

impl BeforeAuth<'_> {
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<stream:features>");
        if self.starttls {
            empty(out, "starttls", ns::TLS);
        }
        self.write_mechanisms(out);
        if self.sasl2 {
            self.write_authentication(out);
        }
        self.write_channel_bindings(out);
        if self.config.registration {
            empty(out, "register", ns::REGISTER_FEATURE);
        }
        write_limits(out, self.config.limits.before_auth.stanza_bytes_max, None);
        out.extend_from_slice(b"</stream:features>");
    }

    /// RFC 6120 §6.3.3.
    fn write_mechanisms(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<mechanisms");
        declare(out, ns::SASL);
        out.push(b'>');
        for mechanism in &self.offer.mechanisms {
            text(out, "mechanism", mechanism.name());
        }
        out.extend_from_slice(b"</mechanisms>");
    }

    /// XEP-0388 §2.1, with what can be asked for inline.
    fn write_authentication(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<authentication");
        declare(out, ns::SASL2);
        out.push(b'>');
        for mechanism in &self.offer.mechanisms {
            text(out, "mechanism", mechanism.name());
        }
        out.extend_from_slice(b"<inline>");
        empty(out, "sm", ns::SM);
        self.write_bind2(out);
        if !self.offer.fast.is_empty() {
            out.extend_from_slice(b"<fast");
            declare(out, ns::FAST);
            out.push(b'>');
            for mechanism in &self.offer.fast {
                text(out, "mechanism", mechanism.name());
            }
            out.extend_from_slice(b"</fast>");
        }
        out.extend_from_slice(b"</inline></authentication>");
    }

    /// XEP-0386 §3.1.
    fn write_bind2(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<bind");
        declare(out, ns::BIND2);
        out.extend_from_slice(b"><inline>");
        let csi = self.config.csi.enabled.then_some(ns::CSI);
        for feature in [ns::CARBONS, ns::SM].into_iter().chain(csi) {
            out.extend_from_slice(b"<feature");
            attribute(out, "var", feature);
            out.extend_from_slice(b"/>");
        }
        out.extend_from_slice(b"</inline></bind>");
    }

    /// XEP-0440 §2. Without a binding to offer the element is left out.
    fn write_channel_bindings(&self, out: &mut Vec<u8>) {
        if self.offer.channel_bindings.is_empty() {
            return;
        }
        out.extend_from_slice(b"<sasl-channel-binding");
        declare(out, ns::SASL_CB);
        out.push(b'>');
        for binding in &self.offer.channel_bindings {
            out.extend_from_slice(b"<channel-binding");
            attribute(out, "type", binding.name());
            out.extend_from_slice(b"/>");
        }
        out.extend_from_slice(b"</sasl-channel-binding>");
    }
}

/// What a client has behind it that has authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterAuth {
    /// No resource yet.
    Unbound,
    /// A resource, by Bind 2.
    Bound,
    /// A resource by Bind 2, and stream management with it: what is on is not offered again.
    Managed,
}

/// What a client finds that has authenticated.
pub(super) fn write_after_auth(out: &mut Vec<u8>, config: &C2sConfig, progress: AfterAuth) {
    out.extend_from_slice(b"<stream:features>");
    if progress == AfterAuth::Unbound {
        out.extend_from_slice(b"<bind");
        declare(out, ns::BIND);
        out.extend_from_slice(b"><required/></bind>");
    }
    if progress != AfterAuth::Managed {
        empty(out, "sm", ns::SM);
    }
    if config.csi.enabled {
        empty(out, "csi", ns::CSI);
    }
    out.extend_from_slice(&config.extra_features);
    let idle = config.keepalive.idle.as_secs();
    write_limits(out, config.limits.after_auth.stanza_bytes_max, Some(idle));
    out.extend_from_slice(b"</stream:features>");
}

/// XEP-0478 §3.1.
fn write_limits(out: &mut Vec<u8>, bytes_max: u32, idle_secs: Option<u64>) {
    out.extend_from_slice(b"<limits");
    declare(out, ns::STREAM_LIMITS);
    out.push(b'>');
    text(out, "max-bytes", &bytes_max.to_string());
    if let Some(idle_secs) = idle_secs {
        text(out, "idle-seconds", &idle_secs.to_string());
    }
    out.extend_from_slice(b"</limits>");
}

fn empty(out: &mut Vec<u8>, name: &str, ns: &str) {
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    declare(out, ns);
    out.extend_from_slice(b"/>");
}
