//! What a server says of itself over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::server::Server;

/// How long a state may take to show. Only failures wait so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(20);

impl Server {
    /// Status and text of `/readyz`.
    pub fn readiness(&self) -> Result<(u16, String)> {
        self.http("/readyz")
    }

    /// Waits until `/readyz` has this status.
    pub fn wait_for_readiness(&self, status: u16, text: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (found, reasons) = self.readiness()?;
            if found == status && reasons.contains(text) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let wanted = format!("/readyz is {found} `{reasons}`, not {status} `{text}`");
                return Err(Error::unexpected(wanted));
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// The value of a metric, by its name with labels.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let (_, text) = self.http("/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok())
            .ok_or_else(|| Error::unexpected(format!("/metrics has no {name}")))
    }

    fn http(&self, path: &str) -> Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.listeners().http)
            .map_err(Error::io("connecting to the HTTP listener"))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(Error::io("read timeout"))?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(Error::io("asking"))?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(Error::io("reading the answer"))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Error::unexpected(format!("HTTP answered {head}")))?;
        Ok((status, body.to_owned()))
    }
}
