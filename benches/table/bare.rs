//! The baseline: the same requests by the same HTTP client, and nothing else. A process of its own with one thread, like the
//! agent. It reads the rows from a filled queue and encodes them with the program's own encoder before the clock starts; then
//! it sends, reads each answer to its end and takes the id from it. An event that is to be changed is read first, as the agent
//! does it. It knows no lanes, no settling and no failures; as the floor it keeps a ledger beside.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use event_sender::graph::{GraphBase, preview};
use event_sender::http::{NetworkSettings, http_client};
use event_sender::job::JobInput;
use event_sender::sandbox;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use sqlx::{ConnectOptions, FromRow};
use tokio::task::JoinSet;

use crate::Result;
use crate::ledger::Ledger;
use crate::process::{CpuTime, Process};
use crate::queue::Queue;
use crate::world::FarSide;

/// The arguments of the process.
#[derive(clap::Args)]
pub struct BareLoop {
    url: String,
    queue: PathBuf,
    in_flight: usize,
    /// HTTP/2, all requests on one connection, instead of the program's own choice
    #[arg(long)]
    http2: bool,
    /// Where each row is written down as claimed before its request, and as sent after it
    #[arg(long)]
    ledger: Option<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Bare {
    pub sent: usize,
    /// From the first request to the last answer.
    seconds: f64,
    /// To the answer after which fewer were left than may be in flight.
    seconds_to_tail: f64,
    in_flight: usize,
    cpu_seconds: f64,
}

impl Bare {
    /// Events per second, all of them.
    pub fn rate(&self) -> f64 {
        self.sent as f64 / self.seconds
    }

    /// Events per second while all slots were in use.
    pub fn full_rate(&self) -> f64 {
        (self.sent - self.in_flight) as f64 / self.seconds_to_tail
    }

    pub fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.sent as f64
    }
}

/// Sends the waiting rows of the queue, which stays as it is.
pub async fn run(queue: &Queue, sandbox: &FarSide, in_flight: usize, way: Way) -> Result<Bare> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bare-loop").arg(sandbox.url()).arg(queue.path()).arg(in_flight.to_string());
    match way {
        Way::Own => {}
        Way::Http2 => {
            command.arg("--http2");
        }
        Way::Recorded => {
            command.arg("--ledger").arg(queue.path().with_file_name("ledger.db"));
        }
    }
    let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    if !process.end().await?.success() {
        return Err("the bare loop failed".into());
    }
    // One line: the pipe has held it.
    let mut line = String::new();
    process.child().stdout.take().ok_or("the bare loop has no output")?.read_to_string(&mut line)?;
    let bare: Bare = serde_json::from_str(&line)?;
    let events = sandbox.events().await?;
    if events != bare.sent as u64 {
        return Err(format!("the bare loop sent {} and made {events} events", bare.sent).into());
    }
    Ok(bare)
}

/// How the requests are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As the program's: without TLS that is HTTP/1.1, a connection for each request in flight.
    Own,
    Http2,
    /// As the program's, and each row is claimed before and recorded after: the floor.
    Recorded,
}

/// A request ready to be sent.
struct Ready {
    /// Where its event is read before.
    look: Option<String>,
    method: Method,
    url: String,
    body: Bytes,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct Told {
    id: String,
    #[serde(rename = "@odata.etag")]
    etag: String,
}

impl BareLoop {
    pub async fn run(self) -> Result<()> {
        // The defaults of graph.connect_timeout and graph.request_timeout.
        let network = NetworkSettings {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            extra_ca: None,
        };
        let http = match self.http2 {
            true => reqwest::Client::builder().no_proxy().http2_prior_knowledge().build()?,
            false => http_client(&network, &self.url)?,
        };
        let token = token(&http, &self.url).await?;
        let requests: Arc<[Ready]> = requests(&self.queue, &self.url).await?.into();
        let ledger = match &self.ledger {
            Some(path) => Some(Arc::new(Ledger::create(path, &self.queue, requests.len()).await?)),
            None => None,
        };
        let next = Arc::new(AtomicUsize::new(0));
        let (begin, cpu) = (Instant::now(), CpuTime::of("self")?);
        let writing = ledger.clone().map(|ledger| tokio::spawn(async move { ledger.write().await }));
        let mut senders = JoinSet::new();
        for _ in 0..self.in_flight {
            let (http, token, requests, next) = (http.clone(), token.clone(), requests.clone(), next.clone());
            let ledger = ledger.clone();
            senders.spawn(async move {
                let mut ends = Vec::with_capacity(requests.len());
                loop {
                    if let Some(ledger) = &ledger {
                        ledger.claimed().await?;
                    }
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(request) = requests.get(number) else { return Ok::<_, crate::Error>(ends) };
                    let id = send(&http, request, &token).await?;
                    if let Some(ledger) = &ledger {
                        ledger.sent(number, id)?;
                    }
                    ends.push(begin.elapsed().as_secs_f64());
                }
            });
        }
        let mut ends = Vec::with_capacity(requests.len());
        while let Some(sender) = senders.join_next().await {
            ends.extend(sender??);
        }
        if let Some(writing) = writing {
            writing.await??;
            // The last one is done when it is recorded.
            ends.pop();
            ends.push(begin.elapsed().as_secs_f64());
        }
        let cpu_seconds = CpuTime::of("self")?.since(&cpu);
        ends.sort_by(f64::total_cmp);
        let full = ends.len().checked_sub(self.in_flight + 1).and_then(|last| ends.get(last));
        let bare = Bare {
            sent: ends.len(),
            seconds: ends.last().copied().ok_or("nothing to send")?,
            seconds_to_tail: full.copied().ok_or("fewer rows than may be in flight")?,
            in_flight: self.in_flight,
            cpu_seconds,
        };
        println!("{}", serde_json::to_string(&bare)?);
        Ok(())
    }
}

async fn token(http: &reqwest::Client, url: &str) -> Result<String> {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", sandbox::CLIENT_ID),
        ("client_secret", sandbox::CLIENT_SECRET),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let token = format!("{url}/{}/oauth2/v2.0/token", sandbox::TENANT_ID);
    let answer = http.post(token).form(&form).send().await?.error_for_status()?;
    Ok(serde_json::from_slice::<Token>(&answer.bytes().await?)?.access_token)
}

/// The columns that are not left to their defaults.
#[derive(FromRow)]
struct Columns {
    operation: String,
    subject: Option<String>,
    body: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
    location: Option<String>,
    attendees: String,
    mailbox: String,
    transaction_id: String,
    /// Of the create of its key.
    event_id: Option<String>,
}

async fn requests(queue: &std::path::Path, url: &str) -> Result<Vec<Ready>> {
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(queue).read_only(true).connect().await?;
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT operation, subject, body, start_time, end_time, location, attendees, mailbox, transaction_id,
            (SELECT c.event_id FROM jobs AS c WHERE c.event_key = jobs.event_key AND c.operation = 'create' AND c.id < jobs.id) AS event_id
         FROM jobs WHERE state = 'pending' ORDER BY next_attempt_at, id",
    )
    .fetch_all(&mut connection)
    .await?;
    rows.into_iter().map(|row| ready(row, url)).collect()
}

fn ready(row: Columns, url: &str) -> Result<Ready> {
    let mailbox = row.mailbox.clone();
    let events = format!("{url}/v1.0/users/{mailbox}/events");
    let input = JobInput {
        operation: row.operation.as_str().into(),
        subject: row.subject.into(),
        body: row.body.into(),
        start_time: row.start_time.into(),
        end_time: row.end_time.into(),
        location: row.location.into(),
        attendees: row.attendees.as_str().into(),
        mailbox: row.mailbox.as_str().into(),
        body_type: (row.operation != "delete").then_some("text").map(str::to_owned).into(),
        time_zone: (row.operation != "delete").then_some("UTC").map(str::to_owned).into(),
        target_event_id: row.event_id.clone().into(),
        transaction_id: row.transaction_id.as_str().into(),
        ..JobInput::default()
    };
    let body = preview(&input, None, false)?;
    let Some(id) = row.event_id else { return Ok(Ready { look: None, method: Method::POST, url: events, body }) };
    let look = Some(GraphBase::new(url, "v1.0").looked_at(Some(&mailbox), &id, &[]));
    Ok(match row.operation.as_str() {
        "update" => Ready { look, method: Method::PATCH, url: format!("{events}/{id}"), body },
        _ => Ready { look, method: Method::POST, url: format!("{events}/{id}/cancel"), body },
    })
}

/// Sends the request, after the look before it where there is one, and tells the id of the event.
async fn send(http: &reqwest::Client, request: &Ready, token: &str) -> Result<String> {
    let seen = match &request.look {
        Some(look) => Some(told(http.get(look), token).await?.ok_or("an event without id")?),
        None => None,
    };
    let mut change = http.request(request.method.clone(), &request.url);
    if let Some(seen) = seen.as_ref().filter(|_| request.method == Method::PATCH) {
        change = change.header("if-match", &seen.etag);
    }
    let change = change.header("content-type", "application/json").body(request.body.clone());
    let told = told(change, token).await?.or(seen).ok_or("an event without id")?;
    Ok(told.id)
}

/// With the headers the agent sends.
async fn told(request: reqwest::RequestBuilder, token: &str) -> Result<Option<Told>> {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}"))?);
    headers.insert("client-request-id", HeaderValue::from_str(&uuid::Uuid::new_v4().to_string())?);
    headers.insert("accept", HeaderValue::from_static("application/json"));
    headers.insert("return-client-request-id", HeaderValue::from_static("true"));
    headers.insert("prefer", HeaderValue::from_static("IdType=\"ImmutableId\""));
    let answer = request.headers(headers).send().await?.error_for_status()?;
    let body = answer.bytes().await?;
    Ok(if body.is_empty() { None } else { Some(serde_json::from_slice(&body)?) })
}
