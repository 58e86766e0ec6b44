//! One row of the table: what is measured, beside what, and what is asked of it.

use crate::options::Options;
use crate::probe::Probe;
use crate::spread::Spread;
use crate::{Result, process};

/// What is asked of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// At most so many times the reference.
    RatioAtMost(f64),
    /// At least so many times the reference.
    RatioAtLeast(f64),
    /// At most so much more than the reference.
    MoreByAtMost(f64),
    /// At most this.
    AtMost(f64),
    /// It is only told.
    Told,
}

/// One of the values a probe gives.
#[derive(Debug, Clone)]
pub struct Metric {
    /// What it is, beside the row.
    pub what: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What is asked of it.
    pub target: Target,
}

/// Subject and reference.
pub struct Sides {
    /// What is measured.
    pub subject: Box<dyn Probe>,
    /// What it is compared with, if with anything.
    pub reference: Option<Box<dyn Probe>>,
}

/// Starts what a row needs.
pub type Prepare = Box<dyn Fn(&Options) -> Result<Sides>>;

/// A row.
pub struct Row {
    /// For the command line.
    pub name: &'static str,
    /// What is done.
    pub what: &'static str,
    /// What the reference is.
    pub beside: &'static str,
    /// Whether one measurement says it all.
    pub once: bool,
    /// What the probes give, in their order.
    pub metrics: Vec<Metric>,
    /// Starts what is needed.
    pub prepare: Prepare,
}

/// A metric with its values.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Which.
    pub metric: Metric,
    /// The subject's values, run by run.
    pub subject: Vec<f64>,
    /// The reference's, in the same order; none without a reference.
    pub reference: Vec<f64>,
}

/// A row with its values.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// As in the row.
    pub name: &'static str,
    /// As in the row.
    pub what: &'static str,
    /// As in the row.
    pub beside: &'static str,
    /// One per metric.
    pub measured: Vec<Measured>,
}

impl Measured {
    /// What the target is about: the value itself, or how it stands to the reference, run by run.
    pub fn judged(&self) -> Spread {
        let pairs = self.subject.iter().zip(&self.reference);
        match self.metric.target {
            Target::RatioAtMost(_) | Target::RatioAtLeast(_) => {
                Spread::of(pairs.map(|(subject, reference)| subject / reference))
            }
            Target::MoreByAtMost(_) => {
                Spread::of(pairs.map(|(subject, reference)| subject - reference))
            }
            Target::AtMost(_) | Target::Told => Spread::of(self.subject.iter().copied()),
        }
    }

    /// Whether the median is as asked; nothing if nothing is.
    pub fn is_met(&self) -> Option<bool> {
        let median = self.judged().median;
        match self.metric.target {
            Target::RatioAtMost(most) | Target::MoreByAtMost(most) | Target::AtMost(most) => {
                Some(median <= most)
            }
            Target::RatioAtLeast(least) => Some(median >= least),
            Target::Told => None,
        }
    }
}

/// Measures subject and reference in turns.
pub fn measure(row: &Row, options: &Options) -> Result<Outcome> {
    let mut sides = (row.prepare)(options)?;
    let measured = row.metrics.iter().cloned().map(|metric| Measured {
        metric,
        subject: Vec::new(),
        reference: Vec::new(),
    });
    let mut measured: Vec<Measured> = measured.collect();
    let runs = if row.once { 1 } else { options.runs() };
    for run in 1..=runs {
        let began = process::now();
        let subject = sides.subject.measure(options.duration())?;
        for (measured, value) in measured.iter_mut().zip(&subject) {
            measured.subject.push(*value);
        }
        if let Some(reference) = &mut sides.reference {
            let values = reference.measure(options.duration())?;
            for (measured, value) in measured.iter_mut().zip(&values) {
                measured.reference.push(*value);
            }
        }
        eprintln!("  run {run}: {:.1} s", began.elapsed().as_secs_f64());
    }
    Ok(Outcome { name: row.name, what: row.what, beside: row.beside, measured })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(target: Target, subject: &[f64], reference: &[f64]) -> Measured {
        let metric = Metric { what: "", unit: "µs", target };
        Measured { metric, subject: subject.to_vec(), reference: reference.to_vec() }
    }

    #[test]
    fn a_ratio_is_taken_run_by_run() {
        // The machine was slow in the second run; the ratio does not mind.
        let row = measured(Target::RatioAtMost(1.5), &[6.0, 14.0, 7.0], &[5.0, 10.0, 5.0]);
        assert_eq!(row.judged().median, 1.4);
        assert_eq!(row.is_met(), Some(true));
    }

    #[test]
    fn a_target_that_is_missed_says_so() {
        assert_eq!(measured(Target::MoreByAtMost(2.5), &[9.0], &[6.0]).is_met(), Some(false));
        assert_eq!(measured(Target::RatioAtLeast(0.7), &[6.0], &[10.0]).is_met(), Some(false));
        assert_eq!(measured(Target::Told, &[6.0], &[]).is_met(), None);
    }
}
