//! Sessions that come and go: whether anything of them stays.

use std::time::Duration;

use jackdaw_loadtest::Engine;
use jackdaw_loadtest::behaviour::Crowd;

use super::{PATIENCE, Probe, account, settle};
use crate::Result;
use crate::options::Options;
use crate::process::anonymous_bytes;
use crate::server::Server;

/// Sessions after which pools and caches have their size.
const FIRST: usize = 10_000;

/// Accounts that take turns.
const ACCOUNTS: usize = 1_000;

/// Clients that are on their way at the same time; far fewer than accounts, so that nobody meets
/// an earlier session of his own.
const AT_ONCE: usize = 256;

/// Source addresses: at some thousand connections a second, each port rests for a minute.
const SOURCES: u8 = 250;

/// Short sessions at a new server.
pub struct Churn {
    options: Options,
}

impl Churn {
    /// As many as the options say.
    pub fn new(options: &Options) -> Churn {
        Churn { options: options.clone() }
    }
}

impl Probe for Churn {
    /// Bytes of growth per session after the first ten thousand; megabytes after these, and after
    /// all.
    fn measure(&mut self, _: Duration) -> Result<Vec<f64>> {
        let server = Server::start(&self.options, ACCOUNTS)?;
        let mut engine = Engine::new(server.plain().from_sources(SOURCES))?;
        let first = pass(&mut engine, &server, FIRST)?;
        let further = self.options.sessions.saturating_sub(FIRST).max(1);
        let last = pass(&mut engine, &server, further)?;
        let growth = (last as f64 - first as f64) / further as f64;
        Ok(vec![growth, megabytes(first), megabytes(last)])
    }
}

/// `sessions` clients log in and say goodbye; what the server holds when all have gone.
fn pass(engine: &mut Engine, server: &Server, sessions: usize) -> Result<u64> {
    let mut crowd = Crowd { is_passing: true, ..Crowd::default() };
    // A slow machine does a hundred a second.
    let patience = PATIENCE + Duration::from_millis(10) * u32::try_from(sessions)?;
    engine.ramp(&mut crowd, sessions, AT_ONCE, patience, |n| account(n % ACCOUNTS))?;
    engine.run(&mut crowd, "the leaving of all", PATIENCE, |engine, _| engine.clients() == 0)?;
    settle(&mut server.cpu())?;
    anonymous_bytes(server.pid())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
