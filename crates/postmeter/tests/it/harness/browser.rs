//! A real Chromium, driven over its own pipe: no driver program, no port, no
//! further library. Knows the browser's protocol, and nothing of our pages.

use std::collections::HashMap;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::PATIENCE;

/// Chromium talks on descriptors 3 and 4 where it is told to; a shell puts its
/// standard ones there.
const WITH_PIPE: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;
const FLAGS: [&str; 10] = [
    "--headless",
    "--hide-scrollbars",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
];

/// A browser with an empty profile, gone with this value.
pub(crate) struct Browser {
    link: Arc<Link>,
    child: Child,
    profile: TempDir,
    _reading: JoinSet<()>,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) theme: &'static str,
    pub(crate) width: u32,
    pub(crate) script: bool,
}

impl Look {
    pub(crate) const LIGHT: Look = Look {
        theme: "light",
        width: 1280,
        script: true,
    };
    pub(crate) const DARK: Look = Look {
        theme: "dark",
        ..Look::LIGHT
    };
    pub(crate) const NARROW: Look = Look {
        width: 400,
        ..Look::LIGHT
    };
    pub(crate) const SCRIPTLESS: Look = Look {
        script: false,
        ..Look::LIGHT
    };
}

/// One tab with cookies and a cache of its own.
pub(crate) struct Page {
    link: Arc<Link>,
    session: String,
    begun: Mutex<usize>,
}

struct Event {
    session: String,
    method: String,
    params: Value,
}

#[derive(Default)]
struct Heard {
    asked: u64,
    waiting: HashMap<u64, oneshot::Sender<Value>>,
    events: Vec<Event>,
}

struct Link {
    out: tokio::sync::Mutex<ChildStdin>,
    heard: Mutex<Heard>,
    news: watch::Sender<usize>,
}

impl Link {
    fn hear(&self, message: &Value) {
        let mut heard = self.heard.lock().expect("nobody panics with it");
        if let Some(id) = message["id"].as_u64() {
            if let Some(waiting) = heard.waiting.remove(&id) {
                drop(waiting.send(message.clone()));
            }
            return;
        }
        heard.events.push(Event {
            session: text(&message["sessionId"]),
            method: text(&message["method"]),
            params: message["params"].clone(),
        });
        self.news.send_replace(heard.events.len());
    }

    async fn ask(&self, session: &str, method: &str, params: Value) -> Result<Value, String> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut heard = self.heard.lock().expect("nobody panics with it");
            heard.asked += 1;
            let id = heard.asked;
            heard.waiting.insert(id, sender);
            id
        };
        let mut message = json!({"id": id, "method": method, "params": params});
        if !session.is_empty() {
            message["sessionId"] = json!(session);
        }
        let mut line = message.to_string().into_bytes();
        line.push(0);
        let mut out = self.out.lock().await;
        out.write_all(&line).await.expect("the browser reads");
        drop(out);
        let answer = timeout(PATIENCE, answer).await;
        let mut answer = answer
            .unwrap_or_else(|_| panic!("{method} was not answered"))
            .expect("the browser is there");
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {error}")),
            None => Ok(answer["result"].take()),
        }
    }

    fn n_events(&self) -> usize {
        let heard = self.heard.lock().expect("nobody panics with it");
        heard.events.len()
    }

    /// What `pick` makes of the session's events behind `begun`.
    fn events<T>(
        &self,
        session: &str,
        begun: usize,
        pick: impl Fn(&str, &Value) -> Option<T>,
    ) -> Vec<T> {
        let heard = self.heard.lock().expect("nobody panics with it");
        let of_session = heard.events.iter().skip(begun);
        of_session
            .filter(|event| event.session == session)
            .filter_map(|event| pick(&event.method, &event.params))
            .collect()
    }

    async fn event(&self, session: &str, begun: usize, method: &str) {
        let mut news = self.news.subscribe();
        let came = |there: &str, _: &Value| (there == method).then_some(());
        let coming = async {
            while self.events(session, begun, came).is_empty() {
                news.changed().await.expect("the browser is there");
            }
        };
        let came = timeout(PATIENCE, coming).await;
        assert!(came.is_ok(), "{method} was awaited");
    }
}

async fn listen(from: ChildStdout, link: Arc<Link>) {
    let mut from = BufReader::new(from);
    let mut message = Vec::new();
    while matches!(from.read_until(0, &mut message).await, Ok(n) if n > 0) {
        message.pop();
        if let Ok(message) = serde_json::from_slice(&message) {
            link.hear(&message);
        }
        message.clear();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Browser {
    /// # Panics
    /// Where there is no Chromium: `./test` installs it.
    pub(crate) fn start() -> Browser {
        let profile = TempDir::new().expect("a temporary folder");
        let mut command = Command::new("sh");
        command
            .args(["-c", WITH_PIPE, "chromium"])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("a shell starts");
        let out = child.stdin.take().expect("stdin is piped");
        let from = child.stdout.take().expect("stdout is piped");
        let link = Arc::new(Link {
            out: tokio::sync::Mutex::new(out),
            heard: Mutex::default(),
            news: watch::Sender::new(0),
        });
        let mut reading = JoinSet::new();
        reading.spawn(listen(from, Arc::clone(&link)));
        Browser {
            link,
            child,
            profile,
            _reading: reading,
        }
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.link.ask("", method, params).await;
        answer.expect("the browser does it")
    }

    /// A new tab.
    pub(crate) async fn page(&self, look: Look) -> Page {
        let context = self.ask("Target.createBrowserContext", json!({})).await;
        let context = &context["browserContextId"];
        let asked = json!({"url": "about:blank", "browserContextId": context});
        let target = self.ask("Target.createTarget", asked).await;
        let asked = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.ask("Target.attachToTarget", asked).await;
        let page = Page {
            link: Arc::clone(&self.link),
            session: text(&attached["sessionId"]),
            begun: Mutex::new(0),
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.ask(&format!("{domain}.enable"), json!({})).await;
        }
        page.look(look).await;
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.child.start_kill());
        // The profile can be removed once nobody writes into it any more.
        let begun = Instant::now();
        let ended = |child: &mut Child| -> Option<ExitStatus> { child.try_wait().ok().flatten() };
        while ended(&mut self.child).is_none() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(std::fs::remove_dir_all(self.profile.path()));
    }
}

impl Page {
    async fn ask(&self, method: &str, params: Value) -> Value {
        let answer = self.link.ask(&self.session, method, params).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Looks at pages in another way from now on.
    pub(crate) async fn look(&self, look: Look) {
        let features = json!([{"name": "prefers-color-scheme", "value": look.theme}]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": features}))
            .await;
        let size = json!({
            "width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": false,
        });
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
        let off = json!({"value": !look.script});
        self.ask("Emulation.setScriptExecutionDisabled", off).await;
    }

    /// Leaves a page, which must have given the browser nothing to complain about.
    fn begin(&self) -> usize {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{complaints:?}");
        self.begun()
    }

    fn begun(&self) -> usize {
        *self.begun.lock().expect("nobody panics with it")
    }

    /// Goes to an address and waits until the page and its files are there.
    pub(crate) async fn go(&self, url: &str) {
        let begun = self.begin();
        self.ask("Page.navigate", json!({"url": url})).await;
        self.link
            .event(&self.session, begun, "Page.loadEventFired")
            .await;
    }

    /// Evaluates an expression in the page, where it is a promise what it promises.
    pub(crate) async fn try_eval(&self, expression: &str) -> Result<Value, String> {
        let asked = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
        });
        let mut answer = self
            .link
            .ask(&self.session, "Runtime.evaluate", asked)
            .await?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(details.to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    pub(crate) async fn eval(&self, expression: &str) -> Value {
        let value = self.try_eval(expression).await;
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression is true; a page that changes meanwhile is asked again.
    pub(crate) async fn until(&self, expression: &str) {
        let begun = Instant::now();
        loop {
            if matches!(self.try_eval(expression).await, Ok(Value::Bool(true))) {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let text = self.text("body").await;
                panic!("{expression} did not become true: {text}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the page shows these words.
    pub(crate) async fn until_shown(&self, words: &str) {
        let words = json!(words);
        self.until(&format!("document.body.innerText.includes({words})"))
            .await;
    }

    /// The text of an element as a person sees it.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let found = format!("document.querySelector({})?.innerText", json!(selector));
        text(&self.eval(&found).await)
    }

    /// Presses the link or button with these words, as a mouse does: whatever lies
    /// upon its middle is what is hit.
    pub(crate) async fn press(&self, words: &str) {
        let find = format!(
            "(() => {{ const all = [...document.querySelectorAll('a, button')]; \
             const it = all.find((one) => one.innerText.trim() === {}); \
             if (!it) throw new Error('it is not there'); \
             it.scrollIntoView({{block: 'center', behavior: 'instant'}}); \
             const at = it.getClientRects()[0]; \
             return [at.x + at.width / 2, at.y + at.height / 2]; }})()",
            json!(words)
        );
        let place = self.eval(&find).await;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.ask("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Presses what leads to another page, and waits for that.
    pub(crate) async fn follow(&self, words: &str) {
        let begun = self.begin();
        self.press(words).await;
        self.link
            .event(&self.session, begun, "Page.loadEventFired")
            .await;
    }

    /// Types a text into a field, in place of what it holds.
    pub(crate) async fn fill(&self, selector: &str, typed: &str) {
        let select = format!(
            "(() => {{ const it = document.querySelector({}); it.focus(); it.select(); }})()",
            json!(selector)
        );
        self.eval(&select).await;
        self.ask("Input.insertText", json!({"text": typed})).await;
    }

    /// Chooses an option of a list, or ticks or unticks a box.
    pub(crate) async fn set(&self, selector: &str, value: impl Into<Value>) {
        let value: Value = value.into();
        let set = format!(
            "(() => {{ const it = document.querySelector({}), value = {value}; \
             if (it.type === 'checkbox' || it.type === 'radio') {{ if (it.checked !== value) it.click(); }} \
             else {{ it.value = value; it.dispatchEvent(new Event('change', {{bubbles: true}})); }} }})()",
            json!(selector)
        );
        self.eval(&set).await;
    }

    /// What the browser found fault with since it was last asked: scripts that failed,
    /// and what the content security policy stopped.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let fault = |method: &str, params: &Value| match method {
            "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
            "Log.entryAdded" => {
                let entry = &params["entry"];
                let counts = ["security", "javascript", "violation"];
                let counts = counts.iter().any(|source| entry["source"] == *source);
                counts.then(|| entry["text"].to_string())
            }
            _ => None,
        };
        let mut begun = self.begun.lock().expect("nobody panics with it");
        let found = self.link.events(&self.session, *begun, fault);
        *begun = self.link.n_events();
        found
    }

    /// Loads an address with an empty cache, and counts the bytes that came.
    pub(crate) async fn weight(&self, url: &str) -> u64 {
        let off = json!({"cacheDisabled": true});
        self.ask("Network.setCacheDisabled", off).await;
        self.go(url).await;
        let bytes = |method: &str, params: &Value| {
            let finished = method == "Network.loadingFinished";
            finished.then(|| params["encodedDataLength"].as_f64().unwrap_or_default())
        };
        let bytes: f64 = self
            .link
            .events(&self.session, self.begun(), bytes)
            .iter()
            .sum();
        format!("{bytes:.0}").parse().expect("a sum of lengths")
    }

    /// The whole page as a PNG file, in base64.
    pub(crate) async fn screenshot(&self) -> String {
        let asked = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.ask("Page.captureScreenshot", asked).await;
        text(&shot["data"])
    }
}
