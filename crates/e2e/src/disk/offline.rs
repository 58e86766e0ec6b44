//! What a durable offline message costs the server: its rate, and CPU time for storing and for
//! fetching one. On request: it measures, and fails only if something is lost.

use std::time::{Duration, Instant};

use super::stage::{PASSWORD, Play, role};
use super::startup;
use crate::actor::SM;
use crate::connection::{Arrival, Connection};
use crate::error::{Error, Result};
use crate::login;
use crate::script::{Role, Stage};
use crate::server::{Launch, Server};

/// Connections that send.
const SENDERS: usize = 8;

/// Messages of each.
const MESSAGES: usize = 10_000;

/// Messages between two requests for an acknowledgement.
const CHUNK: usize = 100;

/// Chunks under way.
const WINDOW: usize = 4;

/// Accounts they go to in turn.
const RECIPIENTS: usize = 40;

/// Bytes of a body.
const BODY: usize = 100;

/// See [`super::ON_REQUEST`].
pub fn run(launch: &Launch) -> Result<()> {
    let overlay = "limits.offline_messages_max = 100000\nlog.level = 'warn'";
    let mut play = Play::begin_on_disk_with(launch, overlay)?;
    play.server.stop()?;
    startup::fill_accounts(&play.server.folder().join("data/store"), RECIPIENTS)?;
    play.server.start()?;
    let senders: Result<Vec<_>> = (0..SENDERS).map(|nth| connect(&play, nth)).collect();

    let (began, cpu) = (Instant::now(), cpu(&play.server)?);
    let sent: Vec<Result<()>> = std::thread::scope(|scope| {
        let threads = senders?.into_iter().map(|sender| scope.spawn(move || send(sender)));
        let threads: Vec<_> = threads.collect();
        Ok(threads.into_iter().map(|thread| thread.join().expect("no panic")).collect())
    })
    .map_err(|error: Error| error)?;
    sent.into_iter().collect::<Result<()>>()?;
    let all = SENDERS * MESSAGES;
    let (wall, used) = (began.elapsed(), cpu_since(&play.server, cpu)?);
    println!(
        "       stored:  {:.0}/s, {:.2} us CPU each",
        all as f64 / wall.as_secs_f64(),
        each(used, all)
    );

    let cpu = self::cpu(&play.server)?;
    let mut fetched = 0;
    for nth in 0..RECIPIENTS {
        fetched += fetch(&play, nth, all / RECIPIENTS)?;
    }
    let used = cpu_since(&play.server, cpu)?;
    println!("       fetched: {:.2} us CPU each, logins included", each(used, fetched));
    match fetched == all {
        true => Ok(()),
        false => Err(Error::unexpected(format!("{fetched} of {all} messages came"))),
    }
}

fn connect(play: &Play, nth: usize) -> Result<Connection> {
    let role = Role { jid: format!("romeo@localhost/{nth}"), ..role("romeo") };
    let (mut connection, _) = login::connect(&role, play.server.listeners(), Stage::Bind)?;
    connection.send(format!("<enable xmlns='{SM}'/>").as_bytes())?;
    connection.receive()?;
    Ok(connection)
}

fn send(mut connection: Connection) -> Result<()> {
    let body = "x".repeat(BODY);
    let mut acknowledged = 0;
    for chunk in 0..MESSAGES / CHUNK {
        let mut text = String::new();
        for n in chunk * CHUNK..(chunk + 1) * CHUNK {
            let to = n % RECIPIENTS;
            text.push_str(&format!(
                "<message to='extra-{to}@localhost' type='chat' id='m{n}'><body>{body}</body></message>"
            ));
        }
        text.push_str(&format!("<r xmlns='{SM}'/>"));
        connection.send(text.as_bytes())?;
        while acknowledged + WINDOW * CHUNK <= (chunk + 1) * CHUNK {
            acknowledged = wait_for_h(&mut connection)?;
        }
    }
    while acknowledged < MESSAGES {
        connection.send(format!("<r xmlns='{SM}'/>").as_bytes())?;
        acknowledged = wait_for_h(&mut connection)?;
    }
    Ok(())
}

fn wait_for_h(connection: &mut Connection) -> Result<usize> {
    loop {
        match connection.receive()? {
            Arrival::Element(element) if element.is(SM, "a") => {
                let h = element.attr("h").and_then(|h| h.parse().ok());
                return h.ok_or_else(|| Error::unexpected("an <a/> without h"));
            }
            Arrival::Element(element) if element.attr("type") == Some("error") => {
                return Err(Error::unexpected(super::stage::condition(&element)));
            }
            Arrival::Element(_) => {}
            other => return Err(login::unexpected("<a/>", &other)),
        }
    }
}

fn fetch(play: &Play, nth: usize, expected: usize) -> Result<usize> {
    let jid = format!("extra-{nth}@localhost/fetch");
    let role = Role { jid, password: PASSWORD.into(), ..role("extra") };
    let (mut connection, _) = login::connect(&role, play.server.listeners(), Stage::Bind)?;
    connection.send(b"<presence/>")?;
    let mut fetched = 0;
    while fetched < expected {
        match connection.receive()? {
            Arrival::Element(element) if element.is(jackdaw_xml::ns::CLIENT, "message") => {
                fetched += 1
            }
            Arrival::Element(_) => {}
            other => return Err(login::unexpected("a message", &other)),
        }
    }
    Ok(fetched)
}

/// CPU time of the server's process so far.
fn cpu(server: &Server) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()?));
    let stat = stat.map_err(Error::io("reading /proc"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    // User and system time, in hundredths of a second.
    Ok(Duration::from_millis(10 * (ticks(12).unwrap_or(0) + ticks(13).unwrap_or(0))))
}

fn cpu_since(server: &Server, before: Duration) -> Result<Duration> {
    Ok(cpu(server)?.saturating_sub(before))
}

fn each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count.max(1) as f64
}
