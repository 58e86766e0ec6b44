//! The act of the table: every bad input, whole and in pieces, beside a healthy crowd.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::crowd::{self, Beside, Crowd, Report, median};
use super::cuts::{Cut, cuts};
use super::dice::Dice;
use super::fill::fill;
use super::gauge::Gauge;
use super::stage::{Victim, enter, role};
use super::table::{self, Case};
use super::{Finding, Play, farewell, judge, millis};
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::script::Role;
use crate::server::{Listeners, Server};

/// The healthy.
const SESSIONS: usize = 1_000;

/// Attackers at once. More would measure how this machine divides its cores.
const VILLAINS: usize = 2;

/// Attack and quiet take turns, so that what else goes on in the machine meets both.
const ATTACK: Duration = Duration::from_millis(2_200);
const QUIET: Duration = Duration::from_millis(1_700);

/// Connections that send a case at once to be weighed: their memory adds up to something that
/// stands out from what an allocator keeps.
const WEIGHED: usize = 64;

/// A p99 below this is nothing that anybody notices, and on two cores which attackers and healthy
/// share with the server it is decided by who runs when.
const NOTICED: Duration = Duration::from_millis(5);

/// Failures of a case, after which it is not sent any more: some of them are seconds of silence.
const TOLD_MAX: usize = 3;

/// PLAIN shows whom a client wants to be. All clients come from one address, some as one account.
const CONFIG: &str = "
domains = [{ name = 'localhost' }, { name = 'verona.example' }]
auth.mechanisms = ['SCRAM-SHA-256', 'PLAIN']
limits.connections_per_address_max = 20000
limits.resources_per_account_max = 200
log.level = 'warn'
";

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let table = table::read(&table::folder())?;
    let mut accounts = crowd::accounts(SESSIONS);
    for number in 0..VILLAINS {
        accounts.extend([format!("villain{number}"), format!("victim{number}")]);
    }
    accounts.push("weighed".into());
    let server = super::open(play, CONFIG, &accounts)?;
    let crowd = Crowd::gather(SESSIONS, server.listeners())?;
    let mut findings = weigh(&table.cases, &server)?;
    findings.extend(attack(&table.cases, play, &crowd, server.listeners()));
    let report = crowd.dismiss()?;
    findings.extend(unharmed(&report));
    findings.extend(farewell(server));
    Ok(findings)
}

/// What the healthy may say at the end: nothing lost, and no later than without an attack.
pub fn unharmed(report: &Report) -> Vec<Finding> {
    let (quiet, attacked) = (median(&report.quiet), median(&report.attacked));
    let windows = format!("{} and {} windows", report.quiet.len(), report.attacked.len());
    let latency = format!("p99 {} in quiet, {} under attack", millis(quiet), millis(attacked));
    let is_prompt = attacked <= (quiet * 2).max(NOTICED) && !report.attacked.is_empty();
    vec![
        ledger(report),
        Finding::that(format!("healthy {latency}"), is_prompt, || {
            format!("more than twice as much and more than {} ({windows})", millis(NOTICED))
        })
        .of_time(),
    ]
}

/// Nothing of the healthy is lost, repeated or reordered, and nobody is disconnected.
pub fn ledger(report: &Report) -> Finding {
    let Report { sent, lost, misplaced, disconnected, .. } = report;
    Finding::that(format!("none of {sent} healthy messages is lost"), report.is_clean(), || {
        format!("{lost} lost, {misplaced} misplaced, {disconnected} disconnected")
    })
}

/// Each case from several connections at once, with an eye on what the server takes for it.
fn weigh(cases: &[Case], server: &Server) -> Result<Vec<Finding>> {
    let gauge = Gauge::new(server.pid()?);
    let mut findings = Vec::new();
    for case in cases {
        let (memory, cpu) = match weigh_one(case, server.listeners(), &gauge) {
            Ok(weight) => weight,
            Err(error) => {
                let what = format!("{} {} is weighed", case.id, case.name);
                findings.push(Finding::new(what, Err(error.to_string())));
                continue;
            }
        };
        let what = format!("{} {} costs {memory} KiB, {}", case.id, case.name, millis(cpu));
        let cpu_max = Duration::from_secs_f64(case.cpu_ms_max / 1_000.0);
        let holds = memory <= case.rss_kib_max && cpu <= cpu_max;
        findings.push(Finding::that(what, holds, || {
            format!("the limits are {} KiB, {}", case.rss_kib_max, millis(cpu_max))
        }));
    }
    Ok(findings)
}

/// Memory at its peak and CPU time, per connection.
fn weigh_one(case: &Case, at: &Listeners, gauge: &Gauge) -> Result<(u64, Duration)> {
    let inputs = case.all_inputs();
    let mut open = Vec::with_capacity(WEIGHED);
    for number in 0..WEIGHED {
        let role = role("weighed", &format!("w{number}"));
        // The crowd reads what it gets, and minds only what it sent itself.
        let input = fill(&inputs[number % inputs.len()], &role.jid, &crowd::address(number));
        open.push((enter(&role, at, case.phase)?, input));
    }
    gauge.forget_peak()?;
    let (memory, cpu) = (gauge.peak_kib()?, gauge.cpu()?);
    for (connection, input) in &mut open {
        judge::send(connection, input, &Cut::whole());
    }
    // Whether all outcomes are right is judged below; here one wrong one is enough.
    for (connection, _) in &mut open {
        judge::judge(connection, &case.expect)?;
    }
    let memory = gauge.peak_kib()?.saturating_sub(memory);
    let cpu = gauge.cpu()?.saturating_sub(cpu);
    Ok((memory / WEIGHED as u64, cpu / WEIGHED as u32))
}

/// One input on its way.
struct Job {
    case: usize,
    input: usize,
    cut: Cut,
}

/// What failed, by case.
type Failures = Mutex<BTreeMap<usize, Vec<String>>>;

/// All inputs in all pieces, in an order that the seed chooses, while the crowd talks.
fn attack(cases: &[Case], play: &Play<'_>, crowd: &Crowd, at: &Listeners) -> Vec<Finding> {
    let inputs: Vec<Vec<Vec<u8>>> = cases.iter().map(Case::all_inputs).collect();
    let jobs = jobs(&inputs, &mut Dice::of(play.seed, "bad-inputs"));
    let next = AtomicUsize::new(0);
    let failures = Failures::default();
    let arena = Arena { cases, inputs: &inputs, jobs: &jobs, next: &next, failures: &failures, at };
    let mut villains: Vec<Villain> = (0..VILLAINS).map(Villain::new).collect();
    while next.load(Ordering::Relaxed) < jobs.len() {
        crowd.say(Beside::Quiet);
        std::thread::sleep(QUIET);
        crowd.say(Beside::Attack);
        let until = Instant::now() + ATTACK;
        std::thread::scope(|scope| {
            for villain in &mut villains {
                let arena = &arena;
                scope.spawn(move || {
                    stand_back();
                    villain.work(arena, until);
                });
            }
        });
    }
    crowd.say(Beside::Quiet);
    let mut failures = failures.into_inner().expect("nobody panicked with the failures");
    let mut findings = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let sent = jobs.iter().filter(|job| job.case == number).count();
        let failed = failures.remove(&number).unwrap_or_default();
        let what = format!("{} {}, sent in {sent} ways", case.id, case.name);
        findings.push(Finding::that(what, failed.is_empty(), || failed.join("\n    ")));
    }
    findings
}

fn jobs(inputs: &[Vec<Vec<u8>>], dice: &mut Dice) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (case, inputs) in inputs.iter().enumerate() {
        for (input, bytes) in inputs.iter().enumerate() {
            // All villains have names of one length, and so have their inputs.
            let length = fill(bytes, &villain(0, 0).jid, &victim(0).jid).len();
            let all = cuts(length, dice).into_iter();
            jobs.extend(all.map(|cut| Job { case, input, cut }));
        }
    }
    dice.shuffle(&mut jobs);
    jobs
}

/// Lets the server and the healthy go before this thread: what an attacker spends on its own
/// machine is not to be measured.
pub fn stand_back() {
    // Without it the comparison is only harder to pass.
    let _ = rustix::process::nice(10);
}

/// What the villains share.
struct Arena<'a> {
    cases: &'a [Case],
    inputs: &'a [Vec<Vec<u8>>],
    jobs: &'a [Job],
    next: &'a AtomicUsize,
    failures: &'a Failures,
    at: &'a Listeners,
}

fn villain(number: usize, resource: u64) -> Role {
    role(&format!("villain{number}"), &format!("v{resource}"))
}

fn victim(number: usize) -> Role {
    role(&format!("victim{number}"), "alone")
}

/// An attacker, who comes again and again, and somebody it writes to.
struct Villain {
    number: usize,
    attempts: u64,
    victim: Option<Victim>,
}

impl Villain {
    fn new(number: usize) -> Villain {
        Villain { number, attempts: 0, victim: None }
    }

    fn work(&mut self, arena: &Arena<'_>, until: Instant) {
        while Instant::now() < until {
            let Some(job) = arena.jobs.get(arena.next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            let is_told = |failures: &Vec<String>| failures.len() >= TOLD_MAX;
            let failures = || arena.failures.lock().expect("nobody panics with the failures");
            if failures().get(&job.case).is_some_and(is_told) {
                continue;
            }
            let case = &arena.cases[job.case];
            let input = &arena.inputs[job.case][job.input];
            if let Err(error) = self.attempt(case, input, &job.cut, arena.at) {
                let shown: String = String::from_utf8_lossy(input).chars().take(120).collect();
                let failure = format!("`{shown}` {}: {error}", job.cut);
                failures().entry(job.case).or_default().push(failure);
            }
        }
    }

    fn attempt(&mut self, case: &Case, input: &[u8], cut: &Cut, at: &Listeners) -> Result<()> {
        self.attempts += 1;
        let role = villain(self.number, self.attempts % 8);
        let victim = match &mut self.victim {
            Some(victim) => victim,
            None => self.victim.insert(Victim::arrive(&victim(self.number), at)?),
        };
        let input = fill(input, &role.jid, &victim.jid);
        let mut connection = enter(&role, at, case.phase)?;
        judge::send(&mut connection, &input, cut);
        judge::judge(&mut connection, &case.expect)?;
        if case.has_victim() {
            listen(case, victim)?;
        }
        leave(connection);
        Ok(())
    }
}

/// Whether the victim heard what it must not, or not what it must.
fn listen(case: &Case, victim: &mut Victim) -> Result<()> {
    let heard: String =
        victim.heard()?.iter().map(|element| element.to_xml(jackdaw_xml::ns::CLIENT)).collect();
    for bad in &case.victim_lacks {
        if heard.contains(bad) {
            return Err(Error::unexpected(format!("the victim heard `{heard}`")));
        }
    }
    for good in &case.victim_has {
        if !heard.contains(good) {
            return Err(Error::unexpected(format!("the victim heard `{heard}` without `{good}`")));
        }
    }
    Ok(())
}

/// Ends a stream that may have ended, so that its resource is free.
fn leave(mut connection: Connection) {
    // Whoever was cut off has nothing to close.
    let _ = connection.send(b"</stream:stream>");
}
