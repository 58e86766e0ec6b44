//! From a TCP connection to a bound resource (RFC 6120 §4–§7), as an actor walks it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jackdaw_xml::Element;

use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::ht::Ht;
use crate::scram::Scram;
use crate::script::{Role, Stage, Tls};
use crate::server::Listeners;

/// SASL's namespace (RFC 6120 §6).
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const CHANNEL_BINDINGS: &str = "urn:xmpp:sasl-cb:0";
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";

/// Resource binding's namespace (RFC 6120 §7).
pub const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

/// The namespace of SASL's second profile (XEP-0388).
pub const SASL2: &str = "urn:xmpp:sasl:2";

/// What direct TLS asks for (XEP-0368 §3).
const ALPN: &str = "xmpp-client";

/// Takes a new connection as far as `stage`. Also returns the full address if that is bound.
pub fn connect(role: &Role, at: &Listeners, stage: Stage) -> Result<(Connection, Option<String>)> {
    let mut connection = Connection::open(match role.tls {
        Tls::Starttls => at.starttls,
        Tls::Direct => at.direct_tls,
        Tls::None => at.plain,
    })?;
    connection.identify(role.identity.clone());
    if let Some(client) = &role.proxied {
        connection.send(format!("PROXY TCP4 {client} 127.0.0.1 40000 5222\r\n").as_bytes())?;
    }
    let mut login = Login { role, connection: &mut connection };
    if stage == Stage::Tcp {
        return Ok((connection, None));
    }
    login.encrypt()?;
    if stage == Stage::Tls {
        return Ok((connection, None));
    }
    login.open_stream()?;
    if stage == Stage::Features {
        return Ok((connection, None));
    }
    login.authenticate()?;
    login.open_stream()?;
    if stage == Stage::Auth {
        return Ok((connection, None));
    }
    let jid = login.bind()?;
    Ok((connection, Some(jid)))
}

/// Authenticates on a connection that has its features, and restarts the stream.
pub fn authenticate(role: &Role, connection: &mut Connection) -> Result<()> {
    let mut login = Login { role, connection };
    login.authenticate()?;
    login.open_stream()
}

/// Authenticates on a connection that has its features; the stream header is next.
pub fn prove(role: &Role, connection: &mut Connection) -> Result<()> {
    Login { role, connection }.authenticate()
}

/// Binds the role's resource on an authenticated stream. Returns the full address.
pub fn bind(role: &Role, connection: &mut Connection) -> Result<String> {
    Login { role, connection }.bind()
}

/// SASL2 (XEP-0388) with `inline` beside the authentication itself. Returns the `<success/>`.
pub fn authenticate_by_sasl2(
    role: &Role,
    connection: &mut Connection,
    password: &str,
    inline: Vec<Element>,
) -> Result<Element> {
    let binding = connection.channel_binding(role.binding.as_deref())?;
    let mechanism = role.mechanism.as_str();
    let mut login = Login { role, connection };
    if let Some(ht) = Ht::new(mechanism, role.local(), password, binding.clone()) {
        let success = login.begin_sasl2(&ht.message(), inline)?;
        ht.verify(&additional_data(&success)?)?;
        return Ok(success);
    }
    let wrong = || Error::unexpected(format!("{mechanism} cannot be acted"));
    let mut scram = Scram::new(mechanism, role.local(), password, binding).ok_or_else(wrong)?;
    login.expect_offer(&mut scram, SASL2, "authentication");
    let challenge = login.begin_sasl2(scram.first().as_bytes(), inline)?;
    let answer = scram.answer(&decoded(&challenge)?)?;
    login.send(Element::new(SASL2, "response").with_text(BASE64.encode(answer)))?;
    let success = login.expect(SASL2, "success")?;
    let server_final = String::from_utf8_lossy(&additional_data(&success)?).into_owned();
    scram.verify(&server_final)?;
    Ok(success)
}

/// What the mechanism says at the end (XEP-0388 §2.6.1).
fn additional_data(success: &Element) -> Result<Vec<u8>> {
    let data = success.child(SASL2, "additional-data").map(Element::text).unwrap_or_default();
    BASE64.decode(&data).map_err(|_| Error::unexpected(format!("not base64: {data}")))
}

/// Encrypts a connection on which `<proceed/>` has come; `early` is sent behind the handshake.
pub fn start_tls(role: &Role, connection: &mut Connection, early: &[u8]) -> Result<()> {
    connection.start_tls(role.domain(), None, early)
}

impl Role {
    /// The domainpart of the address.
    pub fn domain(&self) -> &str {
        let bare = self.bare();
        bare.split_once('@').map_or(bare, |(_, domain)| domain)
    }

    /// The address without its resource.
    pub fn bare(&self) -> &str {
        self.jid.split_once('/').map_or(self.jid.as_str(), |(bare, _)| bare)
    }

    fn local(&self) -> &str {
        self.jid.split_once('@').map_or("", |(local, _)| local)
    }

    fn resource(&self) -> Option<&str> {
        self.jid.split_once('/').map(|(_, resource)| resource)
    }
}

struct Login<'a> {
    role: &'a Role,
    connection: &'a mut Connection,
}

impl Login<'_> {
    fn encrypt(&mut self) -> Result<()> {
        match self.role.tls {
            Tls::None => Ok(()),
            Tls::Direct => self.connection.start_tls(self.role.domain(), Some(ALPN), &[]),
            Tls::Starttls => {
                self.open_stream()?;
                self.send(Element::new(TLS, "starttls"))?;
                self.expect(TLS, "proceed")?;
                start_tls(self.role, self.connection, &[])
            }
        }
    }

    /// Sends a stream header; receives the server's, and the features.
    fn open_stream(&mut self) -> Result<()> {
        let domain = self.role.domain();
        // A `from` is for encrypted streams only (RFC 6120 §4.7.1).
        let from = match self.connection.is_encrypted() {
            true => format!(" from='{}'", self.role.bare()),
            false => String::new(),
        };
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{domain}'{from} version='1.0' xml:lang='en' \
             xmlns='jabber:client' xmlns:stream='{}'>",
            jackdaw_xml::ns::STREAMS
        );
        self.connection.send(header.as_bytes())?;
        match self.connection.receive()? {
            Arrival::Header(_) => {}
            other => return Err(unexpected("a stream header", &other)),
        }
        self.expect(jackdaw_xml::ns::STREAMS, "features").map(drop)
    }

    fn authenticate(&mut self) -> Result<()> {
        match self.role.mechanism.as_str() {
            "PLAIN" => {
                let message = format!("\0{}\0{}", self.role.local(), self.role.password);
                self.send_auth(&message)?;
                self.expect(SASL, "success").map(drop)
            }
            "EXTERNAL" => {
                // The certificate says who it is (XEP-0178 §2).
                let auth = Element::new(SASL, "auth").with_attr("mechanism", "EXTERNAL");
                self.send(auth.with_text("="))?;
                self.expect(SASL, "success").map(drop)
            }
            mechanism => {
                let binding = self.connection.channel_binding(self.role.binding.as_deref())?;
                let (user, password) = (self.role.local(), &self.role.password);
                let wrong = || Error::unexpected(format!("{mechanism} cannot be acted"));
                let scram = Scram::new(mechanism, user, password, binding);
                let mut scram = scram.ok_or_else(wrong)?;
                self.expect_offer(&mut scram, SASL, "mechanisms");
                self.scram(scram)
            }
        }
    }

    /// Sends the first message; returns what answers it, `<challenge/>` or `<success/>`.
    fn begin_sasl2(&mut self, message: &[u8], inline: Vec<Element>) -> Result<Element> {
        let message = Element::new(SASL2, "initial-response").with_text(BASE64.encode(message));
        let authenticate = Element::new(SASL2, "authenticate")
            .with_attr("mechanism", &self.role.mechanism)
            .with_child(message)
            .with_children(inline);
        self.send(authenticate)?;
        match self.connection.receive()? {
            Arrival::Element(element)
                if element.is(SASL2, "challenge") || element.is(SASL2, "success") =>
            {
                Ok(element)
            }
            other => Err(unexpected("<challenge/> or <success/>", &other)),
        }
    }

    fn scram(&mut self, mut scram: Scram) -> Result<()> {
        self.send_auth(&scram.first())?;
        let challenge = decoded(&self.expect(SASL, "challenge")?)?;
        let answer = scram.answer(&challenge)?;
        self.send(Element::new(SASL, "response").with_text(BASE64.encode(answer)))?;
        scram.verify(&decoded(&self.expect(SASL, "success")?)?)
    }

    /// Tells `scram` which mechanisms and channel bindings the features list.
    fn expect_offer(&self, scram: &mut Scram, ns: &str, list: &str) {
        let texts = |list: Option<&Element>, name: &str| -> Vec<String> {
            let children = list.into_iter().flat_map(Element::children);
            children.filter(|child| child.name() == name).map(Element::text).collect()
        };
        let Some(features) = self.connection.features() else { return };
        let mechanisms = texts(features.child(ns, list), "mechanism");
        let bindings = features.child(CHANNEL_BINDINGS, "sasl-channel-binding");
        let types = bindings.into_iter().flat_map(Element::children);
        let types = types.filter_map(|binding| binding.attr("type")).map(str::to_owned);
        scram.expect_offer(mechanisms, types.collect());
    }

    fn send_auth(&mut self, message: &str) -> Result<()> {
        let auth = Element::new(SASL, "auth").with_attr("mechanism", &self.role.mechanism);
        self.send(auth.with_text(BASE64.encode(message)))
    }

    fn bind(&mut self) -> Result<String> {
        let mut bind = Element::new(BIND, "bind");
        if let Some(resource) = self.role.resource() {
            bind.push(Element::new(BIND, "resource").with_text(resource));
        }
        let iq = Element::new(jackdaw_xml::ns::CLIENT, "iq");
        self.send(iq.with_attr("type", "set").with_attr("id", "bind").with_child(bind))?;
        let answer = self.expect(jackdaw_xml::ns::CLIENT, "iq")?;
        let jid = answer.child(BIND, "bind").and_then(|bind| bind.child(BIND, "jid"));
        match jid {
            Some(jid) => Ok(jid.text()),
            None => Err(unexpected("an address", &Arrival::Element(answer))),
        }
    }

    fn send(&mut self, element: Element) -> Result<()> {
        self.connection.send(element.to_xml(jackdaw_xml::ns::CLIENT).as_bytes())
    }

    fn expect(&mut self, ns: &str, name: &str) -> Result<Element> {
        match self.connection.receive()? {
            Arrival::Element(element) if element.is(ns, name) => Ok(element),
            other => Err(unexpected(&format!("<{name}/>"), &other)),
        }
    }
}

/// As SASL's messages are written.
pub fn base64(message: &str) -> String {
    BASE64.encode(message)
}

/// What somebody wrote like that.
pub fn unbase64(text: &str) -> Option<String> {
    BASE64.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

fn decoded(element: &Element) -> Result<String> {
    let bytes = BASE64.decode(element.text()).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Error::unexpected(format!("not base64: {}", element.text())))
}

/// Names what came in place of `wanted`.
pub fn unexpected(wanted: &str, arrival: &Arrival) -> Error {
    Error::unexpected(format!("expected {wanted}, got {}", shown(arrival)))
}

/// An arrival as one would write it down.
pub fn shown(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Header(header) => format!("the header {}", header.to_xml(jackdaw_xml::ns::CLIENT)),
        Arrival::Element(element) => element.to_xml(jackdaw_xml::ns::CLIENT),
        Arrival::StreamEnd => "</stream:stream>".to_owned(),
        Arrival::Eof => "the end of the connection".to_owned(),
    }
}
