//! Third-party clients: programs that drive an unmodified client library and tell what they saw.
//!
//! Each gets a server of its own and, in its environment, where that listens and who it is. It
//! writes a line per check, `ok NAME` or `not ok NAME: WHY`, and ends by itself.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::server::{Launch, Server};
use crate::suite::Tally;

/// How long one client may take for all its checks.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often to look whether it has ended.
const GLANCE: Duration = Duration::from_millis(20);

const DOMAIN: &str = "localhost";
const PASSWORD: &str = "wherefore-art-thou";
const ACCOUNTS: &[&str] = &["romeo@localhost", "juliet@localhost", "nurse@localhost"];

/// The list that `cargo xtask clients` writes.
#[derive(Debug, Deserialize)]
struct Clients {
    client: Vec<Client>,
}

#[derive(Debug, Deserialize)]
struct Client {
    name: String,
    program: PathBuf,
    arguments: Vec<PathBuf>,
    /// Configuration the client cannot do without, as TOML.
    #[serde(default)]
    server: String,
}

/// Runs the clients of `list`, one after the other.
pub fn run_clients(launch: &Launch, list: &Path) -> Result<Tally> {
    let text =
        std::fs::read_to_string(list).map_err(Error::io(format!("reading {}", list.display())))?;
    let clients: Clients =
        toml::from_str(&text).map_err(|error| Error::Server(format!("clients: {error}")))?;
    let mut tally = Tally::default();
    for client in &clients.client {
        let began = Instant::now();
        println!("{}:", client.name);
        let (checks, result) = run_client(launch, client);
        tally.passed += checks.passed;
        tally.failed += checks.failed;
        if let Err(error) = result {
            tally.failed += 1;
            println!("  not ok {}: {error}", client.name);
        }
        println!("  {checks} in {:.1} s", began.elapsed().as_secs_f32());
    }
    Ok(tally)
}

fn run_client(launch: &Launch, client: &Client) -> (Tally, Result<()>) {
    let mut checks = Tally::default();
    let mut server = match Server::prepare(launch, &client.server) {
        Ok(server) => server,
        Err(error) => return (checks, Err(error)),
    };
    let accounts: Vec<(&str, &str)> = ACCOUNTS.iter().map(|jid| (*jid, PASSWORD)).collect();
    let result = server
        .add_users(&accounts)
        .and_then(|()| server.start())
        .and_then(|()| drive(client, &server, &mut checks))
        .and_then(|()| server.stop());
    if result.is_err() || checks.failed > 0 {
        println!("{}", server.log());
    }
    (checks, result)
}

fn drive(client: &Client, server: &Server, checks: &mut Tally) -> Result<()> {
    let at = server.listeners();
    let mut child = Command::new(&client.program)
        .args(&client.arguments)
        .current_dir(server.folder())
        .env("XMPP_DOMAIN", DOMAIN)
        .env("XMPP_HOST", at.starttls.ip().to_string())
        .env("XMPP_PORT", at.starttls.port().to_string())
        .env("XMPP_TLS_PORT", at.direct_tls.port().to_string())
        .env("XMPP_PASSWORD", PASSWORD)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::io(format!("starting {}", client.program.display())))?;
    let stdout = child.stdout.take().expect("standard output was just asked to be a pipe");
    let mut stderr = child.stderr.take().expect("standard error was just asked to be a pipe");
    let complaints = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What could not be read cannot be shown.
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let told = std::thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(std::io::Result::ok).collect::<Vec<_>>()
    });
    let status = end(&mut child)?;
    for line in told.join().unwrap_or_default() {
        if line.starts_with("ok ") || line.starts_with("not ok ") {
            checks.count(line.starts_with("ok "));
        }
        println!("  {line}");
    }
    let complaints = complaints.join().unwrap_or_default();
    match status.success() && *checks != Tally::default() {
        true => Ok(()),
        false => Err(Error::Server(format!("{} ended with {status}\n{complaints}", client.name))),
    }
}

/// Waits for the end of a client, and makes it if need be.
fn end(child: &mut Child) -> Result<std::process::ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().map_err(Error::io("waiting for the client"))? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            child.kill().map_err(Error::io("killing the client"))?;
            return child.wait().map_err(Error::io("waiting for the client"));
        }
        std::thread::sleep(GLANCE);
    }
}
