//! The act of listening to the clock (bad-inputs A07): how long a failure takes does not say
//! whether there is such an account.

use std::time::Instant;

use super::stage::{enter, role};
use super::table::Phase;
use super::{Finding, Play, farewell};
use crate::connection::{Arrival, Connection};
use crate::error::Result;
use crate::login::{base64, unexpected};
use crate::server::Server;

/// Attempts for each kind of account. The two take turns, so that whatever else the machine does
/// meets both.
const SAMPLES: usize = 400;

/// Where Welch's t begins to say that two means differ, as side channels are commonly judged
/// (Goodwill and others 2011).
const T_MAX: f64 = 4.5;

/// Of the slowest attempts, so many are left out on both sides: they are the scheduler's.
const OUTLIERS: usize = SAMPLES / 10;

const CONFIG: &str = "
auth.mechanisms = ['SCRAM-SHA-256', 'PLAIN']
log.level = 'warn'
";

/// Plays the act.
pub fn play(play: &Play<'_>) -> Result<Vec<Finding>> {
    let server = super::open(play, CONFIG, &["romeo".into()])?;
    let mut findings = Vec::new();
    for mechanism in ["SCRAM-SHA-256", "PLAIN"] {
        let mut known = Vec::with_capacity(SAMPLES);
        let mut unknown = Vec::with_capacity(SAMPLES);
        for _ in 0..SAMPLES {
            known.push(failure(&server, mechanism, "romeo")?);
            unknown.push(failure(&server, mechanism, "nobody")?);
        }
        let t = welch(&mut known, &mut unknown);
        let what = format!("an unknown account fails {mechanism} like a known one, t = {t:.1}");
        findings.push(Finding::that(what, t.abs() < T_MAX, || format!("{T_MAX} at most")));
    }
    findings.extend(farewell(server));
    Ok(findings)
}

/// Microseconds from the first message to the failure.
fn failure(server: &Server, mechanism: &str, user: &str) -> Result<f64> {
    let mut connection = enter(&role(user, "x"), server.listeners(), Phase::PreAuth)?;
    let first = match mechanism {
        "PLAIN" => format!("\0{user}\0wrong"),
        _ => format!("n,,n={user},r=abcdefghijklmnop"),
    };
    let began = Instant::now();
    let auth = "auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
    let first = format!("<{auth} mechanism='{mechanism}'>{}</auth>", base64(&first));
    let mut answer = exchange(&mut connection, &first)?;
    if answer.0 == "challenge" {
        // The proof is for another password, and as long as any.
        let nonce = answer.1.split(',').next().unwrap_or_default();
        let last = base64(&format!("c=biws,{nonce},p={}", base64(&"x".repeat(32))));
        let response = "response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
        answer = exchange(&mut connection, &format!("<{response}>{last}</response>"))?;
    }
    match answer.0.as_str() {
        "failure" => Ok(began.elapsed().as_secs_f64() * 1e6),
        other => Err(crate::error::Error::unexpected(format!("<{other}/> for a wrong password"))),
    }
}

/// Name and decoded text of what answers.
fn exchange(connection: &mut Connection, message: &str) -> Result<(String, String)> {
    connection.send(message.as_bytes())?;
    match connection.receive()? {
        Arrival::Element(element) => {
            let text = crate::login::unbase64(&element.text()).unwrap_or_default();
            Ok((element.name().to_owned(), text))
        }
        other => Err(unexpected("an answer of SASL", &other)),
    }
}

/// Welch's t of two samples without their slowest.
fn welch(left: &mut Vec<f64>, right: &mut Vec<f64>) -> f64 {
    let of = |sample: &mut Vec<f64>| {
        sample.sort_by(f64::total_cmp);
        sample.truncate(sample.len().saturating_sub(OUTLIERS));
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let squares = sample.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (mean, squares / (count - 1.0) / count)
    };
    let ((left, left_error), (right, right_error)) = (of(left), of(right));
    (left - right) / (left_error + right_error).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some noise that is the same every time.
    fn sample(shift: f64) -> Vec<f64> {
        (0..SAMPLES).map(|n| 100.0 + shift + (n * 7_919 % 101) as f64).collect()
    }

    #[test]
    fn samples_of_one_kind_are_alike_and_others_are_not() {
        assert!(welch(&mut sample(0.0), &mut sample(0.0)).abs() < 0.1);
        assert!(welch(&mut sample(20.0), &mut sample(0.0)) > T_MAX);
    }
}
