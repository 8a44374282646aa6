//! A headless Chromium, driven over a pair of pipes by its DevTools protocol: it runs pages as people's browsers do.
//!
//! Messages are JSON with a NUL after each (`--remote-debugging-pipe`). Whatever a page complains of (exceptions, errors on its console,
//! dialogs) is remembered: [`Browser::complaints`].

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Place;

/// How long something may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Browsers that know what is said here.
const PROGRAMS: [&str; 3] = ["chromium-headless-shell", "chromium", "google-chrome"];

/// See above.
pub struct Browser {
    child: Child,
    orders: File,
    heard: Receiver<Value>,
    number: u64,
    session: Option<String>,
    complaints: Vec<String>,
    _place: Place,
}

/// A browser of this host, if there is one.
pub fn program() -> Option<&'static str> {
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    PROGRAMS.into_iter().find(|name| folders.iter().any(|folder| folder.join(name).is_file()))
}

impl Browser {
    /// Starts one, with an empty page of this size.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(program: &str, width: u32, height: u32) -> Self {
        let place = Place::new();
        let (orders, answers) = (place.join("orders"), place.join("answers"));
        for pipe in [&orders, &answers] {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                pipe,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
                0,
            )
            .expect("a pipe");
        }
        // Descriptors 3 and 4 are what it is told by and what it tells by. Tests may run as root, for whom it has no sandbox.
        let script = "exec \"$0\" --headless --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage --hide-scrollbars \
                      --remote-debugging-pipe --user-data-dir=profile about:blank 3<orders 4>answers";
        let child = Command::new("sh")
            .args(["-c", script, program])
            .current_dir(place.path())
            .env("HOME", place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(place.join("stderr")).expect("a file"))
            .spawn()
            .expect("a shell");
        let orders = OpenOptions::new().write(true).open(&orders).expect("the shell reads");
        let answers = File::open(&answers).expect("the shell writes");
        let (to, heard) = channel();
        spawn(move || {
            let mut messages = BufReader::new(answers).split(0);
            while let Some(Ok(message)) = messages.next() {
                let Ok(message) = serde_json::from_slice(&message) else { return };
                if to.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser =
            Self { child, orders, heard, number: 0, session: None, complaints: Vec::new(), _place: place };
        browser.open_tab();
        browser.resize(width, height);
        browser
    }

    fn open_tab(&mut self) {
        self.session = None;
        let target = self.ask("Target.createTarget", json!({"url": "about:blank"}));
        let target = target["targetId"].as_str().expect("a target").to_owned();
        let attached = self.ask("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network", "Performance"] {
            self.ask(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Another size of the page.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", size);
    }

    /// Whether its user likes it dark.
    pub fn set_dark(&mut self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.ask("Emulation.setEmulatedMedia", features);
    }

    /// Orders something, and waits for what it answers.
    ///
    /// # Panics
    /// It answers an error, or nothing.
    #[track_caller]
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.orders.write_all(&bytes).expect("the browser reads");
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut heard = self.heard.recv_timeout(left).unwrap_or_else(|error| {
                panic!("{method}: {error}: {}", self.stderr());
            });
            if heard["id"].as_u64() == Some(self.number) {
                assert!(heard["error"].is_null(), "{method}: {}", heard["error"]);
                return heard["result"].take();
            }
            self.note(&heard);
        }
    }

    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        let complaint = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => parameters.pointer("/exceptionDetails"),
            Some("Log.entryAdded") => parameters.get("entry").filter(|entry| entry["level"] == "error"),
            Some("Runtime.consoleAPICalled") => Some(parameters).filter(|call| call["type"] == "error"),
            Some("Page.javascriptDialogOpening") => Some(parameters),
            _ => None,
        };
        self.complaints.extend(complaint.map(Value::to_string));
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self._place.join("stderr")).unwrap_or_default()
    }

    /// Goes to an address.
    #[track_caller]
    pub fn open(&mut self, address: &str) {
        let went = self.ask("Page.navigate", json!({"url": address}));
        assert!(went["errorText"].is_null(), "{address}: {went}");
        self.wait_for("document.readyState === 'complete'");
    }

    /// What an expression is there.
    ///
    /// # Panics
    /// It throws.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut result = self.ask("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// It never is.
    #[track_caller]
    pub fn wait_for(&mut self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        // A page that is on its way has nothing of what is asked for.
        while self.evaluate(&format!(
            "(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()"
        )) != Value::Bool(true)
        {
            if Instant::now() > end {
                let text = self.evaluate("document.body.innerText");
                panic!("never {expression}: {text}\n{:?}", self.complaints);
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the page has a text.
    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        self.wait_for(&format!("document.body.innerText.includes({})", Value::from(text)));
    }

    /// Clicks on the middle of an element, as a mouse does.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let quoted = Value::from(selector).to_string();
        self.wait_for(&format!("!document.querySelector({quoted}).disabled"));
        let place = format!(
            "(() => {{ const it = document.querySelector({quoted}); it.scrollIntoView({{block: 'center'}}); \
             const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2] }})()"
        );
        // What has just been opened or moved may not be where the next frame draws it, or not yet on top.
        self.wait_for(&format!(
            "(() => {{ const place = {place}; const before = window.lastPlace; window.lastPlace = place.join(); \
             return window.lastPlace === before && document.querySelector({quoted}).contains(document.elementFromPoint(...place)) }})()"
        ));
        let place = self.evaluate(&place);
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses and releases a key, such as `Enter` or `j`.
    pub fn press(&mut self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            _ if key.chars().count() == 1 => key,
            _ => "",
        };
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            _ => 0,
        };
        let down = json!({"type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code});
        self.ask("Input.dispatchKeyEvent", down);
        self.ask(
            "Input.dispatchKeyEvent",
            json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}),
        );
    }

    /// Types into what has the focus.
    pub fn insert(&mut self, text: &str) {
        self.ask("Input.insertText", json!({"text": text}));
    }

    /// What it was used for so far, in s: `ScriptDuration`, `LayoutDuration`, `TaskDuration` …
    pub fn metric(&mut self, name: &str) -> f64 {
        let metrics = self.ask("Performance.getMetrics", json!({}));
        let all = metrics["metrics"].as_array().cloned().unwrap_or_default();
        all.iter()
            .find(|metric| metric["name"] == name)
            .and_then(|it| it["value"].as_f64())
            .unwrap_or(f64::NAN)
    }

    /// A picture of what is seen.
    pub fn picture(&mut self, path: &Path) {
        let taken = self.ask("Page.captureScreenshot", json!({"format": "png"}));
        let bytes = from_base64(taken["data"].as_str().unwrap_or_default());
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }

    /// What pages have complained of since this was asked last.
    pub fn complaints(&mut self) -> Vec<String> {
        // What it has said by now is read.
        self.evaluate("1");
        std::mem::take(&mut self.complaints)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own processes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap_or_default());
        }
    }
    bytes
}
