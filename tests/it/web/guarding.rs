//! Who is let in, and what another site's page in the same browser cannot do.

use reqwest::Method;
use reqwest::header::HOST;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Page, TOKEN, acting, reading, with_token};
use crate::bed::{Bed, row};

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn there_is_no_page_unless_the_settings_say_where() {
    let bed = Bed::new().await;
    let agent = bed.run();
    let id = bed.insert(row()).await;
    bed.until(id, "sent").await;
    assert!(agent.said("page listening").is_empty());
    agent.stop().await.expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn beyond_this_machine_nothing_starts_that_does_not_know_who_asks() {
    let mut bed = reading().await;
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9186"] {
        bed.set("web.listen", address);
        let ran = bed.command(&["run"]).await.expect(78);
        assert!(ran.stderr.contains("web.listen") && ran.stderr.contains("set web.token_file"), "{}", ran.stderr);
    }
    bed.set("web.listen", "127.0.0.1:0");
    bed.set_literal("web.actions", "true");
    let ran = bed.command(&["run"]).await.expect(78);
    assert!(ran.stderr.contains("web.actions") && ran.stderr.contains("needs a way to sign in"), "{}", ran.stderr);
    bed.set("web.token_file", "/nowhere/token");
    let ran = bed.command(&["run"]).await.expect(78);
    assert!(ran.stderr.contains("web.token_file"), "{}", ran.stderr);
    bed.unset("web.token_file");
    bed.set("web.trusted_proxy_header", "Cookie");
    let ran = bed.command(&["run"]).await.expect(78);
    assert!(ran.stderr.contains("browsers send by themselves"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn beyond_this_machine_only_who_has_signed_in_reads() {
    let mut bed = reading().await;
    bed.set("web.listen", "0.0.0.0:0");
    with_token(&mut bed);
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    for path in ["/api/v1/overview", "/api/v1/jobs", "/api/v1/jobs/1", "/api/v1/mailboxes"] {
        assert_eq!(page.get(path).await.refusal(), (401, "sign_in"), "{path}");
        let wrong = page.request(Method::GET, path).header("authorization", "Bearer wrong");
        assert_eq!(Answer::of(wrong).await.status, 401, "{path}");
    }
    let bearer = page.request(Method::GET, "/api/v1/overview").bearer_auth(TOKEN);
    assert_eq!(Answer::of(bearer).await.status, 200);
    let session = page.request(Method::GET, "/api/v1/overview").header("cookie", page.cookie().await);
    assert_eq!(Answer::of(session).await.status, 200);
    assert_eq!(page.get("/").await.status, 200, "the page itself asks for the token");
    assert!(!bed.all_output().contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_proxy_names_who_it_has_let_through() {
    let mut bed = reading().await;
    bed.set("web.listen", "0.0.0.0:0");
    bed.set("web.trusted_proxy_header", "X-Forwarded-User");
    bed.set_literal("web.actions", "true");
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    assert_eq!(page.get("/api/v1/overview").await.refusal(), (401, "sign_in"));
    let named = |request: reqwest::RequestBuilder| request.header("x-forwarded-user", "ann");
    assert_eq!(Answer::of(named(page.request(Method::GET, "/api/v1/overview"))).await.status, 200);
    let hold = json!({ "mailbox": "bob@contoso.com" });
    assert_eq!(Answer::of(page.post("/api/v1/mailboxes/hold", &hold)).await.status, 401);
    assert_eq!(Answer::of(named(page.post("/api/v1/mailboxes/hold", &hold))).await.status, 200);
    assert_eq!(bed.until_said(&agent, "mailbox held from the page").await["who"], "ann");
    let twice = named(named(page.request(Method::GET, "/api/v1/overview")));
    assert_eq!(Answer::of(twice).await.status, 401, "one of the two is not the proxy's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_name_that_was_made_to_point_here_is_none_of_the_page() {
    let mut bed = reading().await;
    bed.set("web.base", "https://tools.contoso.com/queue/");
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let host = async |host: &str, path: &str| {
        let request = page.http.get(format!("http://{}{path}", page.address)).header(HOST, host);
        Answer::of(request).await.status
    };
    for path in ["/", "/page.js", "/api/v1/overview", "/nothing"] {
        for evil in [
            "evil.example",
            "evil.example:9186",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "tools.contoso.com.evil",
        ] {
            assert_eq!(host(evil, path).await, 421, "{evil} {path}");
        }
    }
    for own in
        ["localhost", "LOCALHOST:9186", "127.0.0.1:9186", "[::1]:9186", "tools.contoso.com", "tools.contoso.com:443"]
    {
        assert_eq!(host(own, "/api/v1/overview").await, 200, "{own}");
    }
    for path in ["/queue/", "/queue/page.js", "/queue/api/v1/overview"] {
        assert_eq!(page.get(path).await.status, 200, "{path}");
    }
    assert_eq!(page.get("/queue").await.headers["location"], "/queue/");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_answer_tells_the_browser_to_trust_nothing_else() {
    let bed = reading().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    for path in ["/", "/page.css", "/page.js", "/api/v1/overview", "/api/v1/jobs/0", "/nothing"] {
        let headers = page.get(path).await.headers;
        let policy = headers["content-security-policy"].to_str().unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_site_cannot_make_a_signed_in_browser_act() {
    let bed = acting().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let cookie = page.cookie().await;
    let hold = json!({ "mailbox": "bob@contoso.com" }).to_string();
    let own = format!("http://{}", page.address);
    let send = async |headers: &[(&str, &str)]| {
        let mut request =
            page.request(Method::POST, "/api/v1/mailboxes/hold").header("cookie", &cookie).body(hold.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request).await
    };
    let (json, ours) = (("content-type", "application/json"), ("x-event-sender", "1"));
    for (headers, refusal) in [
        (vec![], (415, "content_type")),
        (vec![("content-type", "text/plain"), ours], (415, "content_type")),
        (vec![("content-type", "application/x-www-form-urlencoded"), ours], (415, "content_type")),
        (vec![json, ("sec-fetch-site", "same-origin")], (403, "own_header")),
        (vec![json, ours], (403, "origin")),
        (vec![json, ours, ("sec-fetch-site", "cross-site")], (403, "origin")),
        (vec![json, ours, ("sec-fetch-site", "same-site")], (403, "origin")),
        (vec![json, ours, ("sec-fetch-site", "none")], (403, "origin")),
        (vec![json, ours, ("sec-fetch-site", "cross-site"), ("origin", &own)], (403, "origin")),
        (vec![json, ours, ("origin", "http://evil.example")], (403, "origin")),
        (vec![json, ours, ("origin", "null")], (403, "origin")),
    ] {
        assert_eq!(send(&headers).await.refusal(), refusal, "{headers:?}");
    }
    assert_eq!(bed.pauses().await.len(), 0, "nothing was done");
    assert_eq!(page.get("/api/v1/mailboxes/hold").await.status, 405, "no link does it");
    assert_eq!(send(&[json, ours, ("origin", &own)]).await.status, 200, "an older browser names its origin only");
    assert_eq!(send(&[json, ours, ("sec-fetch-site", "same-origin")]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_has_not_signed_in_changes_nothing_and_a_session_ends() {
    let bed = acting().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let id = bed.insert(row().with("not_before", "2099-01-01T00:00:00Z")).await;
    let cancel = json!({ "ids": [id] });
    let with =
        async |cookie: &str| Answer::of(page.post("/api/v1/jobs/cancel", &cancel).header("cookie", cookie)).await;
    for cookie in ["", "event_sender_session=", "event_sender_session=0123456789abcdef", "other=1"] {
        assert_eq!(with(cookie).await.refusal(), (401, "sign_in"), "{cookie}");
    }
    let bearer = page.post("/api/v1/jobs/cancel", &cancel).bearer_auth(TOKEN);
    assert_eq!(Answer::of(bearer).await.status, 401, "a program's token reads");
    let answer = page.sign_in(TOKEN).await;
    let set = answer.headers["set-cookie"].to_str().unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/"), "{set}");
    assert!(!answer.text.contains(TOKEN));
    let cookie = set.split(';').next().unwrap().to_owned();
    let out = page.request(Method::DELETE, "/api/v1/session").header("cookie", &cookie);
    let out = out
        .header("content-type", "application/json")
        .header("x-event-sender", "1")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(Answer::of(out.body("{}")).await.status, 200);
    assert_eq!(with(&cookie).await.status, 401);
    assert_eq!(bed.job(id).await.state, "pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_guesses_tokens_is_told_of_in_the_log_and_soon_must_wait() {
    let bed = acting().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    for wrong in ["", "correct-horse", "correct-horse-battery-staple-", "x", "x", "x", "x", "x", "x", "x"] {
        assert_eq!(page.sign_in(wrong).await.refusal(), (401, "wrong_token"));
    }
    assert_eq!(page.sign_in(TOKEN).await.refusal(), (429, "wait"));
    let said = async || (agent.said("sign-in to the page refused, wrong token").len() == 10).then_some(());
    bed.wait("each is in the log", said).await;
    assert!(!bed.all_output().contains(TOKEN) && !bed.all_output().contains("correct-horse"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_that_only_reads_does_nothing_for_anybody() {
    let mut bed = reading().await;
    with_token(&mut bed);
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    for path in ["jobs/retry", "jobs/cancel", "mailboxes/hold", "mailboxes/release", "mailboxes/resume"] {
        let answer = page.act(&format!("/api/v1/{path}"), json!({ "ids": [1], "mailbox": "bob@contoso.com" })).await;
        assert_eq!(answer.refusal(), (403, "read_only"), "{path}");
    }
}

/// An answer to what no well-behaved client sends.
async fn raw(page: &Page, request: &str) -> String {
    let mut stream = TcpStream::connect(&page.address).await.unwrap();
    stream.write_all(request.replace("HOST", &page.address).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Who has sent more than is read may be cut off.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_path_leads_out_of_the_page() {
    let bed = reading().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    for path in [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/page.js/..%2f..%2fetc/passwd",
        "/..%5c..%5cetc/passwd",
        "//etc/passwd",
        "/page.js%00.css",
        "/api/v1/jobs/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/../../agent.toml",
        "/api/v1/jobs/1%20OR%201=1",
    ] {
        let answer = raw(&page, &format!("GET {path} HTTP/1.1\r\nHost: HOST\r\n\r\n")).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "404"].contains(&status) && !answer.contains("root:"), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_too_large_is_refused_and_one_that_never_ends_holds_nobody_up() {
    let bed = acting().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let large = json!({ "mailbox": "bob@contoso.com", "reason": "x".repeat(200_000) });
    assert_eq!(page.act("/api/v1/mailboxes/hold", large).await.refusal(), (413, "too_large"));
    let many = json!({ "ids": (1..=5001).collect::<Vec<_>>(), "dry_run": true });
    assert_eq!(page.act("/api/v1/jobs/retry", many).await.refusal(), (400, "bad_request"));
    let head = format!("GET / HTTP/1.1\r\nHost: HOST\r\nX-Long: {}\r\n\r\n", "x".repeat(64 * 1024));
    assert!(!raw(&page, &head).await.contains(" 200 "));
    assert_eq!(bed.pauses().await.len(), 0, "nothing was done");
    let mut slow = Vec::new();
    for number in 0..64 {
        let mut stream = TcpStream::connect(&page.address).await.unwrap();
        let begun = match number % 3 {
            0 => "",
            1 => "GET /api/v1/overview HTTP/1.1\r\nHost: ",
            _ => "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
        };
        let _ = stream.write_all(begun.as_bytes()).await;
        slow.push(stream);
        assert_eq!(page.get("/page.css").await.status, 200, "with {number} others that do not ask to the end");
    }
    let sent = bed.insert(row()).await;
    bed.until(sent, "sent").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_written_into_a_request_stays_text_in_answers_and_in_the_log() {
    let bed = acting().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let mailbox = "bob@contoso.com\r\nSet-Cookie: event_sender_session=mine";
    let reason = "moved\n{\"level\":\"ERROR\",\"message\":\"made up\"}\u{1b}[2J\u{202e}";
    let answer = page.act("/api/v1/mailboxes/hold", json!({ "mailbox": mailbox, "reason": reason })).await;
    assert!(!answer.headers.contains_key("set-cookie"), "{answer:?}");
    assert!(!answer.text.contains(['\u{1b}', '\u{202e}']) && answer.text.trim_end().lines().count() == 1, "{answer:?}");
    let said = bed.until_said(&agent, "mailbox held from the page").await;
    assert!(said["reason"].as_str().unwrap().starts_with("moved"), "{said}");
    assert!(agent.said("made up").is_empty(), "one action is one line");
    let shown = page.get("/api/v1/mailboxes").await;
    assert!(!shown.text.contains(['\u{1b}', '\u{202e}']), "{}", shown.text);
    assert!(!bed.all_output().contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_header_that_no_setting_trusts_names_nobody() {
    let bed = acting().await;
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let hold = json!({ "mailbox": "bob@contoso.com" });
    for name in ["x-forwarded-user", "x-remote-user", "remote-user", "x-forwarded-for", "forwarded"] {
        let named = page.post("/api/v1/mailboxes/hold", &hold).header(name, "root");
        assert_eq!(Answer::of(named).await.refusal(), (401, "sign_in"), "{name}");
    }
    let named = page.request(Method::GET, "/api/v1/session").header("x-forwarded-user", "root");
    let session = Answer::of(named).await.body;
    assert_eq!((&session["signed_in"], &session["who"]), (&json!(false), &json!(null)), "{session}");
    // Nor is a host believed that a proxy would name.
    let other = page.http.get(format!("http://{}/", page.address)).header(HOST, "evil.example");
    assert_eq!(Answer::of(other.header("x-forwarded-host", "localhost")).await.status, 421);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn behind_a_proxy_with_tls_the_cookie_goes_nowhere_else() {
    let mut bed = acting().await;
    bed.set("web.base", "https://tools.contoso.com/queue/");
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let answer = page.sign_in(TOKEN).await;
    let parts: Vec<&str> = answer.headers["set-cookie"].to_str().unwrap().split("; ").skip(1).collect();
    assert_eq!(parts, ["Path=/queue/", "Max-Age=43200", "HttpOnly", "SameSite=Strict", "Secure"]);
    let own = page.request(Method::POST, "/api/v1/mailboxes/hold").header("cookie", page.cookie().await);
    let own = own.header("content-type", "application/json").header("x-event-sender", "1");
    let own =
        own.header("origin", "https://tools.contoso.com").body(json!({ "mailbox": "bob@contoso.com" }).to_string());
    assert_eq!(Answer::of(own).await.status, 200, "an older browser behind the proxy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_program_that_guesses_tokens_soon_must_wait() {
    let mut bed = reading().await;
    bed.set("web.listen", "0.0.0.0:0");
    with_token(&mut bed);
    let agent = bed.run();
    let page = Page::of(&bed, &agent).await;
    let bearer =
        async |token: &str| Answer::of(page.request(Method::GET, "/api/v1/overview").bearer_auth(token)).await.status;
    assert_eq!(bearer(TOKEN).await, 200);
    for _ in 0..10 {
        assert_eq!(bearer("wrong").await, 401);
    }
    assert_eq!(bearer(TOKEN).await, 401, "not even looked at");
    assert_eq!(page.sign_in(TOKEN).await.status, 200, "people are not kept out by it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_that_others_may_read_is_told_of() {
    let mut bed = acting().await;
    let file = bed.home().join("web_token");
    crate::bed::chmod(&file, 0o644);
    let ran = bed.command(&["check", "--offline"]).await;
    assert!(ran.stdout.contains("web_token") && ran.stdout.contains("chmod"), "{}", ran.stdout);
    std::fs::write(&file, "\n").unwrap();
    let ran = bed.command(&["run"]).await.expect(78);
    assert!(ran.stderr.contains("web.token_file"), "{}", ran.stderr);
    bed.unset("web.token_file");
    bed.set("web.token_file", bed.home().to_str().unwrap().to_owned().as_str());
    let ran = bed.command(&["run"]).await.expect(78);
    assert!(ran.stderr.contains("web.token_file"), "{}", ran.stderr);
}
