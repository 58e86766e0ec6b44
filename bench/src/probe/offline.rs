//! Messages for accounts that are away: to disk with an acknowledgement, and back at a login.

use std::time::Duration;

use jackdaw_loadtest::Engine;
use jackdaw_loadtest::behaviour::{Crowd, Offline, OfflineSettings};

use super::{PATIENCE, Probe, account, micros_each, settle};
use crate::Result;
use crate::options::Options;
use crate::process::{Cpu, now};
use crate::server::{self, Server};

/// Each sender writes to one account. Windows stay below the stanzas that a stream may have waiting
/// to be accepted (128), so that the server never stops reading.
const SETTINGS: OfflineSettings =
    OfflineSettings { senders: 100, window: 96, ask_every: 16, body: 100 };

/// Messages for one account and second of a run: about what a server takes in that second, so that
/// one sync that takes long is not all there is to see.
const EACH_PER_SECOND: f64 = 1_000.0;

/// Senders that are there, recipients that come and go.
pub struct OfflineMessages {
    engine: Engine,
    offline: Offline,
    cpu: Cpu,
    server: Server,
}

impl OfflineMessages {
    /// The accounts of the recipients come after those of the senders.
    pub fn new(options: &Options) -> Result<OfflineMessages> {
        let server = Server::start(options, 2 * SETTINGS.senders)?;
        let mut engine = Engine::new(server.plain())?;
        let recipient = |n| format!("{}@{}", server::local(SETTINGS.senders + n), server::DOMAIN);
        let offline = Offline::establish(&mut engine, SETTINGS, account, recipient)?;
        Ok(OfflineMessages { engine, offline, cpu: server.cpu(), server })
    }

    /// Everybody logs in and gets what waited; the server's time, to the end of what it does then.
    fn fetch(&mut self, messages: u64) -> Result<Duration> {
        let mut engine = Engine::new(self.server.plain())?;
        let mut crowd = Crowd::default();
        let before = self.cpu.read()?;
        let plan = |n| account(SETTINGS.senders + n);
        engine.ramp(&mut crowd, SETTINGS.senders, SETTINGS.senders, PATIENCE, plan)?;
        let what = "the arrival of what was stored";
        engine.run(&mut crowd, what, PATIENCE, |_, crowd| crowd.messages >= messages)?;
        settle(&mut self.cpu)?;
        let used = self.cpu.read()? - before;
        crowd.leave(engine.io());
        engine
            .run(&mut crowd, "the leaving of all", PATIENCE, |engine, _| engine.clients() == 0)?;
        match crowd.messages == messages {
            true => Ok(used),
            false => Err(format!("{} messages for {messages}", crowd.messages).into()),
        }
    }
}

impl Probe for OfflineMessages {
    /// Messages acknowledged in a second, CPU time of each, CPU time of fetching each.
    fn measure(&mut self, duration: Duration) -> Result<Vec<f64>> {
        let each = (EACH_PER_SECOND * duration.as_secs_f64()) as u64;
        let messages = each * SETTINGS.senders as u64;
        settle(&mut self.cpu)?;
        let (began, before) = (now(), self.cpu.read()?);
        self.offline.run(&mut self.engine, each)?;
        let rate = messages as f64 / began.elapsed().as_secs_f64();
        settle(&mut self.cpu)?;
        let stored = self.cpu.read()? - before;
        let fetched = self.fetch(messages)?;
        Ok(vec![rate, micros_each(stored, messages), micros_each(fetched, messages)])
    }
}
