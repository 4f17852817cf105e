//! A far side that costs less than the loop that is measured, so that it bounds nothing: the token endpoint and the calendar's
//! requests as Graph answers them where all goes well. One thread; a request is read, looked at for what must be right (its
//! path, its bearer, its transaction id), and answered with an id, the transaction id and the documented headers. It keeps no
//! event: an id tells which transaction made it, so each can be read, changed and ended. No latency, no limits, no faults: for
//! those there is the sandbox.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::rc::Rc;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Result;

/// An id as long as Exchange's ends with the transaction id that made its event.
pub const ID_PREFIX: &str = "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0ABenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchBenchAAA_";
const TRANSACTION_ID: usize = 36;
const TOKEN: &str = "far-side-token";
/// What is read at a time: a request of the bench has less.
const READ: usize = 16 * 1024;

/// The arguments of the process.
#[derive(clap::Args)]
pub struct FarSideProcess {}

impl FarSideProcess {
    /// Says its address on stdout, and serves until it is killed.
    pub async fn run(self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        let calendar = Rc::new(RefCell::new(Calendar::default()));
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::task::spawn_local(serve(stream, calendar.clone()));
                }
            })
            .await
    }
}

/// Of all mailboxes.
#[derive(Default)]
struct Calendar {
    created: HashSet<[u8; TRANSACTION_ID]>,
    /// Hashes of what came without a transaction id.
    bodies: HashSet<u64>,
    counters: Counters,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Counters {
    /// Transaction ids.
    events: u64,
    /// Creates of one that was there already.
    repeated: u64,
    /// Creates without a transaction id: an event each, as the bench's peers make them.
    unnamed: u64,
    /// Those of them whose body had come before.
    doubled: u64,
    changed: u64,
    ended: u64,
    /// Requests that are none of these.
    refused: u64,
}

/// A whole request.
struct Request<'r> {
    method: &'r str,
    path: &'r str,
    bearer: &'r str,
    id: &'r str,
    body: &'r [u8],
}

/// Until the client closes, or sends something else than a request.
async fn serve(mut stream: TcpStream, calendar: Rc<RefCell<Calendar>>) {
    let (mut input, mut output) = (Vec::with_capacity(READ), Vec::with_capacity(READ));
    loop {
        input.reserve(READ);
        if !matches!(stream.read_buf(&mut input).await, Ok(1..)) {
            return;
        }
        while let Some((length, request)) = whole(&input) {
            calendar.borrow_mut().answer(&request, &mut output);
            input.drain(..length);
        }
        if !output.is_empty() && stream.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
    }
}

/// The request at the beginning, and its length, once all of it is there.
fn whole(input: &[u8]) -> Option<(usize, Request<'_>)> {
    let head = find(input, b"\r\n\r\n")?;
    let mut lines = std::str::from_utf8(input.get(..head)?).ok()?.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let mut request = Request { method: first.next()?, path: first.next()?, bearer: "", id: "", body: &[] };
    let mut length = 0;
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        } else if name.eq_ignore_ascii_case("authorization") {
            request.bearer = value;
        } else if name.eq_ignore_ascii_case("client-request-id") {
            request.id = value;
        }
    }
    let end = head + 4 + length;
    request.body = input.get(head + 4..end)?;
    Some((end, request))
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| *byte == first) {
        if text[from + at..].starts_with(part) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

impl Calendar {
    fn answer(&mut self, request: &Request<'_>, output: &mut Vec<u8>) {
        let path = request.path.split('?').next().unwrap_or_default();
        if path.ends_with("/oauth2/v2.0/token") {
            let token = format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"{TOKEN}"}}"#);
            return reply(output, "200 OK", request, &token);
        }
        if path == "/sandbox/counters" {
            return reply(output, "200 OK", request, &serde_json::to_string(&self.counters).unwrap_or_default());
        }
        if request.bearer.strip_prefix("Bearer ") != Some(TOKEN) {
            self.counters.refused += 1;
            return reply(output, "401 Unauthorized", request, r#"{"error":{"code":"InvalidAuthenticationToken"}}"#);
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method, parts.as_slice()) {
            ("POST", ["v1.0", "users", _, "events"]) => match transaction_id(request.body) {
                Some(transaction) => self.create(transaction, request, output),
                None => self.create_unnamed(request, output),
            },
            (method, ["v1.0", "users", _, "events", id, rest @ ..]) => match (method, transaction_of(id), rest) {
                ("GET", Some(transaction), []) => reply(output, "200 OK", request, &seen(transaction)),
                ("PATCH", Some(transaction), []) => {
                    self.counters.changed += 1;
                    reply(output, "200 OK", request, &event(transaction, ""));
                }
                ("DELETE", Some(_), []) => {
                    self.counters.ended += 1;
                    reply(output, "204 No Content", request, "");
                }
                ("POST", Some(_), ["cancel"]) => {
                    self.counters.ended += 1;
                    reply(output, "202 Accepted", request, "");
                }
                _ => self.refuse(request, output),
            },
            _ => self.refuse(request, output),
        }
    }

    fn create(&mut self, transaction: &str, request: &Request<'_>, output: &mut Vec<u8>) {
        let is_new = transaction.as_bytes().try_into().is_ok_and(|id| self.created.insert(id));
        let counter = if is_new { &mut self.counters.events } else { &mut self.counters.repeated };
        *counter += 1;
        reply(output, "201 Created", request, &event(transaction, ""));
    }

    fn create_unnamed(&mut self, request: &Request<'_>, output: &mut Vec<u8>) {
        let mut hasher = DefaultHasher::new();
        request.body.hash(&mut hasher);
        self.counters.unnamed += 1;
        self.counters.doubled += u64::from(!self.bodies.insert(hasher.finish()));
        let transaction = uuid::Uuid::new_v4().to_string();
        reply(output, "201 Created", request, &event(&transaction, ""));
    }

    fn refuse(&mut self, request: &Request<'_>, output: &mut Vec<u8>) {
        self.counters.refused += 1;
        reply(output, "400 Bad Request", request, r#"{"error":{"code":"BadRequest","message":"not of this bench"}}"#);
    }
}

fn transaction_id(body: &[u8]) -> Option<&str> {
    const NAME: &[u8] = br#""transactionId":""#;
    let begin = find(body, NAME)? + NAME.len();
    std::str::from_utf8(body.get(begin..begin + TRANSACTION_ID)?).ok()
}

fn transaction_of(id: &str) -> Option<&str> {
    id.strip_prefix(ID_PREFIX).filter(|transaction| transaction.len() == TRANSACTION_ID)
}

/// What Graph says of an event whoever asks.
fn event(transaction: &str, more: &str) -> String {
    format!(
        concat!(
            r#"{{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#users('u')/events/$entity","@odata.etag":"W/\"DwAAABYAAAA{0}\"","#,
            r#""id":"{1}{0}","createdDateTime":"2026-11-30T08:00:00.1234567Z","lastModifiedDateTime":"2026-11-30T08:00:00.2345678Z","#,
            r#""changeKey":"DwAAABYAAAA{0}","categories":[],"transactionId":"{0}","isAllDay":false,"isCancelled":false,"isOrganizer":true,"#,
            r#""type":"singleInstance","iCalUId":"040000008200E00074C5B7101A82E008{0}","webLink":"https://outlook.office365.com/owa/?itemid={1}{0}","#,
            r#""onlineMeeting":null{2}}}"#
        ),
        transaction, ID_PREFIX, more
    )
}

/// What a look before a change asks for beside it.
fn seen(transaction: &str) -> String {
    event(
        transaction,
        concat!(
            r#","subject":"Review","isOnlineMeeting":false,"location":{"displayName":"Room 1"},"#,
            r#""start":{"dateTime":"2026-12-01T09:00:00.0000000","timeZone":"UTC"},"end":{"dateTime":"2026-12-01T10:00:00.0000000","timeZone":"UTC"},"#,
            r#""attendees":[{"type":"required","emailAddress":{"name":"Ann","address":"ann@contoso.com"}},{"type":"optional","emailAddress":{"name":"Bob","address":"bob@contoso.com"}}]"#
        ),
    )
}

fn reply(output: &mut Vec<u8>, status: &str, request: &Request<'_>, body: &str) {
    // Into memory: it cannot fail.
    let _ = write!(
        output,
        "HTTP/1.1 {status}\r\ncache-control: private\r\ncontent-type: application/json; odata.metadata=minimal\r\n\
         content-length: {}\r\nrequest-id: 5f6d8b8e-0000-4000-8000-{:012x}\r\nclient-request-id: {}\r\n\
         x-ms-ags-diagnostic: {{\"ServerInfo\":{{\"DataCenter\":\"Bench\"}}}}\r\nodata-version: 4.0\r\n\
         date: Mon, 30 Nov 2026 08:00:00 GMT\r\n\r\n{body}",
        body.len(),
        fastrand::u32(..),
        request.id,
    );
}
