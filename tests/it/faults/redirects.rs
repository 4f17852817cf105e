//! Whoever answers in Microsoft's place gets one request and nothing more: no redirect is followed, so neither secret
//! nor token reaches another host, and a stranger's refusal fails no job.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::bed::{Bed, row, row_for, side_by_side};

/// Answers every request alike, on a port of its own.
struct Stranger {
    url: String,
    visits: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Stranger {
    async fn answering(head: String, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let visits = Arc::new(AtomicUsize::new(0));
        let counter = visits.clone();
        let answer = format!("HTTP/1.1 {head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    // Requests of these tests fit into one read; the client has nothing more to say after it.
                    let _ = client.read(&mut [0; 16 * 1024]).await;
                    let _ = client.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { url, visits, task }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Which request of the agent the stranger gets to see first.
#[derive(Clone, Copy, Debug)]
enum First {
    Token,
    Lookup,
    Post,
}

async fn redirected(status: u16, first: First) {
    let elsewhere = Stranger::answering("200 OK\r\n".into(), "{}").await;
    let head = format!("{status} Elsewhere\r\nlocation: {}/v1.0/elsewhere\r\n", elsewhere.url);
    let stranger = Stranger::answering(head, "").await;
    let mut bed = Bed::new().await;
    let resource = bed.sandbox().url();
    bed.set("auth.resource", &resource);
    bed.set(if matches!(first, First::Token) { "auth.instance" } else { "graph.endpoint" }, &stranger.url);
    let doubt = if matches!(first, First::Lookup) { "1" } else { "0" };
    let id = bed.insert(row_for("ann@contoso.com").with("in_doubt", doubt)).await;
    let agent = bed.run();
    let line = bed.until_said(&agent, "sending paused").await;
    assert!(line["error_code"].as_str().is_some_and(|code| code.contains(&status.to_string())), "{first:?}: {line}");
    bed.wait("the job is back", async || Some(bed.job(id).await).filter(|job| job.state == "pending")).await;
    assert_eq!(bed.job(id).await.attempts, 0, "{status} {first:?}");
    // The commands that sign in go the same way.
    bed.command(&["check"]).await;
    assert_eq!((stranger.visits(), elsewhere.visits()), (2, 0), "{status} {first:?}");
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirect_is_followed_whatever_is_asked_for_and_however_it_is_told() {
    let statuses = [301, 302, 303, 307, 308];
    let cases =
        statuses.iter().flat_map(|status| [First::Token, First::Lookup, First::Post].map(|first| (*status, first)));
    side_by_side(cases.map(|(status, first)| redirected(status, first))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_portal_that_refuses_in_graphs_place_fails_no_job() {
    for head in ["403 Forbidden\r\ncontent-type: text/html\r\n", "404 Not Found\r\n", "400 Bad Request\r\n"] {
        let portal = Stranger::answering(head.into(), "<html>Sign in to the guest network</html>").await;
        let mut bed = Bed::new().await;
        let resource = bed.sandbox().url();
        bed.set("auth.resource", &resource);
        bed.set("graph.endpoint", &portal.url);
        let agent = bed.run();
        let id = bed.insert(row()).await;
        let job = bed.until_back(id, "unavailable").await;
        // It may have passed the request on, and is asked for the event once.
        assert_eq!((job.attempts, job.in_doubt), (1, 1), "{job:?}");
        assert!(job.message().contains("did not come from Graph"), "{job:?}");
        assert_eq!((bed.pauses().await.len(), portal.visits()), (1, 2));
        agent.stop().await.expect(0);
    }
}
