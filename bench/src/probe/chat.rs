//! Pairs that chat, at the server or at the raw relay.

use std::sync::Arc;
use std::time::Duration;

use jackdaw_loadtest::behaviour::{Chat, ChatSettings};
use jackdaw_loadtest::{Engine, Method, Plan, Target};

use super::{Probe, micros_each};
use crate::options::Options;
use crate::process::{Cpu, now};
use crate::relay::Relay;
use crate::server::{self, PASSWORD, Server};
use crate::{Result, process};

/// Until windows, caches and branch predictors are in a steady state.
const WARM_UP: Duration = Duration::from_millis(300);

/// A chat with what it costs.
struct Talk {
    engine: Engine,
    chat: Chat,
    cpu: Cpu,
}

/// Pairs at the server.
pub struct ChatProbe {
    talk: Talk,
    _server: Server,
}

/// The same pairs at the raw relay.
pub struct RelayedChat {
    talk: Talk,
    _relay: Relay,
}

impl ChatProbe {
    /// Accounts that have logged in, on the listener that `target` names.
    pub fn new(
        options: &Options,
        settings: ChatSettings,
        target: fn(&Server) -> Target,
    ) -> Result<ChatProbe> {
        let server = Server::start(options, 2 * settings.pairs)?;
        let mut engine = Engine::new(target(&server))?;
        let password: Arc<str> = PASSWORD.into();
        let plan = |n| Plan::new(server::local(n), &password, Method::ScramSha256);
        let chat = Chat::establish(&mut engine, settings, plan)?;
        let cpu = server.cpu();
        Ok(ChatProbe { talk: Talk { engine, chat, cpu }, _server: server })
    }

    /// The raw relay for the bytes that this server delivers.
    pub fn relayed(&self) -> Result<RelayedChat> {
        let relay = Relay::start()?;
        let mut engine = Engine::new(Target::plain(relay.address, server::DOMAIN))?;
        let chat = Chat::establish_relayed(&mut engine, &self.talk.chat)?;
        let cpu = Cpu::of(relay.pid());
        Ok(RelayedChat { talk: Talk { engine, chat, cpu }, _relay: relay })
    }
}

impl Talk {
    /// CPU time of the other process per message, and of this one.
    fn measure(&mut self, duration: Duration) -> Result<Vec<f64>> {
        self.chat.begin(&mut self.engine);
        self.run(WARM_UP)?;
        let mut own = Cpu::of(std::process::id());
        let before = (self.chat.delivered(), self.cpu.read()?, own.read()?);
        self.run(duration)?;
        let after = (self.chat.delivered(), self.cpu.read()?, own.read()?);
        self.chat.end(&mut self.engine)?;
        let messages = after.0 - before.0;
        Ok(vec![
            micros_each(after.1 - before.1, messages),
            micros_each(after.2 - before.2, messages),
        ])
    }

    fn run(&mut self, duration: Duration) -> Result<()> {
        let end = now() + duration;
        let patience = duration + process::SLACK;
        Ok(self.engine.run(&mut self.chat, "the chat", patience, |_, _| now() >= end)?)
    }
}

impl Probe for ChatProbe {
    fn measure(&mut self, duration: Duration) -> Result<Vec<f64>> {
        self.talk.measure(duration)
    }
}

impl Probe for RelayedChat {
    fn measure(&mut self, duration: Duration) -> Result<Vec<f64>> {
        self.talk.measure(duration)
    }
}
