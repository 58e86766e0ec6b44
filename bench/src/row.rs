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
    /// How many pieces a run is cut into. Subject and reference take turns piece by piece, and the
    /// run's value is the median: what befalls fewer than half of the pieces does not show.
    pub windows: u32,
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
        let (mut subject, mut reference) = (Vec::new(), Vec::new());
        for _ in 0..row.windows {
            let duration = options.duration() / row.windows;
            subject.push(sides.subject.measure(duration)?);
            if let Some(probe) = &mut sides.reference {
                reference.push(probe.measure(duration)?);
            }
        }
        for (nth, measured) in measured.iter_mut().enumerate() {
            measured.subject.extend(middle(&subject, nth));
            measured.reference.extend(middle(&reference, nth));
        }
        eprintln!("  run {run}: {:.1} s", began.elapsed().as_secs_f64());
    }
    Ok(Outcome { name: row.name, what: row.what, beside: row.beside, measured })
}

/// The median of what the windows of a run gave for the metric `nth`, if they gave any.
fn middle(windows: &[Vec<f64>], nth: usize) -> Option<f64> {
    let values: Vec<f64> = windows.iter().filter_map(|values| values.get(nth).copied()).collect();
    (!values.is_empty()).then(|| Spread::of(values).median)
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
    fn what_befalls_few_windows_of_a_run_does_not_show() {
        let windows = [vec![9.0, 100.0], vec![9.1, 1.0], vec![30.0, 1.1]];
        assert_eq!(middle(&windows, 0), Some(9.1));
        assert_eq!(middle(&windows, 1), Some(1.1));
        assert_eq!(middle(&windows, 2), None, "no such metric");
    }

    #[test]
    fn a_target_that_is_missed_says_so() {
        assert_eq!(measured(Target::MoreByAtMost(2.5), &[9.0], &[6.0]).is_met(), Some(false));
        assert_eq!(measured(Target::RatioAtLeast(0.7), &[6.0], &[10.0]).is_met(), Some(false));
        assert_eq!(measured(Target::Told, &[6.0], &[]).is_met(), None);
    }
}
