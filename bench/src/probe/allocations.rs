//! Allocations of the whole server process while it routes messages.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use jackdaw_loadtest::behaviour::{Chat, ChatSettings};

use super::Probe;
use super::load::{self, Running};
use crate::Result;
use crate::options::Options;
use crate::server::{self, Server};

/// A chat at the server that counts its allocations.
pub struct Allocations {
    chat: Running<Chat, Server>,
    counter: SocketAddr,
}

impl Allocations {
    /// The counting server stands beside the other one.
    pub fn new(options: &Options, settings: ChatSettings) -> Result<Allocations> {
        let binary = options.server.with_file_name("jackdaw-counted");
        if !binary.exists() {
            let how = "cargo build --release -p jackdaw-bench --features counted";
            return Err(format!("there is no {}: {how}", binary.display()).into());
        }
        let counter = server::free_port()?;
        let options = Options { server: binary, counter: Some(counter), ..options.clone() };
        let chat = load::chat(&options, settings, Server::plain)?;
        Ok(Allocations { chat, counter })
    }

    fn read(&self) -> Result<u64> {
        let mut text = String::new();
        TcpStream::connect(self.counter)?.read_to_string(&mut text)?;
        Ok(text.trim().parse()?)
    }
}

impl Probe for Allocations {
    /// Allocations per message.
    fn measure(&mut self, duration: Duration) -> Result<Vec<f64>> {
        self.chat.warm_up()?;
        let before = self.read()?;
        let messages = self.chat.count(duration)?;
        let allocations = self.read()? - before;
        self.chat.wind_up()?;
        Ok(vec![allocations as f64 / messages.max(1) as f64])
    }
}
