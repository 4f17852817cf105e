//! From numbers to Prometheus' text: a page is filled family by family, each with its help and its samples. Knows no
//! metric.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use crate::worker::Distribution;

/// Before every name that is not common to all programs.
const PREFIX: &str = "event_sender_";

/// Names and values of labels.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// What is shown, in order.
#[derive(Default)]
pub(super) struct Page(Vec<MetricFamily>);

impl Page {
    /// A number that only grows.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters(name, help, [(&[] as Labels<'_>, value)]);
    }

    /// The same by label.
    pub(super) fn counters<'a>(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels<'a>, u64)>) {
        let metric = |(labels, value): (Labels<'_>, u64)| {
            let mut counter = Counter::default();
            counter.set_value(value as f64);
            let mut metric = Metric::from_label(pairs(labels));
            metric.set_counter(counter);
            metric
        };
        self.family(&format!("{PREFIX}{name}"), help, MetricType::COUNTER, values.into_iter().map(metric).collect());
    }

    /// A number that goes up and down. One that is not known is not shown.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        self.gauges(name, help, value.into().map(|value| (&[] as Labels<'_>, value)));
    }

    /// The same by label.
    pub(super) fn gauges<'a>(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels<'a>, f64)>) {
        self.family(&format!("{PREFIX}{name}"), help, MetricType::GAUGE, gauges(values));
    }

    /// A gauge whose name is common to all programs.
    pub(super) fn common_gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, help, MetricType::GAUGE, gauges([(&[] as Labels<'_>, value)]));
    }

    /// Durations by class, by label.
    pub(super) fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels<'a>, Distribution)>,
    ) {
        let metric = |(labels, value): (Labels<'_>, Distribution)| {
            let mut histogram = Histogram::default();
            histogram.set_bucket(value.at_most.into_iter().map(bucket).collect());
            histogram.set_sample_count(value.count);
            histogram.set_sample_sum(value.sum);
            let mut metric = Metric::from_label(pairs(labels));
            metric.set_histogram(histogram);
            metric
        };
        self.family(&format!("{PREFIX}{name}"), help, MetricType::HISTOGRAM, values.into_iter().map(metric).collect());
    }

    /// As Prometheus reads it.
    ///
    /// # Errors
    /// A name is none.
    pub(super) fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.0, &mut text)?;
        Ok(text)
    }

    /// A family without samples is left out: there is nothing to say about it now.
    fn family(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn gauges<'a>(values: impl IntoIterator<Item = (Labels<'a>, f64)>) -> Vec<Metric> {
    let metric = |(labels, value): (Labels<'_>, f64)| {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_gauge(gauge);
        metric
    };
    values.into_iter().map(metric).collect()
}

fn bucket((upper_bound, cumulative_count): (f64, u64)) -> Bucket {
    let mut bucket = Bucket::default();
    bucket.set_upper_bound(upper_bound);
    bucket.set_cumulative_count(cumulative_count);
    bucket
}

fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.counter("things_total", "Things, \"all\" of them.", 3);
        page.gauges("jobs", "Jobs.", [(&[("state", "sent")] as Labels<'_>, 2.0), (&[("state", "a\"b\\c\nd")], 0.5)]);
        page.gauge("unknown", "Not known.", None);
        let took = Distribution { at_most: vec![(0.5, 1), (1.0, 2)], count: 3, sum: 4.25 };
        page.histograms("took_seconds", "How long.", [(&[("kind", "create")] as Labels<'_>, took)]);
        let text = String::from_utf8(page.text().unwrap()).unwrap();
        assert_eq!(
            text,
            r#"# HELP event_sender_things_total Things, "all" of them.
# TYPE event_sender_things_total counter
event_sender_things_total 3
# HELP event_sender_jobs Jobs.
# TYPE event_sender_jobs gauge
event_sender_jobs{state="sent"} 2
event_sender_jobs{state="a\"b\\c\nd"} 0.5
# HELP event_sender_took_seconds How long.
# TYPE event_sender_took_seconds histogram
event_sender_took_seconds_bucket{kind="create",le="0.5"} 1
event_sender_took_seconds_bucket{kind="create",le="1"} 2
event_sender_took_seconds_bucket{kind="create",le="+Inf"} 3
event_sender_took_seconds_sum{kind="create"} 4.25
event_sender_took_seconds_count{kind="create"} 3
"#
        );
    }
}
