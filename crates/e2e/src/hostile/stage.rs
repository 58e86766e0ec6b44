//! Who takes part: accounts, the way of an attacker to where it misbehaves, and the victim that
//! listens whether anything got through.

use std::net::SocketAddr;

use jackdaw_xml::Element;

use super::table::Phase;
use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login::{self, shown, unexpected};
use crate::script::{Role, Stage, Tls};
use crate::server::Listeners;

/// The domain of every account here.
pub const DOMAIN: &str = "localhost";

/// The password of every account here.
pub const PASSWORD: &str = "queen-mab-hath-been-with-you";

/// SASL's namespace (RFC 6120 §6).
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// Somebody with an account, who comes without TLS unless it is said.
pub fn role(account: &str, resource: &str) -> Role {
    Role {
        name: account.to_owned(),
        jid: format!("{account}@{DOMAIN}/{resource}"),
        password: PASSWORD.to_owned(),
        tls: Tls::None,
        mechanism: "SCRAM-SHA-256".to_owned(),
        ..Role::default()
    }
}

/// Takes a new connection of `role` to where the misbehaviour of `phase` begins.
pub fn enter(role: &Role, at: &Listeners, phase: Phase) -> Result<Connection> {
    let open = |tls, stage| {
        let role = Role { tls, ..role.clone() };
        login::connect(&role, at, stage).map(|(connection, _)| connection)
    };
    match phase {
        Phase::Connected => open(Tls::None, Stage::Tcp),
        Phase::PreHandshake => open(Tls::Direct, Stage::Tcp),
        Phase::Http => Connection::open(at.http),
        Phase::PreTls => plain_stream(at.starttls),
        Phase::PreAuth => open(Tls::None, Stage::Features),
        Phase::Secured => open(Tls::Direct, Stage::Features),
        Phase::InSasl => {
            let mut connection = open(Tls::None, Stage::Features)?;
            begin_sasl(role, &mut connection)?;
            Ok(connection)
        }
        Phase::Restarting => {
            let mut connection = open(Tls::None, Stage::Features)?;
            login::prove(role, &mut connection)?;
            Ok(connection)
        }
        Phase::Authenticated => open(Tls::None, Stage::Auth),
        Phase::PostAuth => open(Tls::None, Stage::Bind),
    }
}

/// A stream in the clear where TLS is required.
fn plain_stream(address: SocketAddr) -> Result<Connection> {
    let mut connection = Connection::open(address)?;
    let header = format!(
        "<stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='{}'>",
        jackdaw_xml::ns::STREAMS
    );
    connection.send(header.as_bytes())?;
    loop {
        match connection.receive()? {
            Arrival::Header(_) => {}
            Arrival::Element(element) if element.name() == "features" => return Ok(connection),
            other => return Err(unexpected("features", &other)),
        }
    }
}

/// Sends SASL's first message and waits for the challenge.
fn begin_sasl(role: &Role, connection: &mut Connection) -> Result<()> {
    // `n,,n=USER,r=abcdefghijklmnop`
    let user = role.jid.split('@').next().unwrap_or_default();
    let message = login::base64(&format!("n,,n={user},r=abcdefghijklmnop"));
    let auth = format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{message}</auth>");
    connection.send(auth.as_bytes())?;
    match connection.receive()? {
        Arrival::Element(element) if element.name() == "challenge" => Ok(()),
        other => Err(unexpected("<challenge/>", &other)),
    }
}

/// Somebody who was never asked, and must not hear certain things.
pub struct Victim {
    connection: Connection,
    /// Its full address.
    pub jid: String,
    markers: u64,
}

impl Victim {
    /// Logs in as `role` and becomes available.
    pub fn arrive(role: &Role, at: &Listeners) -> Result<Victim> {
        let (mut connection, jid) = login::connect(role, at, Stage::Bind)?;
        connection.send(b"<presence/>")?;
        let jid = jid.unwrap_or_default();
        let mut victim = Victim { connection, jid, markers: 0 };
        victim.heard()?;
        Ok(victim)
    }

    /// What arrived so far: everything that was on its way when this is called.
    pub fn heard(&mut self) -> Result<Vec<Element>> {
        let mut heard = Vec::new();
        // A message to itself may overtake what another worker has sent here, but not twice: that
        // is taken in before the turn ends that returns the first.
        for _ in 0..2 {
            self.hear_until_marker(&mut heard)?;
        }
        Ok(heard)
    }

    fn hear_until_marker(&mut self, heard: &mut Vec<Element>) -> Result<()> {
        self.markers += 1;
        let marker = format!("marker-{}", self.markers);
        let message = format!("<message to='{}' id='{marker}'/>", self.jid);
        self.connection.send(message.as_bytes())?;
        loop {
            match self.connection.receive()? {
                Arrival::Element(element) if element.attr("id") == Some(&marker) => return Ok(()),
                Arrival::Element(element) => heard.push(element),
                other => return Err(Error::unexpected(format!("victim: {}", shown(&other)))),
            }
        }
    }
}
