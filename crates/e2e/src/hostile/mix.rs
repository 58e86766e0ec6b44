//! The act of everything (T24): all bad inputs and floods, at random, while the ledger of the
//! healthy runs. `--minutes N` makes it as long as one likes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::crowd::{self, Beside, Crowd};
use super::cuts::{Cut, random};
use super::dice::Dice;
use super::fill::fill;
use super::gauge::Gauge;
use super::stage::{enter, role};
use super::table::{self, Case, Phase};
use super::tabled::{ledger, stand_back};
use super::tokens::enable;
use super::{Finding, Play, farewell, judge};
use crate::connection::Connection;
use crate::error::Result;
use crate::server::{Listeners, Server};

/// The healthy.
const SESSIONS: usize = 500;

/// Attackers at once.
const VILLAINS: usize = 4;

/// How long, unless it is said: what the gate can spare.
const SHORT: Duration = Duration::from_secs(15);

/// Attack and quiet take turns.
const ATTACK: Duration = Duration::from_secs(3);
const QUIET: Duration = Duration::from_secs(1);

/// Connections that an attacker leaves open and forgets about, at most.
const LEFT_OPEN_MAX: usize = 200;

/// What the server may grow by in all of it: buffers of what is left open, and the spool's memory.
const GROWTH_KIB_MAX: u64 = 200 * 1_024;

const CONFIG: &str = "
domains = [{ name = 'localhost' }, { name = 'verona.example' }]
auth.mechanisms = ['SCRAM-SHA-256', 'PLAIN']
limits.connections_per_address_max = 20000
limits.resources_per_account_max = 2000
stream_management.resume_timeout_secs = 5
log.level = 'warn'
";

/// Phases at which a connection may be left.
const PHASES: &[Phase] = &[
    Phase::Connected,
    Phase::PreTls,
    Phase::PreHandshake,
    Phase::PreAuth,
    Phase::Secured,
    Phase::InSasl,
    Phase::Restarting,
    Phase::Authenticated,
    Phase::PostAuth,
];

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let cases = table::read(&table::folder())?.cases;
    let mut accounts = crowd::accounts(SESSIONS);
    accounts.extend((0..VILLAINS).map(|number| format!("villain{number}")));
    accounts.extend((0..VILLAINS).map(|number| format!("victim{number}")));
    let server = super::open(play, CONFIG, &accounts)?;
    let crowd = Crowd::gather(SESSIONS, server.listeners())?;
    let gauge = Gauge::new(server.pid()?);
    let before = gauge.resident_kib()?;
    let (attempts, odd) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let mut villains: Vec<Villain<'_>> = (0..VILLAINS)
        .map(|number| Villain {
            number,
            dice: Dice::of(play.seed, &format!("villain {number}")),
            cases: &cases,
            at: server.listeners(),
            left_open: Vec::new(),
        })
        .collect();
    let end = Instant::now() + play.minutes.unwrap_or(SHORT);
    while Instant::now() < end {
        crowd.say(Beside::Quiet);
        std::thread::sleep(QUIET);
        crowd.say(Beside::Attack);
        let until = Instant::now() + ATTACK;
        std::thread::scope(|scope| {
            for villain in &mut villains {
                scope.spawn(|| {
                    stand_back();
                    while Instant::now() < until {
                        attempts.fetch_add(1, Ordering::Relaxed);
                        if let Err(error) = villain.act() {
                            odd.lock().expect("nobody panics with it").push(error.to_string());
                        }
                    }
                });
            }
        });
    }
    crowd.say(Beside::Quiet);
    drop(villains);
    let odd = odd.into_inner().expect("nobody panicked with it");
    let attempts = attempts.into_inner();
    let mut findings = vec![
        // Floods may crowd out an attacker's own way in, so some may fail; not many.
        Finding::that(
            format!("{attempts} hostile deeds end as they must"),
            odd.len() as u64 * 1_000 <= attempts,
            || {
                format!(
                    "{} did not, such as: {}",
                    odd.len(),
                    odd.first().cloned().unwrap_or_default()
                )
            },
        ),
        grown(&gauge, before)?,
    ];
    // Four attackers at full speed leave two cores nothing: the ledger counts, not the latency.
    findings.push(ledger(&crowd.dismiss()?));
    findings.extend(alive(&server));
    findings.extend(farewell(server));
    Ok(findings)
}

fn grown(gauge: &Gauge, before: u64) -> Result<Finding> {
    let after = gauge.resident_kib()?;
    let what = format!("memory goes from {before} to {after} KiB");
    let holds = after <= before + GROWTH_KIB_MAX;
    Ok(Finding::that(what, holds, || format!("{GROWTH_KIB_MAX} KiB more at most")))
}

/// Somebody new can still log in.
fn alive(server: &Server) -> Option<Finding> {
    let entered = enter(&role("victim0", "after"), server.listeners(), Phase::PostAuth);
    let result = entered.map(drop).map_err(|error| error.to_string());
    Some(Finding::new("whoever comes afterwards is let in", result))
}

/// An attacker with dice.
struct Villain<'a> {
    number: usize,
    dice: Dice,
    cases: &'a [Case],
    at: &'a Listeners,
    left_open: Vec<Connection>,
}

impl Villain<'_> {
    fn act(&mut self) -> Result<()> {
        match self.dice.below(10) {
            0..=5 => self.send_a_case(),
            6 => self.leave_open(),
            7 => self.vanish(),
            8 => self.burst(),
            _ => self.forget(),
        }
    }

    fn role(&mut self) -> crate::script::Role {
        role(&format!("villain{}", self.number), &format!("v{}", self.dice.below(8)))
    }

    /// A bad input, cut anywhere.
    fn send_a_case(&mut self) -> Result<()> {
        let case = &self.cases[self.dice.below(self.cases.len())];
        let inputs = case.all_inputs();
        let input = &inputs[self.dice.below(inputs.len())];
        let role = self.role();
        // Where one case of many floods the victim, others still find it away: that is another
        // answer, and the table's own act judges it.
        let victim = format!("victim{}@localhost/alone", self.number);
        let input = fill(input, &role.jid, &victim);
        let mut connection = enter(&role, self.at, case.phase)?;
        judge::send(&mut connection, &input, &random(input.len(), &mut self.dice));
        match case.expect {
            table::Expect::StreamError(_) | table::Expect::SaslFailure(_) => {
                judge::judge(&mut connection, &case.expect)
            }
            _ => Ok(()),
        }
    }

    /// A connection that says no more, at any phase, with half an input or without.
    fn leave_open(&mut self) -> Result<()> {
        let phase = PHASES[self.dice.below(PHASES.len())];
        let role = self.role();
        let mut connection = enter(&role, self.at, phase)?;
        if self.dice.below(2) == 0 {
            judge::send(&mut connection, b"<message to='a@localhost'><bo", &Cut::whole());
        }
        self.left_open.push(connection);
        if self.left_open.len() > LEFT_OPEN_MAX {
            self.left_open.clear();
        }
        Ok(())
    }

    /// A connection that is cut at any phase, perhaps with a session to resume.
    fn vanish(&mut self) -> Result<()> {
        let phase = PHASES[self.dice.below(PHASES.len())];
        let role = self.role();
        let mut connection = enter(&role, self.at, phase)?;
        if phase == Phase::PostAuth {
            enable(&mut connection)?;
        }
        connection.drop_abruptly();
        Ok(())
    }

    /// Many stanzas at once for somebody who does not read, or is not there.
    fn burst(&mut self) -> Result<()> {
        let role = self.role();
        let mut connection = enter(&role, self.at, Phase::PostAuth)?;
        let to = match self.dice.below(3) {
            0 => format!("victim{}@localhost", self.number),
            1 => "nobody@localhost".to_owned(),
            _ => role.jid.clone(),
        };
        let stanza = format!("<message to='{to}'><body>{}</body></message>", "b".repeat(500));
        judge::send(&mut connection, stanza.repeat(40).as_bytes(), &Cut::whole());
        Ok(())
    }

    /// What was left open is closed.
    fn forget(&mut self) -> Result<()> {
        self.left_open.clear();
        Ok(())
    }
}
