//! Stream errors (RFC 6120 §4.9): what ends a stream, and how the peer is told.

use jackdaw_stanza::ns;
use jackdaw_xml::{Limit, XmlError};

use crate::xml::declare;

macro_rules! conditions {
    ($($variant:ident $constructor:ident $name:literal $section:literal;)*) => {
        /// The defined conditions (RFC 6120 §4.9.3), in the RFC's order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum StreamCondition {
            $(#[doc = concat!("`", $name, "`, RFC 6120 §4.9.3.", $section, ".")] $variant,)*
        }

        impl StreamCondition {
            /// Every condition, in the RFC's order.
            pub const ALL: &[StreamCondition] = &[$(StreamCondition::$variant,)*];

            /// The element name.
            pub const fn name(self) -> &'static str {
                match self { $(StreamCondition::$variant => $name,)* }
            }
        }

        impl StreamError {
            $(
                #[doc = concat!("`", $name, "` (RFC 6120 §4.9.3.", $section, ").")]
                pub const fn $constructor() -> StreamError {
                    StreamError::new(StreamCondition::$variant)
                }
            )*
        }
    };
}

conditions! {
    BadFormat bad_format "bad-format" "1";
    BadNamespacePrefix bad_namespace_prefix "bad-namespace-prefix" "2";
    Conflict conflict "conflict" "3";
    ConnectionTimeout connection_timeout "connection-timeout" "4";
    HostGone host_gone "host-gone" "5";
    HostUnknown host_unknown "host-unknown" "6";
    ImproperAddressing improper_addressing "improper-addressing" "7";
    InternalServerError internal_server_error "internal-server-error" "8";
    InvalidFrom invalid_from "invalid-from" "9";
    InvalidNamespace invalid_namespace "invalid-namespace" "10";
    InvalidXml invalid_xml "invalid-xml" "11";
    NotAuthorized not_authorized "not-authorized" "12";
    NotWellFormed not_well_formed "not-well-formed" "13";
    PolicyViolation policy_violation "policy-violation" "14";
    RemoteConnectionFailed remote_connection_failed "remote-connection-failed" "15";
    Reset reset "reset" "16";
    ResourceConstraint resource_constraint "resource-constraint" "17";
    RestrictedXml restricted_xml "restricted-xml" "18";
    SeeOtherHost see_other_host "see-other-host" "19";
    SystemShutdown system_shutdown "system-shutdown" "20";
    UndefinedCondition undefined_condition "undefined-condition" "21";
    UnsupportedEncoding unsupported_encoding "unsupported-encoding" "22";
    UnsupportedFeature unsupported_feature "unsupported-feature" "23";
    UnsupportedStanzaType unsupported_stanza_type "unsupported-stanza-type" "24";
    UnsupportedVersion unsupported_version "unsupported-version" "25";
}

/// Why a stream cannot go on. It is always unrecoverable (RFC 6120 §4.9.1.1).
///
/// The text is for humans and says nothing of our internals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamError {
    condition: StreamCondition,
    text: Option<&'static str>,
    application: Option<ApplicationError>,
}

/// An application-specific condition (RFC 6120 §4.9.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplicationError {
    /// The peer acknowledged stanzas it was never sent (XEP-0198 §6).
    HandledCountTooHigh {
        /// What it said it had handled.
        h: u32,
        /// What it had been sent.
        send_count: u32,
    },
}

impl StreamError {
    /// An error of this condition.
    pub const fn new(condition: StreamCondition) -> StreamError {
        StreamError { condition, text: None, application: None }
    }

    /// `undefined-condition` with `<handled-count-too-high/>` (XEP-0198 §6).
    pub const fn handled_count_too_high(h: u32, send_count: u32) -> StreamError {
        StreamError {
            condition: StreamCondition::UndefinedCondition,
            text: None,
            application: Some(ApplicationError::HandledCountTooHigh { h, send_count }),
        }
    }

    /// With a text for humans.
    #[must_use]
    pub const fn text(self, text: &'static str) -> StreamError {
        StreamError { text: Some(text), ..self }
    }

    /// The defined condition.
    pub const fn condition(&self) -> StreamCondition {
        self.condition
    }

    /// Writes `<stream:error/>`. The stream's closing tag is the caller's.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<stream:error><");
        out.extend_from_slice(self.condition.name().as_bytes());
        declare(out, ns::STREAM_ERRORS);
        out.extend_from_slice(b"/>");
        if let Some(text) = self.text {
            out.extend_from_slice(b"<text xml:lang='en'");
            declare(out, ns::STREAM_ERRORS);
            out.push(b'>');
            jackdaw_xml::escape_text(out, text);
            out.extend_from_slice(b"</text>");
        }
        match self.application {
            Some(ApplicationError::HandledCountTooHigh { h, send_count }) => {
                let counts = format!(" h='{h}' send-count='{send_count}'/>");
                out.extend_from_slice(b"<handled-count-too-high");
                declare(out, ns::SM);
                out.extend_from_slice(counts.as_bytes());
            }
            None => {}
        }
        out.extend_from_slice(b"</stream:error>");
    }
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.text {
            Some(text) => write!(f, "{}: {text}", self.condition.name()),
            None => f.write_str(self.condition.name()),
        }
    }
}

impl std::error::Error for StreamError {}

impl From<XmlError> for StreamError {
    fn from(error: XmlError) -> StreamError {
        match error {
            XmlError::BadFormat | XmlError::StreamElement => StreamError::bad_format(),
            XmlError::BadNamespacePrefix => StreamError::bad_namespace_prefix(),
            XmlError::InvalidNamespace => StreamError::invalid_namespace(),
            XmlError::Limit(limit) => StreamError::policy_violation().text(limit_text(limit)),
            XmlError::NameNotAscii => StreamError::policy_violation().text("names are ASCII here"),
            XmlError::NotWellFormed(_) => StreamError::not_well_formed(),
            XmlError::RestrictedXml(_) => StreamError::restricted_xml(),
            XmlError::UnsupportedEncoding => StreamError::unsupported_encoding(),
        }
    }
}

fn limit_text(limit: Limit) -> &'static str {
    match limit {
        Limit::Attributes => "too many attributes",
        Limit::Bytes => "too many bytes",
        Limit::Depth => "too deep",
        Limit::Elements => "too many elements",
        Limit::Namespaces => "too many namespace declarations",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(error: StreamError) -> String {
        let mut out = Vec::new();
        error.write_to(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn the_twenty_five_conditions_stand_in_the_rfcs_alphabetical_order() {
        let names: Vec<_> = StreamCondition::ALL.iter().map(|condition| condition.name()).collect();
        assert_eq!(names.len(), 25);
        assert!(names.is_sorted());
    }

    #[test]
    fn an_error_names_its_condition_and_its_text() {
        assert_eq!(
            written(StreamError::policy_violation().text("too <many> attempts")),
            "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <text xml:lang='en' xmlns='urn:ietf:params:xml:ns:xmpp-streams'>\
             too &lt;many&gt; attempts</text></stream:error>"
        );
    }

    #[test]
    fn a_handled_count_that_is_too_high_is_told_with_both_counts() {
        assert_eq!(
            written(StreamError::handled_count_too_high(10, 8)),
            "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/></stream:error>"
        );
    }
}
