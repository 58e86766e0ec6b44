//! What the server counts, as it tells on `/metrics`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{Error, Result};

/// The lines of one scrape.
pub struct Metrics(String);

impl Metrics {
    /// Asks.
    pub fn scrape(http: SocketAddr) -> Result<Metrics> {
        let mut tcp = TcpStream::connect(http).map_err(Error::io("connecting to /metrics"))?;
        tcp.set_read_timeout(Some(Duration::from_secs(10))).map_err(Error::io("/metrics"))?;
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        tcp.write_all(request.as_bytes()).map_err(Error::io("asking for /metrics"))?;
        let mut text = String::new();
        tcp.read_to_string(&mut text).map_err(Error::io("reading /metrics"))?;
        Ok(Metrics(text))
    }

    /// The sum of a metric over all its labels, or over those that contain `label`.
    pub fn labelled(&self, name: &str, label: &str) -> f64 {
        let values = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let is_it = rest.starts_with(['{', ' ']) && rest.contains(label);
            rest.rsplit(' ').next().filter(|_| is_it)?.parse::<f64>().ok()
        });
        values.sum()
    }

    /// The lines of a metric that are not zero.
    pub fn not_zero(&self, name: &str) -> Vec<&str> {
        let is_it = |line: &&str| line.starts_with(name) && !line.ends_with(" 0");
        self.0.lines().filter(is_it).collect()
    }

    /// The sum of a metric over all its labels.
    pub fn sum(&self, name: &str) -> f64 {
        self.labelled(name, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_no_other_metric() {
        let text = "# TYPE a gauge\na{x=\"1\"} 2\na{x=\"2\"} 3.5\na_total 7\nb 1\n";
        let metrics = Metrics(text.into());
        assert_eq!(metrics.sum("a"), 5.5);
        assert_eq!(metrics.labelled("a", "x=\"2\""), 3.5);
        assert_eq!(metrics.sum("b"), 1.0);
        assert_eq!(metrics.sum("c"), 0.0);
    }
}
