//! A crowd that does next to nothing: what it holds, and what its few pings cost.

use std::time::Duration;

use jackdaw_loadtest::behaviour::{Crowd, Metronome};
use jackdaw_loadtest::{Engine, Target};

use super::{PATIENCE, Probe, account, settle};
use crate::Result;
use crate::options::Options;
use crate::process::{anonymous_bytes, now};
use crate::server::{self, Server};

/// As many as fit into a process that may have 20,000 files open.
const SESSIONS: usize = 18_000;

/// Clients that are on their way at the same time: a crowd is to be there soon.
const AT_ONCE: usize = 512;

/// Source addresses: one has some 28,000 ports, and the run before holds some of them.
const SOURCES: u8 = 50;

/// Every session pings once in this.
const PERIOD: Duration = Duration::from_secs(60);

/// So that some thousand pings are in a measurement, and threads that wake by the second count.
const PINGS_FOR: Duration = Duration::from_secs(10);

/// Longest wait for events; the pings are 3 ms apart.
const GLANCE: Duration = Duration::from_millis(1);

/// Idle sessions, each time at a new server.
pub struct Idle {
    options: Options,
    target: fn(&Server) -> Target,
}

impl Idle {
    /// On the listener that `target` names.
    pub fn new(options: &Options, target: fn(&Server) -> Target) -> Idle {
        Idle { options: options.clone(), target }
    }
}

impl Probe for Idle {
    /// Bytes a session, percent of a core, sessions established in a second.
    fn measure(&mut self, _: Duration) -> Result<Vec<f64>> {
        let server = Server::start(&self.options, SESSIONS)?;
        let mut cpu = server.cpu();
        settle(&mut cpu)?;
        let without = anonymous_bytes(server.pid())?;
        let mut engine = Engine::new((self.target)(&server).from_sources(SOURCES))?;
        let mut crowd = Crowd::default();
        let began = now();
        engine.ramp(&mut crowd, SESSIONS, AT_ONCE, PATIENCE, account)?;
        let rate = SESSIONS as f64 / began.elapsed().as_secs_f64();
        settle(&mut cpu)?;
        let held = anonymous_bytes(server.pid())?.saturating_sub(without);
        let percent = pings(&mut engine, &server)?;
        Ok(vec![held as f64 / SESSIONS as f64, percent, rate])
    }
}

/// What the server uses of a core while every session pings now and then.
fn pings(engine: &mut Engine, server: &Server) -> Result<f64> {
    let mut metronome = Metronome::new(SESSIONS, PERIOD, server::DOMAIN);
    let mut cpu = server.cpu();
    let (began, before) = (now(), cpu.read()?);
    engine.run_for(&mut metronome, PINGS_FOR, GLANCE)?;
    let (time, used) = (began.elapsed(), cpu.read()? - before);
    match metronome.answered * 10 >= metronome.sent * 9 {
        true => Ok(used.as_secs_f64() / time.as_secs_f64() * 100.0),
        false => Err("pings were not answered".into()),
    }
}
