//! What `/metrics` answers, read strictly: Prometheus' text format 0.0.4, and what its authors ask of names.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

use crate::bed::Bed;
use crate::process::Process;

pub type Labels = BTreeMap<String, String>;

/// The monitor of a running agent.
pub struct Monitor {
    address: String,
    http: reqwest::Client,
}

/// One answer of `/metrics`.
#[derive(Debug, Default)]
pub struct Scrape {
    pub types: BTreeMap<String, String>,
    /// Names with all their suffixes.
    pub samples: Vec<(String, Labels, f64)>,
}

impl Monitor {
    /// Waits until the agent says where it listens.
    pub async fn of(bed: &Bed, agent: &Process) -> Self {
        let line = bed.until_said(agent, "monitor listening").await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { address: line["address"].as_str().unwrap().to_owned(), http }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Status, type and text of an answer.
    pub async fn get(&self, path: &str) -> (u16, String, String) {
        let answer = self.http.get(format!("http://{}{path}", self.address)).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), kind, answer.text().await.unwrap())
    }

    pub async fn readiness(&self) -> (u16, Value) {
        let (status, kind, text) = self.get("/readyz").await;
        assert_eq!(kind, "application/json");
        (status, serde_json::from_str(&text).unwrap())
    }

    /// What its reasons say, `what` of each.
    pub async fn reasons(&self) -> Vec<String> {
        let (status, body) = self.readiness().await;
        let reasons: Vec<String> = body["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reason| reason["what"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(
            (status, body["ready"].as_bool()),
            (if reasons.is_empty() { 200 } else { 503 }, Some(reasons.is_empty()))
        );
        reasons
    }

    pub async fn scrape(&self) -> Scrape {
        let (status, kind, text) = self.get("/metrics").await;
        assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
        Scrape::read(&text)
    }

    /// Waits until a metric has this value.
    pub async fn until(&self, bed: &Bed, name: &str, labels: &[(&str, &str)], value: f64) -> Scrape {
        let look = async || Some(self.scrape().await).filter(|scrape| scrape.find(name, labels) == Some(value));
        bed.wait(&format!("{name}{labels:?} is {value}"), look).await
    }
}

impl Scrape {
    fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        let (mut family, mut helped, mut seen) = (String::new(), String::new(), HashSet::new());
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect(line);
                assert!(help.len() > 10 || help.ends_with('.'), "{line}");
                helped = name.to_owned();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect(line);
                assert!(
                    name == helped && name.starts_with("event_sender_") || name == "process_start_time_seconds",
                    "{line}"
                );
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(scrape.types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
                family = name.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').expect(line);
                assert!(seen.insert(series.to_owned()), "twice: {line}");
                let (name, labels) = match series.split_once('{') {
                    Some((name, labels)) => (name, read_labels(labels.strip_suffix('}').expect(line))),
                    None => (series, Labels::new()),
                };
                let suffix = name.strip_prefix(family.as_str()).expect(line);
                let allowed: &[&str] =
                    if scrape.types[&family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(allowed.contains(&suffix), "{line}");
                let value: f64 = value.parse().expect(line);
                assert!(value.is_finite() && value >= 0.0, "{line}");
                scrape.samples.push((name.to_owned(), labels, value));
            }
        }
        scrape.check_histograms();
        scrape
    }

    /// Every bucket holds those before it, and the last one all.
    fn check_histograms(&self) {
        for (name, labels, count) in self.samples.iter().filter(|(name, ..)| name.ends_with("_count")) {
            let Some(family) = name.strip_suffix("_count").filter(|family| self.types.contains_key(*family)) else {
                continue;
            };
            let bucket = format!("{family}_bucket");
            let of_series = |(name, of, _): &&(String, Labels, f64)| {
                let mut of = of.clone();
                *name == bucket && of.remove("le").is_some() && of == *labels
            };
            let counts: Vec<f64> = self.samples.iter().filter(of_series).map(|(.., value)| *value).collect();
            assert!(
                counts.len() > 5 && counts.is_sorted() && counts.last() == Some(count),
                "{name} {labels:?}: {counts:?}"
            );
        }
    }

    /// The sample with exactly these labels.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: Labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.iter().find(|(of, with, _)| of == name && *with == labels).map(|(.., value)| *value)
    }

    /// The same where there must be one.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("no {name}{labels:?} in {:#?}", self.samples))
    }

    /// All samples of a name together.
    pub fn sum(&self, name: &str) -> f64 {
        self.samples.iter().filter(|(of, ..)| of == name).map(|(.., value)| value).sum()
    }

    /// The values a label of this metric has; none if there is no such metric.
    pub fn label_values(&self, name: &str, label: &str) -> Option<BTreeSet<&str>> {
        let mut samples = self.samples.iter().filter(|(of, ..)| of == name).peekable();
        samples.peek()?;
        Some(samples.filter_map(|(_, labels, _)| labels.get(label).map(String::as_str)).collect())
    }
}

/// No value of ours has anything in it that would have to be escaped.
fn read_labels(text: &str) -> Labels {
    assert!(!text.contains('\\'), "{text}");
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').expect(pair);
        (name.to_owned(), value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).expect(pair).to_owned())
    };
    text.split(',').map(pair).collect()
}
