//! XEP-0157: Contact Addresses for XMPP Services. Whom to write to about this server.

use jackdaw_ext::{At, Deps, Registry, Status, Xep};
use jackdaw_stanza::ns;

use crate::forms::{Form, FormType};

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 157,
    name: "Contact Addresses for XMPP Services",
    version: "1.1.1",
    status: Status::Complete,
    features: &[],
};

/// Contact addresses as URIs (`mailto:`, `xmpp:`, `https:`). Empty lists are not shown.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Abuse reports.
    pub abuse: Vec<String>,
    /// The administrators.
    pub admin: Vec<String>,
    /// Feedback of users.
    pub feedback: Vec<String>,
    /// Sales.
    pub sales: Vec<String>,
    /// Security reports.
    pub security: Vec<String>,
    /// Where outages are announced.
    pub status: Vec<String>,
    /// Help for users.
    pub support: Vec<String>,
}

impl Config {
    fn fields(&self) -> [(&'static str, &[String]); 7] {
        [
            ("abuse-addresses", &self.abuse),
            ("admin-addresses", &self.admin),
            ("feedback-addresses", &self.feedback),
            ("sales-addresses", &self.sales),
            ("security-addresses", &self.security),
            ("status-addresses", &self.status),
            ("support-addresses", &self.support),
        ]
    }
}

/// Adds the form to what the host shows, if there is anything to say.
pub fn register(on: &mut Registry, deps: &Deps) {
    let config = deps.config::<Config>();
    let mut form = Form::new(FormType::Result, ns::SERVER_INFO);
    let mut is_empty = true;
    for (name, addresses) in config.fields() {
        if !addresses.is_empty() {
            form = form.values(name, addresses);
            is_empty = false;
        }
    }
    if !is_empty {
        on.form(At::Host, form.element());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_harness::Harness;

    const QUERY: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";

    #[test]
    fn discovery_shows_the_addresses_that_are_configured() {
        let abuse = vec!["mailto:abuse@capulet.lit".into(), "xmpp:abuse@capulet.lit".into()];
        let harness = Harness::with(|deps| {
            deps.configs.set(Config { abuse, ..Config::default() });
        });
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        let info = harness.get(&juliet, "capulet.lit", QUERY);
        let expected = "<x xmlns='jabber:x:data' type='result'>\
            <field var='FORM_TYPE' type='hidden'>\
            <value>http://jabber.org/network/serverinfo</value></field>\
            <field var='abuse-addresses'><value>mailto:abuse@capulet.lit</value>\
            <value>xmpp:abuse@capulet.lit</value></field></x>";
        assert!(info.contains(expected), "{info}");
    }

    #[test]
    fn without_addresses_there_is_no_form() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        let info = harness.get(&juliet, "capulet.lit", QUERY);
        assert!(!info.contains("<x "), "{info}");
    }
}
