//! Stands between the agent and the sandbox and keeps every byte the agent sends, so that tests can compare requests
//! to the byte. Passes everything else on as it is, broken connections included.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub struct Recorder {
    pub url: String,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// In front of `target`, such as `127.0.0.1:8025`.
    pub async fn before(target: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let connections = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let connections = connections.clone();
                let place = {
                    let mut all = connections.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(target).await {
                        pass(client, server, |bytes| connections.lock().unwrap()[place].extend_from_slice(bytes)).await;
                    }
                });
            }
        });
        Self { url, heard, task }
    }

    /// The bodies of all complete POSTs to a calendar, connection by connection.
    pub fn creates(&self) -> Vec<Vec<u8>> {
        let heard = self.heard.lock().unwrap();
        let requests = heard.iter().flat_map(|bytes| requests(bytes));
        requests
            .filter(|(head, _)| head.starts_with("POST ") && head.contains("/events "))
            .map(|(_, body)| body)
            .collect()
    }

    /// Head and body of all complete requests, connection by connection.
    pub fn requests(&self) -> Vec<(String, Vec<u8>)> {
        self.heard.lock().unwrap().iter().flat_map(|bytes| requests(bytes)).collect()
    }

    /// The heads of all complete requests, connection by connection.
    pub fn heads(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().flat_map(|bytes| requests(bytes)).map(|(head, _)| head).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(client: TcpStream, server: TcpStream, heard: impl Fn(&[u8])) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut chunk).await {
            heard(&chunk[..read]);
            if to_server.write_all(&chunk[..read]).await.is_err() {
                break;
            }
        }
    };
    let down = async {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
    };
    // Whichever side hangs up first, the other one is hung up on too.
    tokio::select! { () = up => {}, () = down => {} }
}

/// Head and body of each complete HTTP request.
fn requests(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse().unwrap());
        let (from, to) = (end + 4, end + 4 + length);
        if bytes.len() < to {
            break;
        }
        found.push((head, bytes[from..to].to_vec()));
        bytes = &bytes[to..];
    }
    found
}
