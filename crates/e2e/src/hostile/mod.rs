//! Hostile clients: what they send, how many they are, and what everybody else notices of them.
//!
//! [`run`] plays acts against servers of their own. The table of bad inputs
//! (`badinputs/*.toml`) is sent whole and in pieces while a healthy crowd talks; the other acts are
//! about numbers: slow readers, floods, storms, bounds of the machine.
//!
//! Does not: judge speed. Latency of the healthy is compared with their own a moment before.

mod bounds;
mod churn;
mod confined;
mod counters;
mod crowd;
mod cuts;
mod dice;
mod fill;
mod gauge;
mod generate;
mod handshakes;
mod judge;
mod metrics;
mod mix;
mod readers;
mod slow;
mod stage;
mod storms;
mod table;
mod tabled;
mod timing;
mod tokens;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::server::{Launch, Server};
use crate::suite::Tally;
use stage::{DOMAIN, PASSWORD};

/// How the acts are to be played.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Repeats a run; by default the time chooses.
    pub seed: Option<u64>,
    /// How long the mix of everything is to last.
    pub minutes: Option<u32>,
    /// Which acts; all of the gate's if none is named.
    pub acts: Vec<String>,
}

/// One act: its name, and what it does.
type Act = (&'static str, fn(&Play<'_>) -> Result<Vec<Finding>>);

const ACTS: &[Act] = &[
    ("bad-inputs", tabled::play),
    ("churn", churn::play),
    ("confined", confined::play),
    ("tokens", tokens::play),
    ("timing", timing::play),
    ("readers", readers::play),
    ("slow", slow::play),
    ("counters", counters::play),
    ("bounds", bounds::play),
    ("storms", storms::play),
    ("handshakes", handshakes::play),
    ("mix", mix::play),
];

/// What every act gets.
pub struct Play<'a> {
    launch: &'a Launch,
    seed: u64,
    minutes: Option<Duration>,
}

/// The outcome of one check of an act.
pub struct Finding {
    what: String,
    /// What is wrong.
    fault: Option<String>,
    /// Whether other work on the machine can be what is wrong.
    is_timing: bool,
}

impl Finding {
    /// A check that ended like this.
    fn new(what: impl Into<String>, result: std::result::Result<(), String>) -> Finding {
        Finding { what: what.into(), fault: result.err(), is_timing: false }
    }

    /// A check that holds if `holds`; otherwise `why` says what was found.
    fn that(what: impl Into<String>, holds: bool, why: impl FnOnce() -> String) -> Finding {
        Finding { what: what.into(), fault: (!holds).then(why), is_timing: false }
    }

    /// A check of time: other work on the machine can break it.
    fn of_time(self) -> Finding {
        Finding { is_timing: true, ..self }
    }
}

/// Plays the acts and tells how each check ended.
pub fn run(launch: &Launch, options: &Options) -> Result<Tally> {
    let seed = options.seed.unwrap_or_else(seed_of_now);
    println!("seed {seed}, driver {}", launch.driver);
    let mut tally = Tally::default();
    let wanted = |name: &str| options.acts.is_empty() || options.acts.iter().any(|act| act == name);
    if let Some(unknown) = options.acts.iter().find(|act| !ACTS.iter().any(|(n, _)| n == act)) {
        let known: Vec<_> = ACTS.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        return Err(Error::unexpected(format!("no act `{unknown}`; there are {known}")));
    }
    let minutes = options.minutes.map(|minutes| Duration::from_secs(60) * minutes);
    let play = Play { launch, seed, minutes };
    for (name, act) in ACTS.iter().filter(|(name, _)| wanted(name)) {
        let began = Instant::now();
        let mut findings = perform(*act, &play);
        if let Some(late) = only_late(&findings) {
            println!("again   {name}: {late}");
            findings = perform(*act, &play);
        }
        for Finding { what, fault, .. } in findings {
            tally.count(fault.is_none());
            match fault {
                None => println!("ok      {name}: {what}"),
                Some(fault) => println!("FAILED  {name}: {what}\n    {fault}"),
            }
        }
        println!("        {name} took {:.1} s", began.elapsed().as_secs_f32());
    }
    Ok(tally)
}

fn perform(act: fn(&Play<'_>) -> Result<Vec<Finding>>, play: &Play<'_>) -> Vec<Finding> {
    act(play).unwrap_or_else(|error| vec![Finding::new("plays", Err(error.to_string()))])
}

/// What took too long, if nothing else is wrong. It is a fault if it does so twice: a burst of
/// other work on the machine comes once, and what the server does comes again.
fn only_late(findings: &[Finding]) -> Option<&str> {
    let mut faulty = findings.iter().filter(|finding| finding.fault.is_some());
    let first = faulty.clone().next()?;
    faulty.all(|finding| finding.is_timing).then_some(first.what.as_str())
}

fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}

/// A running server with these accounts, configured by `config` (TOML).
fn open(play: &Play<'_>, config: &str, accounts: &[String]) -> Result<Server> {
    let mut server = Server::prepare(play.launch, config)?;
    let jids: Vec<String> = accounts.iter().map(|name| format!("{name}@{DOMAIN}")).collect();
    let users: Vec<(&str, &str)> = jids.iter().map(|jid| (jid.as_str(), PASSWORD)).collect();
    server.add_users(&users)?;
    server.start()?;
    Ok(server)
}

/// Stops the server and says whether it lived through everything: no handler panicked, and it ends
/// when asked to.
fn farewell(mut server: Server) -> Vec<Finding> {
    let stopped = server.stop().map_err(|error| error.to_string());
    let log = server.whole_log();
    let panics = log.lines().filter(|line| line.contains("panic")).take(3);
    let panics: Vec<_> = panics.map(str::to_owned).collect();
    vec![
        Finding::new("the server stops when asked", stopped),
        Finding::that("nothing panicked", panics.is_empty(), || panics.join("\n    ")),
    ]
}

/// As one reads it.
fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}
