//! What systemd is told, over its socket.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::bed::{Bed, row};
use crate::process::PATIENCE;

/// Reads messages until one has this line.
pub fn until_told(socket: &UnixDatagram, line: &str) {
    let mut buffer = [0; 4096];
    let mut told = Vec::new();
    loop {
        let Ok(length) = socket.recv(&mut buffer) else { panic!("waited in vain for {line}; told: {told:?}") };
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.lines().any(|said| said == line) {
            return;
        }
        told.push(message);
    }
}

pub fn socket(bed: &mut Bed) -> UnixDatagram {
    let path = bed.home().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    bed.env("NOTIFY_SOCKET", path.to_str().unwrap());
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn systemd_is_told_when_the_agent_is_ready_alive_and_stopping() {
    let mut bed = Bed::new().await;
    let socket = socket(&mut bed);
    bed.env("WATCHDOG_USEC", "200000");
    let agent = bed.run();
    until_told(&socket, "READY=1");
    // Nothing to do: it says all the same that it lives.
    for _ in 0..3 {
        until_told(&socket, "WATCHDOG=1");
    }
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    agent.signal("TERM");
    until_told(&socket, "STOPPING=1");
    let mut agent = agent;
    agent.end().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_watchdog_systemd_is_not_bothered() {
    let mut bed = Bed::new().await;
    let socket = socket(&mut bed);
    let agent = bed.run();
    until_told(&socket, "READY=1");
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    agent.stop().await.expect(0);
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(length) = socket.recv(&mut buffer) {
        assert!(!String::from_utf8_lossy(&buffer[..length]).contains("WATCHDOG=1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_agent_that_cannot_start_never_says_it_is_ready() {
    let mut bed = Bed::new().await;
    let first = bed.run();
    bed.until_said(&first, "agent started").await;
    let socket = socket(&mut bed);
    bed.command(&["run"]).await.expect(69);
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(socket.recv(&mut [0; 4096]).is_err());
}
