//! The rows of the table.

use jackdaw_loadtest::behaviour::{ChatSettings, Groups};

use crate::Result;
use crate::options::{Driver, Options};
use crate::probe::{
    self, Allocations, Churn, FastLogin, Idle, Latency, OfflineMessages, Probe, ScramLogin,
    StorageFigure,
};
use crate::row::{Metric, Row, Sides, Target};
use crate::server::Server;

/// Rows whose name begins with one of `wanted`, all without any.
pub fn chosen(wanted: &[String]) -> Result<Vec<Row>> {
    let mut rows = all();
    for name in wanted {
        if !rows.iter().any(|row| row.name.starts_with(name.as_str())) {
            return Err(format!("there is no row {name}; --list shows them").into());
        }
    }
    if !wanted.is_empty() {
        rows.retain(|row| wanted.iter().any(|name| row.name.starts_with(name.as_str())));
    }
    Ok(rows)
}

fn all() -> Vec<Row> {
    vec![
        chat("chat-1", "1:1 message, window 1, 100-byte body", pairs(1, 100), 1.6),
        chat("chat-16", "1:1 message, window 16, 100-byte body", pairs(16, 100), 3.0),
        chat("chat-16-large", "1:1 message, window 16, 1,000-byte body", pairs(16, 1_000), 2.5),
        chat_tls("tls-1", "over TLS 1.3, window 1, 100-byte body", pairs(1, 100)),
        chat_tls("tls-16", "over TLS 1.3, window 16, 100-byte body", pairs(16, 100)),
        chat_tls("tls-16-large", "over TLS 1.3, window 16, 1,000-byte body", pairs(16, 1_000)),
        presence(),
        ping(),
        login_scram(),
        login_fast(),
        idle("idle-plain", "18,000 idle sessions without TLS", Server::plain, 1_024.0),
        idle("idle-tls", "18,000 idle sessions with TLS", Server::tls, 4_096.0),
        latency("latency-io_uring", "5,000 messages/s, open loop, io_uring", Driver::IoUring),
        latency("latency-epoll", "5,000 messages/s, open loop, epoll", Driver::Epoll),
        allocations("allocations-1", "window 1", pairs(1, 100)),
        allocations("allocations-16", "window 16", pairs(16, 100)),
        offline(),
        churn(),
    ]
}

fn metric(what: &'static str, unit: &'static str, target: Target) -> Metric {
    Metric { what, unit, target }
}

fn cpu(target: Target) -> Vec<Metric> {
    vec![metric("server CPU", "µs", target), metric("generator CPU", "µs", Target::Told)]
}

/// 100 pairs: enough that the server always has something to do, few enough for its caches.
fn pairs(window: usize, body: usize) -> ChatSettings {
    ChatSettings { pairs: 100, window, body }
}

fn beside(subject: impl Probe + 'static, reference: impl Probe + 'static) -> Result<Sides> {
    Ok(Sides { subject: Box::new(subject), reference: Some(Box::new(reference)) })
}

fn alone(subject: impl Probe + 'static) -> Result<Sides> {
    Ok(Sides { subject: Box::new(subject), reference: None })
}

fn chat(name: &'static str, what: &'static str, settings: ChatSettings, most: f64) -> Row {
    Row {
        name,
        what,
        beside: "raw relay",
        once: false,
        windows: 1,
        metrics: cpu(Target::RatioAtMost(most)),
        prepare: Box::new(move |options| {
            let subject = probe::chat(options, settings, Server::plain)?;
            let reference = subject.relayed()?;
            beside(subject, reference)
        }),
    }
}

fn chat_tls(name: &'static str, what: &'static str, settings: ChatSettings) -> Row {
    Row {
        name,
        what,
        beside: "without TLS",
        once: false,
        windows: 1,
        metrics: cpu(Target::MoreByAtMost(2.5)),
        prepare: Box::new(move |options| {
            let subject = probe::chat(options, settings, Server::tls)?;
            beside(subject, probe::chat(options, settings, Server::plain)?)
        }),
    }
}

fn presence() -> Row {
    Row {
        name: "presence",
        what: "presence to 20 contacts, 5 groups of 21, per presence delivered to a contact",
        beside: "our message, window 1",
        once: false,
        windows: 1,
        metrics: cpu(Target::RatioAtMost(0.7)),
        prepare: Box::new(|options| {
            let subject = probe::broadcast(options, Groups { count: 5, size: 21 })?;
            beside(subject, probe::chat(options, pairs(1, 100), Server::plain)?)
        }),
    }
}

fn ping() -> Row {
    Row {
        name: "ping",
        what: "IQ ping to the server, 100 users, window 1",
        beside: "our message, window 1",
        once: false,
        windows: 1,
        metrics: cpu(Target::RatioAtMost(1.1)),
        prepare: Box::new(|options| {
            let subject = probe::ping(options, 100)?;
            beside(subject, probe::chat(options, pairs(1, 100), Server::plain)?)
        }),
    }
}

fn login_scram() -> Row {
    Row {
        name: "login-scram",
        what: "login with SCRAM-SHA-256, stored keys, to bound and available",
        beside: "raw relay's message, window 1",
        once: false,
        windows: 1,
        metrics: vec![metric("server CPU", "µs", Target::RatioAtMost(15.0))],
        prepare: Box::new(|options| {
            let relayed = probe::chat(options, pairs(1, 100), Server::plain)?.relayed()?;
            beside(ScramLogin::new(options)?, relayed)
        }),
    }
}

fn login_fast() -> Row {
    Row {
        name: "login-fast",
        what: "login with SASL2, Bind 2 and FAST, to bound and available",
        beside: "login with SCRAM-SHA-256",
        once: false,
        windows: 1,
        metrics: vec![metric("server CPU", "µs", Target::RatioAtMost(0.5))],
        prepare: Box::new(|options| beside(FastLogin::new(options)?, ScramLogin::new(options)?)),
    }
}

fn idle(
    name: &'static str,
    what: &'static str,
    listener: fn(&Server) -> jackdaw_loadtest::Target,
    most: f64,
) -> Row {
    Row {
        name,
        what,
        beside: "",
        once: false,
        windows: 1,
        metrics: vec![
            metric("anonymous memory of each", "bytes", Target::AtMost(most)),
            metric("CPU with a ping a minute of each", "% of a core", Target::AtMost(1.0)),
            metric("established", "per second", Target::Told),
        ],
        prepare: Box::new(move |options| alone(Idle::new(options, listener))),
    }
}

/// Windows of a tenth of a second in a run of two: 500 messages, of which five are above the 99th
/// percentile.
const LATENCY_WINDOWS: u32 = 20;

fn latency(name: &'static str, what: &'static str, driver: Driver) -> Row {
    Row {
        name,
        what,
        beside: "raw relay",
        once: false,
        windows: LATENCY_WINDOWS,
        metrics: vec![
            metric("p50", "µs", Target::Told),
            metric("p99", "µs", Target::RatioAtMost(2.0)),
            metric("longest", "µs", Target::Told),
        ],
        prepare: Box::new(move |options| {
            let options = Options { driver, ..options.clone() };
            let chat = probe::chat(&options, pairs(1, 100), Server::plain)?;
            let relayed = chat.relayed()?;
            beside(Latency::of(chat), Latency::of(relayed))
        }),
    }
}

fn allocations(name: &'static str, what: &'static str, settings: ChatSettings) -> Row {
    /// The process has threads that do other things once in a while.
    const NONE: f64 = 0.001;
    Row {
        name,
        what,
        beside: "",
        once: false,
        windows: 1,
        metrics: vec![metric("allocations per message", "", Target::AtMost(NONE))],
        prepare: Box::new(move |options| alone(Allocations::new(options, settings)?)),
    }
}

fn offline() -> Row {
    Row {
        name: "offline",
        what: "durable messages for 100 accounts that are away",
        beside: "the engine alone, batches of 256",
        once: false,
        windows: 1,
        metrics: vec![
            metric("acknowledged", "per second", Target::RatioAtLeast(0.7)),
            metric("server CPU of storing", "µs", Target::AtMost(15.0)),
            metric("server CPU of fetching at login", "µs", Target::AtMost(5.0)),
        ],
        prepare: Box::new(|options| {
            beside(OfflineMessages::new(options)?, StorageFigure::start()?)
        }),
    }
}

fn churn() -> Row {
    /// A leak of one pointer in eight sessions would show.
    const NOTHING: f64 = 1.0;
    Row {
        name: "churn",
        what: "short sessions",
        beside: "",
        once: true,
        windows: 1,
        metrics: vec![
            metric("memory that stays of each", "bytes", Target::AtMost(NOTHING)),
            metric("anonymous memory after 10,000", "MB", Target::Told),
            metric("anonymous memory after all", "MB", Target::Told),
        ],
        prepare: Box::new(|options| alone(Churn::new(options))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_the_beginning_of_their_names() {
        let names = |wanted: &[&str]| -> Vec<&str> {
            let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
            chosen(&wanted).unwrap().iter().map(|row| row.name).collect()
        };
        assert_eq!(names(&["chat-16"]), ["chat-16", "chat-16-large"]);
        assert_eq!(names(&[]).len(), all().len());
        assert!(chosen(&["nothing".to_owned()]).is_err());
    }
}
