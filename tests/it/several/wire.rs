//! The way from an agent to the database, which a test can cut (connections end, new ones are hung up on), stall (they stay, and
//! nothing passes: no end is told, as when a cable is out), and heal. In front of a server's unix socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of what is said in a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    cut: bool,
    /// What the agent says does not arrive.
    up_stalled: bool,
    /// What the database says does not arrive.
    down_stalled: bool,
    /// The connections on which an agent listens, as many as there were, hear nothing.
    deaf: usize,
}

pub struct Wire {
    port: u16,
    state: watch::Sender<State>,
    listeners: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Wire {
    /// To the server whose socket is in that directory.
    pub async fn to(home: &Path) -> Self {
        let socket = home.join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, seen) = watch::channel(State::default());
        let listeners = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, socket, seen, listeners.clone()));
        Self { port, state, listeners, task }
    }

    /// For `queue.url`.
    pub fn url(&self, schema: &str) -> String {
        let port = self.port;
        format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable&options=-csearch_path%3D{schema}")
    }

    pub fn cut(&self) {
        self.state.send_modify(|state| state.cut = true);
    }

    /// Nothing passes, in neither direction.
    pub fn stall(&self) {
        self.state.send_modify(|state| (state.up_stalled, state.down_stalled) = (true, true));
    }

    /// The agent is heard, and hears nothing.
    pub fn stall_answers(&self) {
        self.state.send_modify(|state| state.down_stalled = true);
    }

    /// The connections on which the agent listens for notices hear nothing any more; what else there is, and new ones, do.
    pub fn deafen(&self) {
        let listeners = self.listeners();
        self.state.send_modify(|state| state.deaf = listeners);
    }

    /// How many connections an agent has listened on.
    pub fn listeners(&self) -> usize {
        self.listeners.load(Ordering::SeqCst)
    }

    /// What is stalled goes on where it was; what is deaf stays so.
    pub fn heal(&self) {
        self.state.send_modify(|state| *state = State { deaf: state.deaf, ..State::default() });
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, state: watch::Receiver<State>, listeners: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        if state.borrow().cut {
            continue;
        }
        let (socket, state, listeners) = (socket.clone(), state.clone(), listeners.clone());
        tokio::spawn(async move {
            if let Ok(server) = UnixStream::connect(socket).await {
                carry(client, server, state, &listeners).await;
            }
        });
    }
}

/// Until either side hangs up, or the wire is cut.
async fn carry(client: TcpStream, server: UnixStream, state: watch::Receiver<State>, listeners: &AtomicUsize) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // Of the connections on which an agent listens this is number …; 0, as long as it is none.
    let number = AtomicUsize::new(0);
    let up = async {
        let (mut chunk, mut state) = (vec![0; 64 * 1024], state.clone());
        while let Ok(read @ 1..) = from_client.read(&mut chunk).await {
            let listens = chunk[..read].windows(6).any(|word| word == b"LISTEN");
            if listens && number.load(Ordering::SeqCst) == 0 {
                number.store(listeners.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            }
            let _ = state.wait_for(|state| !state.up_stalled).await;
            if to_server.write_all(&chunk[..read]).await.is_err() {
                break;
            }
        }
    };
    let down = async {
        let (mut chunk, mut state) = (vec![0; 64 * 1024], state.clone());
        while let Ok(read @ 1..) = from_server.read(&mut chunk).await {
            let passes = |state: &State| {
                let number = number.load(Ordering::SeqCst);
                !state.down_stalled && (number == 0 || number > state.deaf)
            };
            let _ = state.wait_for(passes).await;
            if to_client.write_all(&chunk[..read]).await.is_err() {
                break;
            }
        }
    };
    let mut cut = state.clone();
    tokio::select! {
        () = up => {}
        () = down => {}
        _ = cut.wait_for(|state| state.cut) => {}
    }
}
