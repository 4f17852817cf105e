//! The page in a real browser: Debian's `chromium`, driven through its `chromedriver`. Its own step, as not every machine has
//! them: `cargo test --test it web::browser -- --ignored`. `$EVENT_SENDER_AXE` is `axe.min.js` of the npm package axe-core, or
//! `none`, and then nobody has looked whether the page can be used by all. Pictures to look at are left in
//! `$EVENT_SENDER_PICTURES`, if that is set.
//!
//! `states` are the states the page must look right in, `clicks` what is done with the mouse, `keys` with the keyboard.

mod clicks;
mod keys;
mod states;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use thirtyfour::error::{WebDriverError, WebDriverErrorInner};
use thirtyfour::prelude::*;

use super::Page;
use crate::process::{LOOK, PATIENCE};

/// A window of an ordinary screen, the same at 200 %, and a phone: width, height, and pixels for each of its points.
const SCREENS: [(&str, u32, u32, f64); 3] =
    [("screen", 1320, 960, 1.0), ("twice", 660, 480, 2.0), ("phone", 360, 740, 2.0)];
const SCHEMES: [&str; 2] = ["light", "dark"];
/// All that axe-core knows, and sizes of what is pressed, which it leaves out unless asked.
const AXE: &str = "const done = arguments[0];
    axe.run(document, { resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } }).then(
        found => done(found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.target + ' ' + node.failureSummary).join('; '))),
        error => done([String(error)]));";

/// A browser with one window. It ends with the test.
pub struct Browser {
    /// Dropped first: that closes the window.
    pub driver: WebDriver,
    at: String,
    _processes: Processes,
}

/// Both end with the test, however that ends: a browser does not end with its driver.
struct Processes {
    chromedriver: Child,
    chromium: Option<u64>,
}

impl Drop for Processes {
    fn drop(&mut self) {
        if let Some(chromium) = self.chromium {
            let _ = Command::new("kill").arg(chromium.to_string()).stderr(Stdio::null()).status();
        }
        let _ = self.chromedriver.kill();
        let _ = self.chromedriver.wait();
    }
}

impl Browser {
    /// Opens this page, at `hash`.
    pub async fn open(page: &Page, hash: &str) -> Self {
        let mut chromedriver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs; Debian's package is chromium-driver");
        let lines = BufReader::new(chromedriver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let mut wanted = DesiredCapabilities::chrome();
        for argument in
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
        {
            wanted.add_arg(argument).unwrap();
        }
        let mut processes = Processes { chromedriver, chromium: None };
        let driver = WebDriver::new(format!("http://127.0.0.1:{}", port.expect("it says its port")), wanted).await;
        let driver = driver.unwrap();
        processes.chromium = driver.handle().capabilities().get("goog:processID").and_then(Value::as_u64);
        assert!(processes.chromium.is_some(), "chromedriver says which process the browser is");
        let browser = Self { driver, at: format!("http://{}/", page.address), _processes: processes };
        browser.screen(SCREENS[0], "light").await;
        browser.goto(hash).await;
        browser
    }

    pub async fn goto(&self, hash: &str) {
        self.driver.goto(format!("{}{hash}", self.at)).await.unwrap();
    }

    async fn screen(&self, (_, width, height, scale): (&str, u32, u32, f64), scheme: &str) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false });
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", metrics).await.unwrap();
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme }, { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", features).await.unwrap();
    }

    /// What this expression is in the page.
    pub async fn js(&self, expression: &str) -> Value {
        let answer = self.driver.execute(format!("return ({expression});"), Vec::new()).await;
        answer.unwrap_or_else(|error| panic!("{expression}: {error}")).json().clone()
    }

    /// All that is to be read.
    pub async fn text(&self) -> String {
        self.js("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until it is so in the page; what it is about may not be there yet.
    pub async fn until(&self, expression: &str) {
        let begun = Instant::now();
        let asked = format!("try {{ return Boolean({expression}); }} catch (error) {{ return String(error); }}");
        loop {
            let answer = self.driver.execute(&asked, Vec::new()).await.unwrap().json().clone();
            if answer == true {
                return;
            }
            if begun.elapsed() > PATIENCE {
                panic!("waited in vain until {expression}: {answer}\n{}", self.text().await);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until all of this can be read.
    pub async fn until_reads(&self, texts: &[&str]) {
        for text in texts {
            self.until(&format!("document.body.innerText.includes({})", json!(text))).await;
        }
    }

    /// Clicks what this finds, as soon as it is there and nothing lies over it.
    pub async fn click(&self, xpath: &str) {
        let begun = Instant::now();
        loop {
            let clicked = match self.driver.find(By::XPath(xpath)).await {
                Ok(element) => element.click().await,
                Err(error) => Err(error),
            };
            match clicked {
                Ok(()) => return,
                // The page has drawn itself anew meanwhile, or is about to.
                Err(error) if begun.elapsed() < PATIENCE && may_pass(&error) => tokio::time::sleep(LOOK).await,
                Err(error) => panic!("{xpath}: {error}\n{}", self.text().await),
            }
        }
    }

    /// The button with this on it, while no dialog is open.
    pub async fn press(&self, text: &str) {
        self.click(&format!("//button[normalize-space()='{text}' and not(@hidden)]")).await;
    }

    /// The button with this on it in the open dialog.
    pub async fn confirm(&self, text: &str) {
        self.click(&format!("//dialog//button[normalize-space()='{text}']")).await;
    }

    /// Keys as a person presses them, wherever the focus is.
    pub async fn keys(&self, keys: &str) {
        for key in keys.chars() {
            self.driver.action_chain().send_keys(key.to_string()).perform().await.unwrap();
        }
    }

    /// Looks at the page as it stands, on every screen and in both schemes: nothing beside it, nothing that somebody could not
    /// use. Pictures of it are called `name`.
    pub async fn look(&self, name: &str) {
        for scheme in SCHEMES {
            for screen in SCREENS {
                self.screen(screen, scheme).await;
                let what = format!("{name}-{}-{scheme}", screen.0);
                let wide = self.js("document.documentElement.scrollWidth - innerWidth").await;
                assert_eq!(wide, 0, "{what}: points that stand out to the right");
                self.check_for_all(&what).await;
                self.picture(&what).await;
            }
        }
        self.screen(SCREENS[0], "light").await;
    }

    async fn check_for_all(&self, what: &str) {
        let axe = std::env::var("EVENT_SENDER_AXE")
            .expect("EVENT_SENDER_AXE is axe.min.js of the npm package axe-core, or none to leave that unchecked");
        if axe == "none" {
            eprintln!("NOT CHECKED with axe-core: {what}");
            return;
        }
        if self.js("typeof axe").await == "undefined" {
            let axe = std::fs::read_to_string(&axe).unwrap_or_else(|error| panic!("{axe}: {error}"));
            self.driver.execute(axe, Vec::new()).await.unwrap();
        }
        let found = self.driver.execute_async(AXE, Vec::new()).await.unwrap();
        assert_eq!(*found.json(), json!([]), "{what}");
    }

    async fn picture(&self, name: &str) {
        let Some(pictures) = std::env::var_os("EVENT_SENDER_PICTURES") else { return };
        let file = PathBuf::from(pictures).join(format!("{name}.png"));
        self.driver.screenshot(Path::new(&file)).await.unwrap();
    }
}

fn may_pass(error: &WebDriverError) -> bool {
    matches!(
        error.as_inner(),
        WebDriverErrorInner::NoSuchElement(_)
            | WebDriverErrorInner::StaleElementReference(_)
            | WebDriverErrorInner::ElementClickIntercepted(_)
            | WebDriverErrorInner::ElementNotInteractable(_)
    )
}
