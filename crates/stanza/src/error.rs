//! Stanza errors (RFC 6120 §8.3).

use jackdaw_xml::Element;

use crate::ns;

/// What the sender may do about it (RFC 6120 §8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// Retry after providing credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Proceed: it was only a warning.
    Continue,
    /// Retry after changing the data sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    /// The value of the `type` attribute.
    pub fn name(self) -> &'static str {
        match self {
            ErrorType::Auth => "auth",
            ErrorType::Cancel => "cancel",
            ErrorType::Continue => "continue",
            ErrorType::Modify => "modify",
            ErrorType::Wait => "wait",
        }
    }
}

macro_rules! conditions {
    ($($variant:ident $constructor:ident $name:literal $kind:ident $section:literal;)*) => {
        /// The defined conditions (RFC 6120 §8.3.3), in the RFC's order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Condition {
            $(#[doc = concat!("`", $name, "`, RFC 6120 §8.3.3.", $section, ".")] $variant,)*
        }

        impl Condition {
            /// Every condition, in the RFC's order.
            pub const ALL: &[Condition] = &[$(Condition::$variant,)*];

            /// The element name.
            pub fn name(self) -> &'static str {
                match self { $(Condition::$variant => $name,)* }
            }

            /// The error type that the RFC associates with the condition.
            pub fn default_type(self) -> ErrorType {
                match self { $(Condition::$variant => ErrorType::$kind,)* }
            }
        }

        impl StanzaError {
            $(
                #[doc = concat!("`", $name, "` (RFC 6120 §8.3.3.", $section, ").")]
                pub fn $constructor() -> StanzaError { StanzaError::new(Condition::$variant) }
            )*
        }
    };
}

conditions! {
    BadRequest bad_request "bad-request" Modify "1";
    Conflict conflict "conflict" Cancel "2";
    FeatureNotImplemented feature_not_implemented "feature-not-implemented" Cancel "3";
    Forbidden forbidden "forbidden" Auth "4";
    Gone gone "gone" Cancel "5";
    InternalServerError internal_server_error "internal-server-error" Cancel "6";
    ItemNotFound item_not_found "item-not-found" Cancel "7";
    JidMalformed jid_malformed "jid-malformed" Modify "8";
    NotAcceptable not_acceptable "not-acceptable" Modify "9";
    NotAllowed not_allowed "not-allowed" Cancel "10";
    NotAuthorized not_authorized "not-authorized" Auth "11";
    PolicyViolation policy_violation "policy-violation" Modify "12";
    RecipientUnavailable recipient_unavailable "recipient-unavailable" Wait "13";
    Redirect redirect "redirect" Modify "14";
    RegistrationRequired registration_required "registration-required" Auth "15";
    RemoteServerNotFound remote_server_not_found "remote-server-not-found" Cancel "16";
    RemoteServerTimeout remote_server_timeout "remote-server-timeout" Wait "17";
    ResourceConstraint resource_constraint "resource-constraint" Wait "18";
    ServiceUnavailable service_unavailable "service-unavailable" Cancel "19";
    SubscriptionRequired subscription_required "subscription-required" Auth "20";
    UndefinedCondition undefined_condition "undefined-condition" Cancel "21";
    UnexpectedRequest unexpected_request "unexpected-request" Wait "22";
}

/// Why one stanza failed; becomes an `<error/>` child of a reply.
///
/// The text is for humans and says nothing of our internals.
#[derive(Clone, Debug, PartialEq)]
pub struct StanzaError {
    condition: Condition,
    kind: ErrorType,
    text: Option<&'static str>,
    application: Option<Box<Element>>,
}

impl StanzaError {
    /// An error with the type that RFC 6120 associates with its condition.
    pub fn new(condition: Condition) -> StanzaError {
        StanzaError { condition, kind: condition.default_type(), text: None, application: None }
    }

    /// With another error type than the usual one.
    pub fn with_type(mut self, kind: ErrorType) -> StanzaError {
        self.kind = kind;
        self
    }

    /// With a text for humans.
    pub fn text(mut self, text: &'static str) -> StanzaError {
        self.text = Some(text);
        self
    }

    /// With an application-specific condition (RFC 6120 §8.3.4).
    pub fn application(mut self, element: Element) -> StanzaError {
        self.application = Some(Box::new(element));
        self
    }

    /// The defined condition.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// The error type.
    pub fn error_type(&self) -> ErrorType {
        self.kind
    }

    /// The `<error/>` element.
    pub fn to_element(&self) -> Element {
        let mut error = Element::new(ns::CLIENT, "error")
            .with_attr("type", self.kind.name())
            .with_child(Element::new(ns::STANZA_ERRORS, self.condition.name()));
        if let Some(text) = self.text {
            error.push(
                Element::new(ns::STANZA_ERRORS, "text").with_attr("xml:lang", "en").with_text(text),
            );
        }
        if let Some(application) = &self.application {
            error.push((**application).clone());
        }
        error
    }
}
