//! The table, for eyes and for programs.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::Result;
use crate::options::Options;
use crate::row::{Measured, Outcome, Target};
use crate::spread::Spread;

/// Where results are kept, from the root of the repository.
const RESULTS: &str = "bench/results";

/// What was measured so far.
pub struct Report {
    heading: String,
    outcomes: Vec<Outcome>,
}

impl Report {
    /// Nothing yet.
    pub fn new(options: &Options) -> Report {
        let heading = format!(
            "{} runs of {:.1} s each, driver {}, one worker; {}",
            options.runs(),
            options.duration().as_secs_f64(),
            options.driver.name(),
            machine(),
        );
        Report { heading, outcomes: Vec::new() }
    }

    /// A row more, shown at once.
    pub fn add(&mut self, outcome: Outcome) {
        println!("{}", table(std::slice::from_ref(&outcome)));
        self.outcomes.push(outcome);
    }

    /// Shows the whole, and keeps it if that was asked for.
    pub fn finish(self, options: &Options) -> Result<()> {
        let table = table(&self.outcomes);
        if self.outcomes.len() > 1 {
            println!("{table}");
        }
        println!("{}", self.heading);
        let Some(name) = &options.save else { return Ok(()) };
        let date = first_line("date", &["-u", "+%Y-%m-%d"]);
        let stem = Path::new(RESULTS).join(format!("{date}-{name}"));
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("jackdaw-bench {}", arguments.join(" "));
        let commit = first_line("git", &["rev-parse", "--short=12", "HEAD"]);
        let text = format!(
            "# {name}, {date}\n\n`{command}` at commit {commit}: {}.\nMedians, in brackets the \
             least and the greatest; a ratio is taken run by run.\n\n{table}",
            self.heading
        );
        std::fs::write(stem.with_extension("md"), text)?;
        let json = json!({
            "date": date, "commit": commit, "command": command, "heading": self.heading,
            "rows": self.outcomes.iter().map(row_json).collect::<Vec<_>>(),
        });
        std::fs::write(stem.with_extension("json"), serde_json::to_string_pretty(&json)? + "\n")?;
        println!("written to {}.md and .json", stem.display());
        Ok(())
    }
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "| row | what | measured | beside | judged | target | |\n|---|---|---:|---:|---:|---:|---|\n",
    );
    for outcome in outcomes {
        for measured in &outcome.measured {
            text.push_str(&line(outcome, measured));
        }
    }
    text
}

fn line(outcome: &Outcome, measured: &Measured) -> String {
    let Measured { metric, subject, reference } = measured;
    let mut text = String::new();
    let unit = metric.unit;
    let show = |values: &[f64]| {
        let spread = Spread::of(values.iter().copied());
        format!("{} {unit}", spread.show(decimals(spread.median)))
    };
    let beside = match reference.as_slice() {
        [] => String::new(),
        values => format!("{}: {}", outcome.beside, show(values)),
    };
    let judged = measured.judged();
    let (judged, target) = match metric.target {
        Target::RatioAtMost(most) => (format!("{} ×", judged.show(2)), format!("≤ {most} ×")),
        Target::RatioAtLeast(least) => (format!("{} ×", judged.show(2)), format!("≥ {least} ×")),
        Target::MoreByAtMost(most) => {
            (format!("+{} {unit}", judged.show(2)), format!("≤ +{most} {unit}"))
        }
        Target::AtMost(most) => (String::new(), format!("≤ {most} {unit}")),
        Target::Told => (String::new(), String::new()),
    };
    let verdict = match measured.is_met() {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "",
    };
    let (name, what) = (outcome.name, outcome.what);
    let subject = show(subject);
    // A String takes it all.
    let _ = writeln!(
        text,
        "| {name} | {what}: {} | {subject} | {beside} | {judged} | {target} | {verdict} |",
        metric.what
    );
    text
}

/// Three digits that count.
fn decimals(value: f64) -> usize {
    match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    }
}

fn row_json(outcome: &Outcome) -> Value {
    let metrics = outcome.measured.iter().map(|measured| {
        let judged = measured.judged();
        json!({
            "metric": measured.metric.what,
            "unit": measured.metric.unit,
            "target": format!("{:?}", measured.metric.target),
            "subject": measured.subject,
            "reference": measured.reference,
            "judged": { "median": judged.median, "min": judged.min, "max": judged.max },
            "met": measured.is_met(),
        })
    });
    json!({
        "row": outcome.name, "what": outcome.what, "beside": outcome.beside,
        "metrics": metrics.collect::<Vec<_>>(),
    })
}

fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |line| line.trim_start_matches([' ', '\t', ':']));
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} × {model}, Linux {}", first_line("uname", &["-r"]))
}

/// What a program says, or that it says nothing.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Metric;

    #[test]
    fn a_line_has_values_ratio_and_verdict() {
        let target = Target::RatioAtMost(1.6);
        let metric = Metric { what: "server CPU", unit: "µs", target };
        let measured = Measured { metric, subject: vec![8.0, 9.0, 8.5], reference: vec![5.0; 3] };
        let outcome =
            Outcome { name: "chat-1", what: "chat", beside: "raw relay", measured: Vec::new() };
        assert_eq!(
            line(&outcome, &measured),
            "| chat-1 | chat: server CPU | 8.50 (8.00–9.00) µs | raw relay: 5.00 (5.00–5.00) µs \
             | 1.70 (1.60–1.80) × | ≤ 1.6 × | **missed** |\n"
        );
    }
}
