//! The act of who confines the process (T23): each step of setting io_uring up is denied in the way
//! of container runtimes and of old kernels, and the binary serves on epoll and says why.

use rustix::io::Errno;

use super::stage::{enter, role};
use super::table::Phase;
use super::{DOMAIN, Finding, PASSWORD, Play, farewell};
use crate::confined::{Denied, error_name};
use crate::connection::Arrival;
use crate::error::{Error, Result};
use crate::login::unexpected;
use crate::server::{Launch, Server};

/// Steps of setting a ring up, by the numbers that all architectures share.
const CALLS: [(&str, i64); 3] =
    [("io_uring_setup", 425), ("io_uring_enter", 426), ("io_uring_register", 427)];

/// What container runtimes and kernels without io_uring answer.
const ERRORS: [Errno; 2] = [Errno::PERM, Errno::NOSYS];

/// Plays the act. The driver it was asked for does not matter: it is about the choice.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, call) in CALLS {
        for error in ERRORS {
            let denied = Denied { call, error: error.raw_os_error().cast_unsigned() };
            findings.extend(serve_without(play, name, denied)?);
        }
    }
    findings.push(insist(play)?);
    Ok(findings)
}

/// `edge.driver = "auto"`: clients are served all the same.
fn serve_without(play: &Play<'_>, name: &str, denied: Denied) -> Result<Vec<Finding>> {
    let mut server = confined(play.launch, "auto", denied)?;
    let guest = format!("guest@{DOMAIN}");
    server.add_users(&[(guest.as_str(), PASSWORD)])?;
    server.start()?;
    let answered = ping(&server).map_err(|error| error.to_string());
    let report = server.whole_log();
    let why = error_name(denied.error);
    let reason = why.split(" (").next().unwrap_or(&why);
    let says = report.lines().any(|line| line.contains("epoll, ") && line.contains(reason));
    let what = |rest: &str| format!("{name} denied ({reason}): {rest}");
    let mut findings = vec![
        Finding::new(what("clients are served"), answered),
        Finding::that(what("the report says epoll, and why"), says, || report),
    ];
    findings.extend(farewell(server));
    Ok(findings)
}

/// `edge.driver = "io_uring"`: whoever insists is told.
fn insist(play: &Play<'_>) -> Result<Finding> {
    let (_, call) = CALLS[0];
    let denied = Denied { call, error: Errno::PERM.raw_os_error().cast_unsigned() };
    let mut server = confined(play.launch, "io_uring", denied)?;
    let refused = server.start().is_err();
    server.forget();
    let log = server.whole_log();
    let says = log.lines().any(|line| line.contains("io_uring"));
    let what = "io_uring denied to whoever insists on it: the start fails, and says why";
    Ok(Finding::that(what, refused && says, || log))
}

fn confined(launch: &Launch, driver: &str, denied: Denied) -> Result<Server> {
    let launch = Launch { driver: driver.to_owned(), ..launch.clone() };
    let mut server = Server::prepare(&launch, "")?;
    server.confine(denied);
    Ok(server)
}

fn ping(server: &Server) -> Result<()> {
    let mut connection = enter(&role("guest", "r"), server.listeners(), Phase::PostAuth)?;
    connection.send(b"<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    match connection.receive()? {
        Arrival::Element(element) if element.attr("type") == Some("result") => Ok(()),
        Arrival::Element(element) => {
            Err(Error::unexpected(format!("a <{}/> for an answer", element.name())))
        }
        other => Err(unexpected("an answer", &other)),
    }
}
