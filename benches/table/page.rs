//! What the web page costs: how long its answers take where there are very many rows and mailboxes, and what sending notices of
//! those who look.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::queue::{NEVER, Queue, Rows};
use crate::statistics::percentile;
use crate::table::{Row, Spec, Target};
use crate::world::{Agent, FarSide, IN_FLIGHT};
use crate::{Bench, Result};

/// As long as people do not notice.
const ANSWERS: Target = Target::AtMost(200.0);
/// Requests, as rows are called after them. What stands in braces is put in from the queue.
const REQUESTS: [(&str, &str); 14] = [
    ("page, overview: p95", "overview"),
    ("page, mailboxes: p95", "mailboxes"),
    ("page, mailboxes with a text in their name: p95", "mailboxes?search=ser99"),
    ("page, newest jobs: p95", "jobs"),
    ("page, newest waiting jobs: p95", "jobs?state=pending"),
    ("page, newest failed jobs: p95", "jobs?state=failed"),
    ("page, newest sent jobs: p95", "jobs?state=sent"),
    ("page, jobs of one mailbox: p95", "jobs?mailbox=user17@contoso.com"),
    ("page, jobs of a kind of failure that there is not: p95", "jobs?error_kind=denied"),
    ("page, search by id: p95", "jobs?search={id}"),
    ("page, search by mailbox: p95", "jobs?search=user17@contoso.com"),
    ("page, search by the EventID of the oldest job, first answer: p95", "jobs?search={event_id}"),
    ("page, the same, an answer further back: p95", "jobs?search={event_id}&before={middle}"),
    ("page, one job: p95", "jobs/{id}"),
];
const WHOLE_SEARCH: Spec = Spec {
    name: "(beside) page, search by the EventID of the oldest job to its end",
    unit: "ms",
    target: Target::None,
};
const LOOKING: Spec =
    Spec { name: "agent's CPU while 8 pages look at 1,000,000 rows", unit: "% of a core", target: Target::AtMost(2.0) };
const BESIDE: Spec = Spec {
    name: "throughput while 8 pages look at 1,000,000 rows ÷ without",
    unit: "/s",
    target: Target::RatioAtLeast(0.95),
};
const OPENS_WITHIN: Duration = Duration::from_secs(60);
const PAGES: usize = 8;
const EVERY: Duration = Duration::from_secs(2);
const MAILBOXES: usize = 10_000;
const TIMED: usize = 9_000;

pub async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let specs = REQUESTS.map(|(name, _)| Spec { name, unit: "ms", target: ANSWERS });
    if specs.iter().chain([&WHOLE_SEARCH, &LOOKING, &BESIDE]).all(|spec| !bench.wants(spec)) {
        return Ok(Vec::new());
    }
    let home = bench.home()?;
    let queue = Queue::create(home.path()).await?;
    let all = bench.sizes.waiting;
    queue.fill_finished_for(all * 6 / 10, MAILBOXES).await?;
    queue.fill_failed(all / 10).await?;
    let later = Rows { mailboxes: MAILBOXES, due: Some(NEVER), ..Rows::due(all * 3 / 10) };
    queue.fill(&later).await?;
    let mut rows = answers(bench, &queue, &specs, all).await?;
    let mut pairs = Vec::new();
    for _ in 0..bench.sizes.long_pairs {
        queue.fill(&Rows { mailboxes: MAILBOXES, ..Rows::due(TIMED + 1000) }).await?;
        let looked_at = pace(bench, &queue, PAGES).await?;
        queue.fill(&Rows { mailboxes: MAILBOXES, ..Rows::due(TIMED + 1000) }).await?;
        pairs.push((looked_at, pace(bench, &queue, 0).await?));
    }
    rows.push(BESIDE.of_pairs(
        &pairs,
        format!("{TIMED} events beside {all} rows of {MAILBOXES} mailboxes, a look every {EVERY:?}"),
    ));
    Ok(rows)
}

async fn answers(bench: &Bench, queue: &Queue, specs: &[Spec], all: usize) -> Result<Vec<Row>> {
    let sandbox = FarSide::sandbox(bench, json!({"limits": false})).await?;
    let (settings, page) = page()?;
    let agent = Agent::start(queue, &sandbox, &settings).await?;
    let event_id: String = queue.text("SELECT event_id FROM jobs WHERE id = 1").await?;
    until_open(bench, &format!("{page}overview")).await?;
    let mut rows = Vec::new();
    for (spec, (_, path)) in specs.iter().zip(REQUESTS) {
        let path =
            path.replace("{event_id}", &event_id).replace("{id}", "17").replace("{middle}", &(all / 2).to_string());
        let mut took = Vec::new();
        for _ in 0..bench.sizes.pickups.min(100) {
            let begin = Instant::now();
            get(bench, &format!("{page}{path}")).await?;
            took.push(begin.elapsed().as_secs_f64() * 1000.0);
        }
        let note = format!("p50 {:.1} ms; {all} rows, {MAILBOXES} mailboxes", percentile(&took, 0.5));
        rows.push(spec.of(percentile(&took, 0.95), None, note));
    }
    let (begin, mut before, mut asked) = (Instant::now(), Value::Null, 0);
    loop {
        let on = before.as_i64().map(|id| format!("&before={id}")).unwrap_or_default();
        let found: Value = serde_json::from_str(&get(bench, &format!("{page}jobs?search={event_id}{on}")).await?)?;
        asked += 1;
        before = found["searched"]["before"].clone();
        if before.is_null() {
            break;
        }
    }
    rows.push(WHOLE_SEARCH.of(begin.elapsed().as_secs_f64() * 1000.0, None, format!("{asked} answers")));
    let used = agent.cpu_seconds()?;
    let lasting = Duration::from_secs(bench.sizes.idle_s);
    let looking = look(bench, &page, PAGES);
    tokio::time::sleep(lasting).await;
    drop(looking);
    let share = (agent.cpu_seconds()? - used) / lasting.as_secs_f64() * 100.0;
    rows.push(LOOKING.of(share, None, format!("over {} s, each page every {EVERY:?}", lasting.as_secs())));
    agent.stop().await?;
    Ok(rows)
}

/// Settings of a page at a free port, and where its API is.
fn page() -> Result<(String, String)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    Ok((format!("[web]\nlisten = \"{address}\"\n"), format!("http://{address}/api/v1/")))
}

/// The page is served before the queue is open, and says so.
async fn until_open(bench: &Bench, url: &str) -> Result<()> {
    let until = Instant::now() + OPENS_WITHIN;
    while let Err(error) = get(bench, url).await {
        if Instant::now() >= until {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn get(bench: &Bench, url: &str) -> Result<String> {
    let answer = bench.http.get(url).send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    if status.is_success() { Ok(text) } else { Err(format!("{url}: {status} {text}").into()) }
}

/// So many pages look until this is dropped.
fn look(bench: &Bench, page: &str, pages: usize) -> JoinSet<()> {
    let mut looking = JoinSet::new();
    for _ in 0..pages {
        let (http, url) = (bench.http.clone(), format!("{page}overview"));
        looking.spawn(async move {
            let mut every = tokio::time::interval(EVERY);
            loop {
                every.tick().await;
                // A page that gets no answer asks again.
                if let Ok(answer) = http.get(&url).send().await {
                    drop(answer.bytes().await);
                }
            }
        });
    }
    looking
}

/// Events per second while so many pages look.
async fn pace(bench: &Bench, queue: &Queue, pages: usize) -> Result<f64> {
    let sandbox = FarSide::sandbox(bench, json!({"limits": false})).await?;
    let (settings, page) = page()?;
    let mark = queue.mark().await?;
    let looking = look(bench, &page, pages);
    let agent = Agent::start(queue, &sandbox, &settings).await?;
    sandbox.until_events(TIMED + IN_FLIGHT).await?;
    drop(looking);
    agent.stop().await?;
    queue.check_one_event_each(&mark, &sandbox).await?;
    queue.flow_since(&mark).await?.rate_until(TIMED)
}
