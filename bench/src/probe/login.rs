//! Logins to a bound and available resource: CPU time of the server for each.

use std::time::Duration;

use jackdaw_loadtest::behaviour::Crowd;
use jackdaw_loadtest::{Engine, Identity, Method, Plan};

use super::{PATIENCE, Probe, account_by, micros_each, settle};
use crate::Result;
use crate::options::Options;
use crate::process::Cpu;
use crate::server::Server;

/// Logins of one measurement: half a second of a server's time, so that ticks do not matter.
const LOGINS: usize = 4_000;

/// Clients that are on their way at the same time.
const AT_ONCE: usize = 64;

/// Source addresses, for a connection's port is not to be had again for a minute.
const SOURCES: u8 = 50;

/// How clients log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// SCRAM-SHA-256, bind, presence: four round trips.
    Scram,
    /// SASL2 with Bind 2 and a token, presence: two.
    Fast,
}

/// Logins, and the server that takes them.
pub struct Login {
    server: Server,
    cpu: Cpu,
    way: Way,
    /// By the account's number, for [`Way::Fast`].
    identities: Vec<Identity>,
}

impl Login {
    /// A server with accounts. For [`Way::Fast`] every account has got a token.
    pub fn new(options: &Options, way: Way) -> Result<Login> {
        let server = Server::start(options, LOGINS)?;
        let cpu = server.cpu();
        let mut login = Login { server, cpu, way, identities: Vec::new() };
        if way == Way::Fast {
            login.all(|n| account_by(n, Method::Sasl2Scram))?;
        }
        Ok(login)
    }

    /// Everybody logs in, then everybody leaves; the server's time for the former.
    fn all(&mut self, plan: impl Fn(usize) -> Plan) -> Result<f64> {
        let mut engine = Engine::new(self.server.plain().from_sources(SOURCES))?;
        let mut crowd = Crowd { keeps_identities: self.way == Way::Fast, ..Crowd::default() };
        settle(&mut self.cpu)?;
        let before = self.cpu.read()?;
        engine.ramp(&mut crowd, LOGINS, AT_ONCE, PATIENCE, plan)?;
        let time = self.cpu.read()? - before;
        crowd.leave(engine.io());
        engine
            .run(&mut crowd, "the leaving of all", PATIENCE, |engine, _| engine.clients() == 0)?;
        // A token may have been replaced.
        self.identities = crowd.identities;
        Ok(micros_each(time, LOGINS as u64))
    }
}

impl Probe for Login {
    fn measure(&mut self, _: Duration) -> Result<Vec<f64>> {
        let micros = match self.way {
            Way::Scram => self.all(|n| account_by(n, Method::ScramSha256))?,
            Way::Fast => {
                let identities = std::mem::take(&mut self.identities);
                let plan = |n: usize| Plan {
                    identity: identities[n].clone(),
                    ..account_by(n, Method::Fast)
                };
                self.all(plan)?
            }
        };
        Ok(vec![micros])
    }
}
