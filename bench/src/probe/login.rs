//! Logins to a bound and available resource: CPU time of the server for each.

use std::time::Duration;

use jackdaw_loadtest::behaviour::Crowd;
use jackdaw_loadtest::{Engine, Identity, Method, Plan};

use super::{PATIENCE, Probe, account, account_by, micros_each, settle};
use crate::Result;
use crate::options::Options;
use crate::process::Cpu;
use crate::server::Server;

/// Logins of one measurement: some tenths of a second of a server's time.
const LOGINS: usize = 2_000;

/// Clients that are on their way at the same time.
const AT_ONCE: usize = 64;

/// Source addresses, for a connection's port is not to be had again for a minute.
const SOURCES: u8 = 50;

/// A server whose accounts log in and leave again.
struct Accounts {
    server: Server,
    cpu: Cpu,
}

/// Logins by SCRAM-SHA-256 without TLS: four round trips.
pub struct ScramLogin {
    accounts: Accounts,
}

/// Logins by SASL2 with Bind 2 and a token, without TLS: two round trips. The server allows it on
/// the listener that an operator vouches for.
pub struct FastLogin {
    accounts: Accounts,
    /// Everybody, with a token.
    identities: Vec<Identity>,
}

impl ScramLogin {
    /// A server with accounts.
    pub fn new(options: &Options) -> Result<ScramLogin> {
        Ok(ScramLogin { accounts: Accounts::new(options)? })
    }
}

impl FastLogin {
    /// A server whose accounts have tokens.
    pub fn new(options: &Options) -> Result<FastLogin> {
        let mut accounts = Accounts::new(options)?;
        let plan = |n| account_by(n, Method::Sasl2Scram);
        let (_, identities) = accounts.log_in(plan)?;
        let mut login = FastLogin { accounts, identities };
        // The first use of a token is written down; those to come change nothing.
        login.by_token()?;
        Ok(login)
    }

    /// Everybody logs in with a token: the server's time for one login.
    fn by_token(&mut self) -> Result<f64> {
        let identities = std::mem::take(&mut self.identities);
        let plan =
            |n: usize| Plan { identity: identities[n].clone(), ..account_by(n, Method::Fast) };
        // A token may have been replaced.
        let (time, identities) = self.accounts.log_in(plan)?;
        self.identities = identities;
        Ok(time)
    }
}

impl Accounts {
    fn new(options: &Options) -> Result<Accounts> {
        let server = Server::start(options, LOGINS)?;
        let cpu = server.cpu();
        Ok(Accounts { server, cpu })
    }

    /// Everybody logs in, then everybody leaves: the server's time for one login, and who it was.
    fn log_in(&mut self, plan: impl Fn(usize) -> Plan) -> Result<(f64, Vec<Identity>)> {
        let mut engine = Engine::new(self.server.plain().from_sources(SOURCES))?;
        let mut crowd = Crowd { keeps_identities: true, ..Crowd::default() };
        settle(&mut self.cpu)?;
        let before = self.cpu.read()?;
        engine.ramp(&mut crowd, LOGINS, AT_ONCE, PATIENCE, plan)?;
        let time = self.cpu.read()? - before;
        crowd.leave(engine.io());
        let what = "the leaving of all";
        engine.run(&mut crowd, what, PATIENCE, |engine, _| engine.clients() == 0)?;
        Ok((micros_each(time, LOGINS as u64), crowd.identities))
    }
}

impl Probe for ScramLogin {
    fn measure(&mut self, _: Duration) -> Result<Vec<f64>> {
        Ok(vec![self.accounts.log_in(account)?.0])
    }
}

impl Probe for FastLogin {
    fn measure(&mut self, _: Duration) -> Result<Vec<f64>> {
        Ok(vec![self.by_token()?])
    }
}
