//! One run: load, kills, calm, and the reading of the ledger.

use std::os::unix::process::ExitStatusExt as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jackdaw_faults::{Bug, Point};

use super::book::{Book, Property};
use super::client::{Client, World};
use super::dice::Dice;
use super::message::{DOMAIN, Who};
use super::stage::{Phase, Stage};
use super::strike::{Exposure, Plan, Strike, exposed_by};
use super::verdict::Verdict;
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::server::{Launch, Server};
use crate::suite::Tally;

/// Of every client.
const PASSWORD: &str = "written-in-the-book";

/// Messages that have to be acknowledged after a start before the server is killed: a kill that
/// strikes nobody proves nothing.
const LOAD_MIN: u64 = 50;

/// How long a started server may take until it has acknowledged as many.
const LOAD_PATIENCE: Duration = Duration::from_secs(20);

/// How long nothing may happen before what is still missing counts as stuck or lost.
const CALM_PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take in all until everything has arrived: with a server that has made a mistake
/// something may go on for ever.
const CALM_MAX: Duration = Duration::from_secs(60);

/// How long everybody may take to log out, which waits for what they have sent to be acknowledged.
const LEAVE_PATIENCE: Duration = Duration::from_secs(20);

/// How long everybody listens for what should not come, when all that should has.
const SILENCE: Duration = Duration::from_millis(300);

const GLANCE: Duration = Duration::from_millis(2);

/// What the server is told: clients that acknowledge late, or are away for some time, fill their
/// windows, so that what comes then is refused by their streams and waits in the spool. There is
/// room for all of it: a queue that is full bounces, which is no fault and hides those that are.
const SMALL_WINDOW: &str = "
stream_management.unacked_stanzas_max = 16
limits.offline_messages_max = 100000
";

/// How `abort` ends a process.
const SIGABRT: i32 = 6;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the server ends.
    pub plan: Plan,
    /// What everybody decides by.
    pub seed: u64,
    /// How many clients there are.
    pub clients: u16,
    /// Properties that are counted but not demanded.
    pub tolerated: Vec<Property>,
}

impl Default for Options {
    fn default() -> Options {
        Options { plan: Plan::Kills(10), seed: 1, clients: 24, tolerated: Vec::new() }
    }
}

/// What the run itself measured.
#[derive(Debug, Default)]
struct Figures {
    /// From the start of the process to the stream header of the first connection.
    restarts: Vec<Duration>,
}

/// Runs once and prints what it saw. Every property counts as one test.
pub fn run(launch: &Launch, options: &Options) -> Result<Tally> {
    let (book, figures, time) = play(launch, options, "")?;
    Ok(report(&book, options, &figures, time))
}

/// Runs a server that makes a mistake; the ledger has to find it. Counts as one test.
pub fn run_bug(launch: &Launch, options: &Options, bug: Bug) -> Result<Tally> {
    let Exposure { faults, plan, properties } = exposed_by(bug);
    let Plan::Kills(lives) = options.plan else {
        return Err(Error::unexpected("a mistake is looked for in so many lives"));
    };
    let options = Options { plan: plan(lives), ..options.clone() };
    let (book, ..) = play(launch, &options, &faults)?;
    let verdict = Verdict::of(&book);
    let broken: Vec<String> = verdict
        .findings
        .iter()
        .filter(|finding| finding.count > 0)
        .map(|finding| format!("{} {}", finding.property.name(), finding.count))
        .collect();
    let is_found = properties.iter().any(|&property| verdict.finding(property).count > 0);
    let word = if is_found { "found" } else { "MISSED" };
    println!("{word:9} {}: {}", bug.name(), broken.join(", "));
    let mut tally = Tally::default();
    tally.count(is_found);
    Ok(tally)
}

/// Everything until the ledger can be read.
fn play(launch: &Launch, options: &Options, faults: &str) -> Result<(Book, Figures, Duration)> {
    let mut server = Server::prepare(launch, SMALL_WINDOW)?;
    let accounts: Vec<String> = (0..options.clients).map(|nth| Who(nth).bare()).collect();
    let accounts: Vec<(&str, &str)> = accounts.iter().map(|jid| (jid.as_str(), PASSWORD)).collect();
    server.add_users(&accounts)?;
    server.inject(faults);

    let book = Book::new(options.seed);
    let stage = Stage::new(*server.listeners(), options.clients);
    let world = World {
        book: &book,
        stage: &stage,
        clients: options.clients,
        sessions_last: !options.tolerated.contains(&Property::Resumed),
    };
    let mut clients: Vec<Client<'_>> =
        (0..options.clients).map(|nth| Client::new(Who(nth), world, PASSWORD)).collect();

    let began = Instant::now();
    let mut figures = Figures::default();
    let played = on_stage(&mut clients, world, Phase::Load, || {
        strike_often(&mut server, world, options, faults, &mut figures)?;
        calm_down(world);
        Ok(())
    })
    // Everybody logs in once more: what the store says is what everybody was told.
    .and_then(|()| {
        on_stage(&mut clients, world, Phase::Calm, || {
            calm_down(world);
            Ok(())
        })
    });
    stage.is_up(false);
    drop(clients);
    let stopped = played.and_then(|()| server.stop());
    if let Err(error) = stopped {
        eprintln!("{}", server.log());
        return Err(error);
    }
    Ok((book, figures, began.elapsed()))
}

/// Performs `direct` while the clients live, at first in `phase`; then they log out.
fn on_stage(
    clients: &mut [Client<'_>],
    world: World<'_>,
    phase: Phase,
    direct: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let World { stage, book, .. } = world;
    stage.go_on(phase);
    std::thread::scope(|scope| {
        let lives: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(|| client.live())).collect();
        let directed = direct();
        if directed.is_ok() {
            stage.go_on(Phase::Leave);
            let deadline = Instant::now() + LEAVE_PATIENCE;
            let left = || lives.iter().filter(|life| !life.is_finished()).count();
            while left() > 0 && Instant::now() < deadline {
                std::thread::sleep(GLANCE);
            }
            if left() > 0 {
                book.offend(Property::NothingStuck, format!("{} clients cannot leave", left()));
            }
        }
        // Whoever is still there goes without a word.
        stage.go_on(Phase::Abandon);
        directed
    })
}

/// Starts the server, and has it end as planned. In the end it lives.
fn strike_often(
    server: &mut Server,
    world: World<'_>,
    options: &Options,
    faults: &str,
    figures: &mut Figures,
) -> Result<()> {
    let mut dice = Dice::new(options.seed, 0);
    for strike in options.plan.strikes(&mut dice) {
        match strike {
            Strike::Kill(after) => {
                start(server, world.stage, figures)?;
                wait_for_load(world)?;
                std::thread::sleep(after);
                world.stage.is_up(false);
                world.book.killed();
                server.kill()?;
            }
            Strike::Crash(point, _) => {
                server.inject(&format!("{};{faults}", strike.faults()));
                crash(server, world, point)?;
                server.inject(faults);
            }
        }
    }
    start(server, world.stage, figures)?;
    wait_for_load(world)
}

/// Starts the server, which aborts at a crash point, and waits until it has.
fn crash(server: &mut Server, world: World<'_>, point: Point) -> Result<()> {
    world.stage.starts();
    // It may end before it listens, or after.
    let started = server.start();
    let status = server.ends_within(LOAD_PATIENCE)?;
    world.book.killed();
    let name = point.name();
    if status.and_then(|status| status.signal()) != Some(SIGABRT) {
        let why = started.err().map_or(String::new(), |error| format!(": {error}"));
        return Err(Error::Server(format!("did not end at {name}: {status:?}{why}")));
    }
    println!("hit       {name}");
    server.wait_for_silence()
}

fn start(server: &mut Server, stage: &Stage, figures: &mut Figures) -> Result<()> {
    stage.starts();
    let began = Instant::now();
    server.start()?;
    // What listens may not answer yet.
    Connection::open(server.listeners().plain)?.greet(DOMAIN)?;
    figures.restarts.push(began.elapsed());
    stage.is_up(true);
    Ok(())
}

/// Waits until the server has done something for its clients.
fn wait_for_load(world: World<'_>) -> Result<()> {
    let acknowledged = || world.book.totals.acknowledged.load(Ordering::Relaxed);
    let before = acknowledged();
    let deadline = Instant::now() + LOAD_PATIENCE;
    while acknowledged() < before + LOAD_MIN {
        if Instant::now() > deadline {
            return Err(Error::Server(format!("acknowledges nothing for {LOAD_PATIENCE:?}")));
        }
        std::thread::sleep(GLANCE);
    }
    Ok(())
}

/// Waits until everything has arrived, or nothing happens any more.
fn calm_down(world: World<'_>) {
    let World { book, stage, .. } = world;
    stage.go_on(Phase::Calm);
    let state = || (stage.restless(), book.missing(), book.totals.received.load(Ordering::Relaxed));
    let mut last = state();
    let began = Instant::now();
    let mut changed = began;
    while (last.0, last.1) != (0, 0)
        && changed.elapsed() < CALM_PATIENCE
        && began.elapsed() < CALM_MAX
    {
        std::thread::sleep(Duration::from_millis(20));
        let now = state();
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
    let (restless, missing, _) = last;
    if (restless, missing) != (0, 0) {
        let text = format!("{missing} messages are missing, and {restless} clients wait");
        book.offend(Property::NothingStuck, text);
    }
    std::thread::sleep(SILENCE);
}

fn report(book: &Book, options: &Options, figures: &Figures, time: Duration) -> Tally {
    let verdict = Verdict::of(book);
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let totals = &book.totals;
    println!(
        "{:?} in {:.1} s, seed {}, {} clients: {} messages sent, {} acknowledged, {} received; \
         {} changes acknowledged",
        options.plan,
        time.as_secs_f32(),
        options.seed,
        options.clients,
        count(&totals.sent),
        count(&totals.acknowledged),
        count(&totals.received),
        count(&totals.changes),
    );
    println!(
        "{} sessions, {} resumed while the server lived, {} after a kill, {} refused; \
         outcomes: {} ok, {} failed, {} unknown",
        count(&totals.sessions),
        count(&totals.resumed),
        count(&totals.resumed_after_kill),
        count(&totals.refused),
        verdict.outcomes.ok,
        verdict.outcomes.failed,
        verdict.outcomes.unknown,
    );
    println!("from start to first connection: {}", spread(&figures.restarts));
    let mut tally = Tally::default();
    for finding in &verdict.findings {
        let is_tolerated = options.tolerated.contains(&finding.property);
        let passed = finding.count == 0 || is_tolerated;
        tally.count(passed);
        let word = match (finding.count, is_tolerated) {
            (0, _) => "ok",
            (_, true) => "tolerated",
            (_, false) => "FAILED",
        };
        println!("{word:9} {}: {}", finding.property.name(), finding.count);
        for shown in &finding.shown {
            println!("          {shown}");
        }
    }
    if tally.failed > 0 {
        let again = match options.plan {
            Plan::Kills(kills) => format!("ledger --kills {kills}"),
            Plan::CrashPoints(rounds) => format!("crash-points --rounds {rounds}"),
            Plan::CrashesAt(point, count) => {
                format!("crash-points --rounds {count} # {}", point.name())
            }
        };
        println!("again: cargo xtask {again} --seed {}", options.seed);
    }
    tally
}

/// Least, median and greatest.
fn spread(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort_unstable();
    match (times.first(), times.get(times.len() / 2), times.last()) {
        (Some(least), Some(median), Some(most)) => format!(
            "{:.0} ms, median of {} ({:.0} to {:.0} ms)",
            median.as_secs_f64() * 1e3,
            times.len(),
            least.as_secs_f64() * 1e3,
            most.as_secs_f64() * 1e3,
        ),
        _ => "not measured".to_owned(),
    }
}
