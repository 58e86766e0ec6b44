//! The registry: described once, filled at scrape time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Key, KeyName, Label, Level, Metadata, Recorder as _, SharedString};
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::catalogue::{Kind, METRICS, names};
use crate::process;

/// Upper bounds of the commit latency's buckets: from a warm disk to one that is dying.
const COMMIT_LATENCY_BUCKETS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// How often histogram samples are folded into their buckets when nobody scrapes; they are buffered
/// until then.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

static METADATA: Metadata<'static> = Metadata::new("jackdaw", Level::INFO, None);

type Collector = Box<dyn Fn(&mut Sample<'_>) + Send + Sync>;

/// The registry of metrics. Clones are the same registry.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// Locked by a scrape and at registration, never by the hot path.
    collectors: Mutex<Vec<Collector>>,
}

impl Metrics {
    /// An empty registry with every metric described and this process' own metrics registered.
    pub fn new() -> Result<Metrics, BuildError> {
        let latency = Matcher::Full(names::COMMIT_LATENCY.into());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(latency, COMMIT_LATENCY_BUCKETS)?
            .build_recorder();
        describe_all(&recorder);
        let handle = recorder.handle();
        let inner = Inner { recorder, handle, collectors: Mutex::default() };
        let metrics = Metrics { inner: Arc::new(inner) };
        metrics.collect(process::collect);
        Ok(metrics)
    }

    /// Registers a closure that copies somebody's counters into the registry. It runs once per
    /// scrape, on a thread of the control plane, and must not block.
    pub fn collect(&self, collector: impl Fn(&mut Sample<'_>) + Send + Sync + 'static) {
        self.collectors().push(Box::new(collector));
    }

    /// Where the store records how long a commit took, in seconds.
    pub fn commit_latency(&self) -> metrics::Histogram {
        self.inner.recorder.register_histogram(&Key::from_name(names::COMMIT_LATENCY), &METADATA)
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut sample = Sample { recorder: &self.inner.recorder };
        for collector in self.collectors().iter() {
            collector(&mut sample);
        }
        self.inner.handle.render()
    }

    /// Keeps histograms small while nobody scrapes. Runs until it is dropped.
    pub async fn upkeep(self) {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            interval.tick().await;
            self.inner.handle.run_upkeep();
        }
    }

    fn collectors(&self) -> std::sync::MutexGuard<'_, Vec<Collector>> {
        // A collector that panicked has poisoned nothing: the list is only ever pushed to.
        self.inner.collectors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// One scrape, for a collector to write its counters to. Names and labels are those of
/// [`METRICS`].
pub struct Sample<'a> {
    recorder: &'a PrometheusRecorder,
}

impl Sample<'_> {
    /// A counter as it stands now. A smaller value than before is ignored: counters only grow.
    pub fn counter(
        &mut self,
        name: &'static str,
        labels: &[(&'static str, &'static str)],
        total: u64,
    ) {
        self.recorder.register_counter(&key(name, labels), &METADATA).absolute(total);
    }

    /// A gauge as it stands now.
    pub fn gauge(
        &mut self,
        name: &'static str,
        labels: &[(&'static str, &'static str)],
        value: f64,
    ) {
        self.recorder.register_gauge(&key(name, labels), &METADATA).set(value);
    }
}

/// Labels are `'static` on purpose: a label made of what a peer sent would let it fill the memory.
fn key(name: &'static str, labels: &[(&'static str, &'static str)]) -> Key {
    let labels: Vec<Label> =
        labels.iter().map(|(name, value)| Label::from_static_parts(name, value)).collect();
    Key::from_parts(name, labels)
}

fn describe_all(recorder: &PrometheusRecorder) {
    for metric in METRICS {
        let name = KeyName::from(metric.name);
        let help = SharedString::from(metric.help);
        match metric.kind {
            Kind::Counter => recorder.describe_counter(name, None, help),
            Kind::Gauge => recorder.describe_gauge(name, None, help),
            Kind::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn lines(metrics: &Metrics, name: &str) -> Vec<String> {
        metrics.render().lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    #[test]
    fn a_scrape_shows_what_the_collectors_say_then() {
        let metrics = Metrics::new().unwrap();
        let counted = Arc::new(AtomicU64::new(1));
        let reader = Arc::clone(&counted);
        metrics.collect(move |sample| {
            let total = reader.load(Ordering::Relaxed);
            let labels = [("kind", "message"), ("direction", "received")];
            sample.counter(names::STANZAS, &labels, total);
        });
        let line = |count| {
            vec![format!("xmpp_stanzas_total{{kind=\"message\",direction=\"received\"}} {count}")]
        };
        assert_eq!(lines(&metrics, names::STANZAS), line(1));
        counted.store(5, Ordering::Relaxed);
        assert_eq!(lines(&metrics, names::STANZAS), line(5));
    }

    #[test]
    fn commits_are_counted_in_buckets() {
        let metrics = Metrics::new().unwrap();
        metrics.commit_latency().record(0.002);
        let lines = lines(&metrics, names::COMMIT_LATENCY);
        assert!(lines.contains(&"xmpp_commit_latency_seconds_bucket{le=\"0.001\"} 0".into()));
        assert!(lines.contains(&"xmpp_commit_latency_seconds_bucket{le=\"0.0025\"} 1".into()));
        assert!(lines.contains(&"xmpp_commit_latency_seconds_count 1".into()));
    }

    #[test]
    fn the_process_reports_on_itself() {
        let metrics = Metrics::new().unwrap();
        let line = lines(&metrics, names::MEMORY).pop().expect("a line");
        let bytes: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(bytes > 100_000.0, "{line}");
    }
}
