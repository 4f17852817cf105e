//! Declares metrics in a registry of Prometheus, under this program's namespace. A metric is declared where it is counted
//! and fed by its handle: an addition to an atomic number, no lock, no lookup of labels.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    Result,
};

/// Before every name that is not common to all programs.
const NAMESPACE: &str = "event_sender";

/// Upper bounds of all durations, in seconds. A longer one is counted beyond the last.
const DURATIONS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Metrics that are shown together.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Registry);

impl Metrics {
    /// # Errors
    ///
    /// The name is taken or not a name, as for every metric here.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.registered(IntCounter::with_opts(opts(name, help))?)
    }

    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.registered(IntCounterVec::new(opts(name, help), labels)?)
    }

    pub fn level(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.registered(IntGauge::with_opts(opts(name, help))?)
    }

    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge> {
        self.registered(Gauge::with_opts(opts(name, help))?)
    }

    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec> {
        self.registered(GaugeVec::new(opts(name, help), labels)?)
    }

    /// A gauge whose name is common to all programs.
    pub fn common_gauge(&self, name: &str, help: &str) -> Result<Gauge> {
        self.registered(Gauge::new(name, help)?)
    }

    pub fn durations(&self, name: &str, help: &str) -> Result<Histogram> {
        self.registered(Histogram::with_opts(durations(name, help))?)
    }

    pub fn durations_by(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec> {
        self.registered(HistogramVec::new(durations(name, help), labels)?)
    }

    /// All of them as they are now, by name. A family without samples is left out.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.0.gather()
    }

    fn registered<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(NAMESPACE)
}

fn durations(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::from(opts(name, help)).buckets(DURATIONS.to_vec())
}
