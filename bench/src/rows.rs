//! The rows of the table.

use jackdaw_loadtest::behaviour::ChatSettings;

use crate::Result;
use crate::probe::ChatProbe;
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
        chat("chat-1", "1:1 message, window 1, 100-byte body", 1, 100, 1.6),
        chat("chat-16", "1:1 message, window 16, 100-byte body", 16, 100, 3.0),
        chat("chat-16-large", "1:1 message, window 16, 1,000-byte body", 16, 1_000, 2.5),
        chat_tls("tls-1", "the same over TLS 1.3: window 1, 100-byte body", 1, 100),
        chat_tls("tls-16", "the same over TLS 1.3: window 16, 100-byte body", 16, 100),
        chat_tls("tls-16-large", "the same over TLS 1.3: window 16, 1,000-byte body", 16, 1_000),
    ]
}

fn cpu(target: Target) -> Vec<Metric> {
    vec![
        Metric { what: "server CPU", unit: "µs", target },
        Metric { what: "generator CPU", unit: "µs", target: Target::Told },
    ]
}

/// 100 pairs: enough that the server always has something to do, few enough for its caches.
fn pairs(window: usize, body: usize) -> ChatSettings {
    ChatSettings { pairs: 100, window, body }
}

fn chat(name: &'static str, what: &'static str, window: usize, body: usize, most: f64) -> Row {
    Row {
        name,
        what,
        beside: "raw relay",
        metrics: cpu(Target::RatioAtMost(most)),
        prepare: Box::new(move |options| {
            let subject = ChatProbe::new(options, pairs(window, body), Server::plain)?;
            let reference = subject.relayed()?;
            Ok(Sides { subject: Box::new(subject), reference: Some(Box::new(reference)) })
        }),
    }
}

fn chat_tls(name: &'static str, what: &'static str, window: usize, body: usize) -> Row {
    Row {
        name,
        what,
        beside: "without TLS",
        metrics: cpu(Target::MoreByAtMost(2.5)),
        prepare: Box::new(move |options| {
            let subject = ChatProbe::new(options, pairs(window, body), Server::tls)?;
            let reference = ChatProbe::new(options, pairs(window, body), Server::plain)?;
            Ok(Sides { subject: Box::new(subject), reference: Some(Box::new(reference)) })
        }),
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
