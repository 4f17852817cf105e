//! The alert rules and the dashboard of `docs/operate/monitoring/`: every metric, label and value they speak of is one that the
//! real program answers with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use event_sender::sandbox::Fault;
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

use crate::bed::{Bed, row};
use crate::cluster::Cluster;
use crate::ground::Server;
use crate::scrape::{Monitor, Scrape};
use crate::several::fleet::Fleet;

/// Labels that Prometheus adds itself.
const ADDED: [&str; 2] = ["job", "instance"];

fn file(name: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operate/monitoring").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Those that only an agent has that shares its queue. Where there is no PostgreSQL nobody tells them.
const SHARED: [&str; 6] = [
    "event_sender_agents",
    "event_sender_owned_mailboxes",
    "event_sender_lease_margin_seconds",
    "event_sender_lease_lapses_total",
    "event_sender_agents_buried_total",
    "event_sender_late_answers_total",
];

/// A scrape in which every metric has its samples: of an agent that has its queue for itself, and one that shares it.
async fn scrape() -> Scrape {
    let mut all = of_one_alone().await;
    if let Some(shared) = of_one_that_shares().await {
        let mut only: BTreeSet<String> =
            shared.types.keys().filter(|name| !all.types.contains_key(*name)).cloned().collect();
        all.samples.extend(shared.samples.into_iter().filter(|(name, ..)| only.contains(name)));
        all.types.extend(shared.types.into_iter().filter(|(name, _)| only.contains(name)));
        SHARED.iter().for_each(|name| assert!(only.remove(*name), "{name}"));
        assert!(only.is_empty(), "{only:?}");
    }
    all
}

async fn of_one_that_shares() -> Option<Scrape> {
    let mut fleet = Fleet::new(Server::Whole, 10).await?;
    fleet.bed.set("monitor.listen", "127.0.0.1:0");
    let agent = fleet.begun("a").await;
    let monitor = Monitor::of(&fleet.bed, &agent).await;
    let renewed = async |_: &Fleet| monitor.scrape().await.find("event_sender_lease_margin_seconds", &[]).is_some();
    fleet.until("its lease is renewed", renewed).await;
    let scrape = monitor.scrape().await;
    agent.stop().await.expect(0);
    Some(scrape)
}

async fn of_one_alone() -> Scrape {
    let mut bed = Bed::new().await;
    bed.set("monitor.listen", "127.0.0.1:0");
    bed.set("auth.secret_expires", "2999-01-01");
    bed.sandbox().script(Fault::lost_reply());
    let agent = bed.run();
    let monitor = Monitor::of(&bed, &agent).await;
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    monitor.until(&bed, "event_sender_jobs", &[("state", "sent")], 1.0).await
}

/// A metric in an expression, and its matchers as name, operator and value.
type Selector = (String, Vec<(String, String, String)>);

/// The metrics of an expression, and the labels it groups by.
fn parse(expression: &str) -> (Vec<Selector>, BTreeSet<String>) {
    let (mut selectors, mut grouped, mut rest) = (Vec::new(), BTreeSet::new(), expression);
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    while let Some(start) = rest.find(|c: char| is_word(c) || c == '"' || c == '{') {
        rest = &rest[start..];
        assert!(!rest.starts_with(['"', '{']), "text or labels of nothing: {rest} in {expression}");
        let (word, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
        rest = after;
        if ["by", "on", "without", "ignoring"].contains(&word) {
            let list = after.trim_start().strip_prefix('(').and_then(|list| list.split_once(')')).expect(expression);
            grouped.extend(list.0.split(',').map(|label| label.trim().to_owned()));
            rest = list.1;
        } else if word == "up" || word.starts_with("process_") || word.starts_with("event_sender") {
            let mut matchers = Vec::new();
            if let Some((labels, after)) =
                after.strip_prefix('{').map(|labels| labels.split_once('}').expect(expression))
            {
                matchers = labels.split(',').map(|matcher| matcher_of(matcher.trim())).collect();
                rest = after;
            }
            selectors.push((word.to_owned(), matchers));
        }
    }
    assert!(!selectors.is_empty(), "an expression without a metric: {expression}");
    (selectors, grouped)
}

fn matcher_of(matcher: &str) -> (String, String, String) {
    let at = matcher.find(['=', '!']).expect(matcher);
    let (name, rest) = matcher.split_at(at);
    let at = rest.find('"').expect(matcher);
    let (operator, value) = rest.split_at(at);
    (name.trim().to_owned(), operator.trim().to_owned(), value.trim_matches('"').to_owned())
}

fn check(expression: &str, scrape: &Scrape) {
    let (selectors, grouped) = parse(expression);
    let mut known: BTreeSet<&str> = ADDED.into_iter().collect();
    for (name, matchers) in &selectors {
        // Prometheus' own.
        let is_told = scrape.label_values(name, "").is_some();
        if name == "up" || !is_told && SHARED.contains(&name.as_str()) && Cluster::get().is_none() {
            continue;
        }
        assert!(scrape.label_values(name, "").is_some(), "there is no metric {name}: {expression}");
        let labels = scrape.samples.iter().filter(|(of, ..)| of == name).flat_map(|(_, labels, _)| labels.keys());
        known.extend(labels.map(String::as_str));
        for (label, operator, value) in matchers.iter().filter(|(label, ..)| !ADDED.contains(&label.as_str())) {
            let values = scrape.label_values(name, label).unwrap_or_default();
            for value in value.split('|').filter(|_| operator.starts_with(['=', '!'])) {
                assert!(values.contains(value), "{name} has no {label}=\"{value}\", but {values:?}: {expression}");
            }
        }
    }
    for label in &grouped {
        assert!(known.contains(label.as_str()), "none of its metrics has {label}: {expression}");
    }
}

fn text<'a>(yaml: &'a Yaml, key: &str) -> &'a str {
    yaml[key].as_str().unwrap_or_else(|| panic!("no {key} in {yaml:?}"))
}

fn alerts() -> Vec<Yaml> {
    let rules = YamlLoader::load_from_str(&file("alerts.yml")).unwrap();
    let groups = rules[0]["groups"].as_vec().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_vec().unwrap().clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_alert_rules_speak_of_metrics_there_are() {
    let scrape = scrape().await;
    let alerts = alerts();
    assert!(alerts.len() > 10);
    for alert in &alerts {
        check(text(alert, "expr"), &scrape);
        assert!(["critical", "warning", "info"].contains(&text(&alert["labels"], "severity")), "{alert:?}");
        for part in ["summary", "description"] {
            assert!(text(&alert["annotations"], part).len() > 10, "{alert:?}");
        }
    }
}

#[test]
fn the_page_beside_the_alert_rules_explains_each_of_them_and_no_other() {
    let page = file("README.md");
    let explained: BTreeSet<&str> =
        page.split('`').filter(|word| word.starts_with("EventSender") && !word.contains(' ')).collect();
    let alerts = alerts();
    let named: BTreeSet<&str> = alerts.iter().map(|alert| text(alert, "alert")).collect();
    assert_eq!(named.len(), alerts.len(), "no name is used twice");
    assert_eq!(explained, named);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_dashboard_shows_metrics_there_are() {
    let dashboard: Value = serde_json::from_str(&file("dashboard.json")).unwrap();
    assert_eq!(dashboard["uid"], "event-sender");
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: BTreeSet<&str> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(["datasource", "job", "instance"]));
    let scrape = scrape().await;
    let mut expressions: Vec<&str> =
        dashboard["annotations"]["list"].as_array().unwrap().iter().map(|one| one["expr"].as_str().unwrap()).collect();
    let mut numbers = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(numbers.insert(panel["id"].as_i64().unwrap()), "a number twice: {}", panel["title"]);
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
        let targets = panel["targets"].as_array().unwrap();
        expressions.extend(targets.iter().map(|target| target["expr"].as_str().unwrap()));
    }
    assert!(expressions.len() > 30);
    for expression in &expressions {
        check(expression, &scrape);
        assert!(expression.contains(r#"job=~"$job", instance=~"$instance""#), "not of the chosen agents: {expression}");
    }
    // What is measured and shown nowhere is of no use to anybody.
    let shown: String = expressions.concat() + file("alerts.yml").as_str();
    for name in scrape.types.keys().filter(|name| *name != "event_sender_build_info") {
        assert!(shown.contains(name.as_str()), "{name} is on no panel and in no rule");
    }
}

#[test]
fn a_slip_in_an_expression_is_noticed() {
    let (selectors, grouped) =
        parse(r#"sum by (le, kind) (rate(event_sender_x_bucket{kind="a|b", job=~"$job"}[5m])) > 0"#);
    assert_eq!(selectors.len(), 1);
    let matchers = &selectors[0].1;
    assert_eq!(matchers[0], ("kind".into(), "=".into(), "a|b".into()));
    assert_eq!(matchers[1], ("job".into(), "=~".into(), "$job".into()));
    assert_eq!(grouped, BTreeSet::from(["le".to_owned(), "kind".to_owned()]));
}
