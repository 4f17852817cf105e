//! The page and its API over HTTP: who may see and do what, and what they see and do. `browser` looks at the page itself.

mod acting;
mod browser;
mod guarding;
mod reading;
mod schemas;

use reqwest::header::{HOST, HeaderMap};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::bed::Bed;
use crate::process::Process;

/// What signs in.
const TOKEN: &str = "correct-horse-battery-staple";

/// The page of a running agent.
struct Page {
    address: String,
    http: reqwest::Client,
}

/// An answer, as JSON if it is.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
    text: String,
}

impl Page {
    /// Waits until the agent says where the page is.
    async fn of(bed: &Bed, agent: &Process) -> Self {
        let line = bed.until_said(agent, "page listening").await;
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().no_proxy().redirect(redirect).build().unwrap();
        let page = Self { address: line["address"].as_str().unwrap().replace("0.0.0.0", "127.0.0.1"), http };
        let open = async || {
            let known =
                page.request(Method::GET, "/api/v1/overview").bearer_auth(TOKEN).header("x-forwarded-user", "bed");
            (Answer::of(known).await.status == 200).then_some(())
        };
        bed.wait("the page has seen the queue", open).await;
        page
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.address)).header(HOST, self.address.as_str())
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// What a script of the page sends, without a session.
    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path)
            .header("content-type", "application/json")
            .header("x-event-sender", "1")
            .header("sec-fetch-site", "same-origin")
            .body(body.to_string())
    }

    async fn sign_in(&self, token: &str) -> Answer {
        Answer::of(self.post("/api/v1/session", &serde_json::json!({ "token": token }))).await
    }

    /// A session's cookie.
    async fn cookie(&self) -> String {
        let answer = self.sign_in(TOKEN).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    /// What a signed-in page does.
    async fn act(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.post(path, &body).header("cookie", self.cookie().await)).await
    }
}

impl Answer {
    async fn of(request: RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        Self { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    /// Why there is none.
    fn refusal(&self) -> (u16, &str) {
        (self.status, self.body["error"]["what"].as_str().unwrap_or_default())
    }
}

/// A bed with a page that only reads.
async fn reading() -> Bed {
    let mut bed = Bed::new().await;
    bed.set("web.listen", "127.0.0.1:0");
    bed
}

/// A bed with a page that acts for a holder of the token.
async fn acting() -> Bed {
    let mut bed = reading().await;
    with_token(&mut bed);
    bed.set_literal("web.actions", "true");
    bed
}

fn with_token(bed: &mut Bed) {
    let file = bed.home().join("web_token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    crate::bed::chmod(&file, 0o600);
    bed.set("web.token_file", file.to_str().unwrap());
}
