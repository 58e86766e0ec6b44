//! The dashboard in `deploy/` and the catalogue of metrics know the same names.

use std::collections::BTreeSet;

use jackdaw_http::METRICS;

const DASHBOARD: &str = include_str!("../../../deploy/grafana/jackdaw.json");

/// The names of metrics in the dashboard, without what histograms append.
fn names() -> BTreeSet<&'static str> {
    let words = DASHBOARD.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("xmpp_") || word.starts_with("process_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
        .collect()
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names(), known);
}
