//! Network and clock: each thing that can lie between here and there, told apart.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{lines, says};
use crate::bed::Bed;
use crate::process::Ran;
use crate::shim::ClockDial;

/// With Graph here instead.
async fn graph_at(bed: &mut Bed, url: &str) -> Ran {
    bed.set("auth.resource", "https://graph.microsoft.com");
    bed.set("graph.endpoint", url);
    bed.set("graph.connect_timeout", "2s");
    bed.command(&["check"]).await
}

/// Answers whatever comes with these bytes, or never.
async fn answering(bytes: Option<&'static str>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            if let Some(bytes) = bytes {
                let _ = client.read(&mut [0; 16 * 1024]).await;
                let _ = client.write_all(bytes.as_bytes()).await;
            } else {
                open.push(client);
            }
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_unknown_name_a_refused_port_and_silence_are_three_things() {
    let mut bed = Bed::new().await;
    let ran = graph_at(&mut bed, "https://no-such-host.invalid").await.expect(69);
    says(
        &ran,
        "FAIL",
        "network",
        &["Graph (no-such-host.invalid)", "name is not known", "graph.endpoint", "HTTPS_PROXY"],
    );
    says(&ran, "PASS", "network", &["sign-in"]);
    says(&ran, "PASS", "token", &["gave application"]);
    says(&ran, "WARN", "secret", &["not checked"]);

    let ran = graph_at(&mut bed, "https://127.0.0.4:9").await.expect(69);
    says(&ran, "FAIL", "network", &["Graph (127.0.0.4:9)", "refuses the connection", "firewall"]);
    says(&ran, "FAIL", "mailbox", &["No connection to Graph"]);

    let silent = answering(None).await;
    let ran = graph_at(&mut bed, &format!("https://{silent}")).await.expect(69);
    says(&ran, "FAIL", "network", &["no answer", "2s", "firewall"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_the_first_mailbox_finds_out_that_graph_is_away() {
    let mut bed = Bed::new().await;
    bed.set("auth.resource", "https://graph.microsoft.com");
    bed.set("graph.endpoint", "https://127.0.0.4:9");
    let ran = bed.command(&["check", "--mailbox", "ann@contoso.com"]).await.expect(69);
    says(&ran, "FAIL", "mailbox", &["calendar@contoso.com"]);
    says(&ran, "WARN", "mailbox", &["ann@contoso.com", "not checked", "cannot be reached"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_proxy_is_named_without_its_password_and_its_faults_are_its_own() {
    let refusing = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
    let asking = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
    for (proxy, words) in [
        ("127.0.0.6:9".to_owned(), "refuses the connection"),
        (answering(Some(refusing)).await.to_string(), "does not connect to it"),
        (answering(Some(asking)).await.to_string(), "wants a name and a password"),
        (answering(Some("garbage\r\n\r\n")).await.to_string(), "127.0.0.1"),
    ] {
        let mut bed = Bed::new().await;
        bed.env("HTTPS_PROXY", &format!("http://ann:PassZebra@{proxy}"));
        // Nobody here has to know the name: that is the proxy's business.
        let ran = graph_at(&mut bed, "https://graph.invalid").await.expect(69);
        says(&ran, "FAIL", "network", &["Graph (graph.invalid)", words]);
        assert!(!bed.all_output().contains("Zebra"), "{ran:?}");
        // Plain HTTP is for this machine, and no proxy's business.
        says(&ran, "PASS", "network", &["sign-in", "directly"]);
    }
    let mut bed = Bed::new().await;
    bed.env("HTTPS_PROXY", "http://127.0.0.6:9");
    bed.env("NO_PROXY", "127.0.0.4");
    let ran = graph_at(&mut bed, "https://127.0.0.4:9").await.expect(69);
    says(&ran, "FAIL", "network", &["it refuses the connection", "graph.endpoint"]);
    bed.env("HTTPS_PROXY", "http://no-such-proxy.invalid:3128");
    let ran = graph_at(&mut bed, "https://graph.invalid").await.expect(69);
    says(&ran, "FAIL", "network", &["proxy's name no-such-proxy.invalid is not known"]);
}

/// Graph's refusal of a stranger, over TLS.
struct Tls {
    server: Child,
    port: u16,
}

impl Tls {
    fn start() -> Self {
        let script = r#"
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
body = b'{"error":{"code":"InvalidAuthenticationToken","message":"Access token is empty."}}'
while True:
    client, _ = listener.accept()
    try:
        with context.wrap_socket(client, server_side=True) as stream:
            stream.recv(16384)
            stream.sendall(b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close\r\n"
                           b"content-length: %d\r\n\r\n%s" % (len(body), body))
    except OSError:
        pass
"#;
        let mut server = Command::new("python3")
            .args(["-c", script])
            .arg(directory().join("localhost.pem"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs python3 with its ssl module: install python3");
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { server, port: line.trim().parse().unwrap() }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/operate/doctor/tls"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_fault_of_a_certificate_has_its_own_cure() {
    let server = Tls::start();
    let mut bed = Bed::new().await;
    let ran = graph_at(&mut bed, &server.url("localhost")).await.expect(69);
    says(&ran, "FAIL", "network", &["not signed by an authority", "graph.ca_file"]);
    let authority = directory().join("localhost.crt");
    bed.set("graph.ca_file", authority.to_str().unwrap());
    let ran = graph_at(&mut bed, &server.url("localhost")).await;
    says(&ran, "PASS", "network", &["Graph (localhost:", "answers in"]);
    let ran = graph_at(&mut bed, &server.url("127.0.0.1")).await.expect(69);
    says(&ran, "FAIL", "network", &["another host's", "graph.endpoint"]);
    // What speaks no TLS at all.
    let plain = bed.sandbox().address();
    let ran = graph_at(&mut bed, &format!("https://{plain}")).await.expect(69);
    says(&ran, "FAIL", "network", &["TLS handshake failed", "port"]);
    // A certificate of 2020 to 2120, seen a hundred years late and ten years early.
    let clock = ClockDial::before(&mut bed);
    for (years, words) in [(100, "has expired"), (-10, "not valid yet")] {
        clock.is_off_by_hours(years * 8766);
        let ran = graph_at(&mut bed, &server.url("localhost")).await.expect(69);
        says(&ran, "FAIL", "network", &[words, "clock"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn somebody_else_in_microsofts_place_gets_neither_secret_nor_token() {
    let portal = "HTTP/1.1 302 Found\r\nlocation: https://portal.example/login?from=SecretZebra\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let page =
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\nconnection: close\r\n\r\n<html></html>";
    for (answer, words) in [(portal, "redirects to portal.example"), (page, "an unexpected server answers (HTTP 200)")]
    {
        let stranger = answering(Some(answer)).await;
        let mut bed = Bed::new().await;
        let ran = graph_at(&mut bed, &format!("http://{stranger}")).await.expect(1);
        says(&ran, "FAIL", "network", &["Graph", words]);
        says(&ran, "WARN", "mailbox", &["not checked", "unexpected server answers in Graph's place"]);
        says(&ran, "WARN", "secret", &["not checked", "unexpected server answers in Graph's place"]);
        assert!(!ran.stdout.contains("Zebra"), "{ran:?}");
        let mut bed = Bed::new().await;
        bed.set("auth.instance", &format!("http://{stranger}"));
        let ran = bed.command(&["check"]).await.expect(1);
        says(&ran, "FAIL", "network", &["sign-in", words, "auth.instance"]);
        says(&ran, "WARN", "token", &["not checked", "secret is not sent"]);
    }
    // Trouble of Microsoft's own is none of these.
    let busy = answering(Some("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")).await;
    let mut bed = Bed::new().await;
    let ran = graph_at(&mut bed, &format!("http://{busy}")).await;
    says(&ran, "WARN", "network", &["HTTP 503"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_clock_that_is_wrong_fails_with_its_direction() {
    let mut bed = Bed::new().await;
    let clock = ClockDial::before(&mut bed);
    for (hours, side) in [(2, "ahead of"), (-2, "behind")] {
        clock.is_off_by_hours(hours);
        let ran = bed.command(&["check"]).await.expect(1);
        says(&ran, "FAIL", "clock", &["h", side, "127.0.0.1", "timedatectl"]);
        assert_eq!(lines(&ran, "clock").len(), 1);
    }
    clock.is_off_by_hours(0);
    says(&bed.command(&["check"]).await.expect(0), "PASS", "clock", &["matches"]);
}
