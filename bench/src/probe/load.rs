//! Loads that keep a process busy: CPU time per unit of work.

use std::time::Duration;

use jackdaw_loadtest::behaviour::{Broadcast, Chat, ChatSettings, Groups, Load, Ping};
use jackdaw_loadtest::{Engine, Target};

use super::{Probe, account, micros_each};
use crate::Result;
use crate::options::Options;
use crate::process::Cpu;
use crate::relay::Relay;
use crate::server::{self, Server};

/// Until windows, caches and branch predictors are in a steady state.
const WARM_UP: Duration = Duration::from_millis(300);

/// Longest wait for events.
const GLANCE: Duration = Duration::from_millis(20);

/// A load at a process that ends with it.
pub struct Running<L, P> {
    engine: Engine,
    load: L,
    cpu: Cpu,
    _process: P,
}

/// Pairs at the server: accounts that have logged in, on the listener that `target` names.
pub fn chat(
    options: &Options,
    settings: ChatSettings,
    target: fn(&Server) -> Target,
) -> Result<Running<Chat, Server>> {
    let server = Server::start(options, 2 * settings.pairs)?;
    let mut engine = Engine::new(target(&server))?;
    let load = Chat::establish(&mut engine, settings, account)?;
    Ok(Running { engine, load, cpu: server.cpu(), _process: server })
}

/// Clients that ping the server.
pub fn ping(options: &Options, clients: usize) -> Result<Running<Ping, Server>> {
    let server = Server::start(options, clients)?;
    let mut engine = Engine::new(server.plain())?;
    let load = Ping::establish(&mut engine, clients, server::DOMAIN, account)?;
    Ok(Running { engine, load, cpu: server.cpu(), _process: server })
}

/// Groups of contacts.
pub fn broadcast(options: &Options, groups: Groups) -> Result<Running<Broadcast, Server>> {
    let server = Server::start(options, groups.count * groups.size)?;
    let mut engine = Engine::new(server.plain())?;
    let load = Broadcast::establish(&mut engine, groups, account)?;
    Ok(Running { engine, load, cpu: server.cpu(), _process: server })
}

impl Running<Chat, Server> {
    /// The raw relay for the bytes that this server delivers.
    pub fn relayed(&self) -> Result<Running<Chat, Relay>> {
        let relay = Relay::start()?;
        let mut engine = Engine::new(Target::plain(relay.address, server::DOMAIN))?;
        let load = Chat::establish_relayed(&mut engine, &self.load)?;
        Ok(Running { engine, load, cpu: Cpu::of(relay.pid()), _process: relay })
    }
}

impl<P> Running<Chat, P> {
    /// Its parts, for those who measure something else of a chat. The process goes with them.
    pub fn into_parts(self) -> (Engine, Chat, P) {
        (self.engine, self.load, self._process)
    }
}

impl<L: Load, P> Running<L, P> {
    /// Begins, and runs until the state is steady.
    pub fn warm_up(&mut self) -> Result<()> {
        self.load.begin(&mut self.engine);
        self.run(WARM_UP)
    }

    /// Goes on for `duration`; how much was done in it.
    pub fn count(&mut self, duration: Duration) -> Result<u64> {
        let before = self.load.completed();
        self.run(duration)?;
        Ok(self.load.completed() - before)
    }

    /// Ends.
    pub fn wind_up(&mut self) -> Result<()> {
        Ok(self.load.end(&mut self.engine)?)
    }

    fn run(&mut self, duration: Duration) -> Result<()> {
        Ok(self.engine.run_for(&mut self.load, duration, GLANCE)?)
    }
}

impl<L: Load, P> Probe for Running<L, P> {
    /// CPU time per unit: of the other process, and of this one.
    fn measure(&mut self, duration: Duration) -> Result<Vec<f64>> {
        self.warm_up()?;
        let mut own = Cpu::of(std::process::id());
        let before = (self.cpu.read()?, own.read()?);
        let done = self.count(duration)?;
        let after = (self.cpu.read()?, own.read()?);
        self.wind_up()?;
        Ok(vec![micros_each(after.0 - before.0, done), micros_each(after.1 - before.1, done)])
    }
}
