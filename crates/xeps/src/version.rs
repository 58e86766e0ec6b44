//! XEP-0092: Software Version. What runs here.

use std::sync::Arc;

use jackdaw_ext::{At, Ctx, Deps, Iq, Registry, Reply, Status, Xep};
use jackdaw_stanza::{StanzaError, ns};
use jackdaw_xml::Element;

/// What this extension says of itself.
pub const INFO: Xep = Xep {
    number: 92,
    name: "Software Version",
    version: "1.1",
    status: Status::Complete,
    features: &[ns::VERSION],
};

/// What the server tells of itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the software.
    pub name: String,
    /// Its version; empty hides the number.
    pub version: String,
    /// The operating system. Absent unless an operator wants it known (§5).
    pub os: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config { name: "Jackdaw".into(), version: env!("CARGO_PKG_VERSION").into(), os: None }
    }
}

/// Registers the handler.
pub fn register(on: &mut Registry, deps: &Deps) {
    let config = deps.config::<Config>();
    on.feature(At::Host, ns::VERSION);
    on.iq_get(At::Host, ns::VERSION, "query", move |_: Ctx, _: Iq| answer(Arc::clone(&config)));
}

async fn answer(config: Arc<Config>) -> Result<Reply, StanzaError> {
    let part = |name: &str, text: &str| Element::new(ns::VERSION, name).with_text(text);
    let mut query = Element::new(ns::VERSION, "query")
        .with_child(part("name", &config.name))
        .with_child(part("version", &config.version));
    if let Some(os) = &config.os {
        query.push(part("os", os));
    }
    Ok(Reply::new(query))
}

#[cfg(test)]
mod tests {
    use crate::test_harness::Harness;

    #[test]
    fn the_server_names_its_software_and_keeps_the_system_to_itself() {
        let harness = Harness::new();
        let juliet = harness.connect("juliet@capulet.lit/balcony");
        let answer = harness.get(&juliet, "capulet.lit", "<query xmlns='jabber:iq:version'/>");
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "<query xmlns='jabber:iq:version'><name>Jackdaw</name>\
             <version>{version}</version></query>"
        );
        assert_eq!(answer, expected);
    }
}
