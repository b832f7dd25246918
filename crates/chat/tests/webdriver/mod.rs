//! A browser without a window, driven over the protocol WebDriver (W3C) as a person uses it:
//! keys, clicks, and what is to be seen. It owns chromedriver and the session; what should be
//! seen is in the tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::common::{Home, LIMIT, Running, eventually, word};

/// Keys without a letter, as WebDriver spells them.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const ESCAPE: &str = "\u{e00c}";

/// The key under which an element stands in JSON (WebDriver, section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// What drives the browser, and its port. It takes a free port of IPv6, and ends if that one
/// is not free of IPv4: then there is another try.
fn driver(home: &Home) -> (Running, u16) {
    for _ in 0..20 {
        let mut command = Command::new("chromedriver");
        command
            .arg("--port=0")
            .env("HOME", home.path(""))
            .env("TMPDIR", home.path("tmp"));
        let mut driver = Running::start(command);
        loop {
            let line = driver.line();
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return (driver, port.trim_end_matches('.').parse().unwrap());
            }
            if line.contains("port not available") {
                break;
            }
        }
    }
    panic!("chromedriver finds no port");
}

/// A browser. It ends when this is dropped.
pub(crate) struct Browser {
    port: u16,
    session: String,
    /// Dropped after the session, which it would else leave behind.
    _driver: Running,
    /// Its profile.
    _home: Home,
}

impl Browser {
    /// One with a page of so many pixels.
    pub(crate) fn start(width: u32, height: u32) -> Self {
        let home = Home::new();
        let (driver, port) = driver(&home);
        let profile = home.path("profile");
        let profile = format!("--user-data-dir={}", word(&profile));
        let window = format!("--window-size={width},{height}");
        let mut options = json!({ "args": ["--headless=new", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run",
            "--hide-scrollbars", window, profile] });
        if Path::new("/usr/bin/chromium").exists() {
            options["binary"] = json!("/usr/bin/chromium");
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let made = request(port, "POST", "/session", Some(&wanted));
        let session = made["sessionId"].as_str().expect("a session").to_owned();
        let browser = Self {
            port,
            session,
            _driver: driver,
            _home: home,
        };
        browser.screen(width, height, width < 600);
        browser.develop(
            "Emulation.setFocusEmulationEnabled",
            &json!({ "enabled": true }),
        );
        browser
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{command}", self.session);
        request(self.port, "POST", &path, Some(body))
    }

    /// A command of the developer tools.
    fn develop(&self, command: &str, of: &Value) {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": of }));
    }

    /// The page has so many pixels from now on; `phone` with fingers in place of a mouse.
    pub(crate) fn screen(&self, width: u32, height: u32, phone: bool) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone });
        self.develop("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Whether the person likes it dark.
    pub(crate) fn dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let likes = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.develop("Emulation.setEmulatedMedia", &likes);
    }

    pub(crate) fn open(&self, address: &str) {
        self.post("url", &json!({ "url": address }));
    }

    pub(crate) fn reload(&self) {
        self.post("refresh", &json!({}));
    }

    /// What a script gives back.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a script says true.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, script: &str) {
        eventually(what, || self.script(script) == true);
    }

    /// The texts of all elements that a selector finds and that are to be seen.
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        let all = format!(
            "return [...document.querySelectorAll({})].filter((e) => e.offsetParent).map((e) => e.textContent)",
            json!(selector)
        );
        serde_json::from_value(self.script(&all)).unwrap()
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) fn keys(&self, text: &str) {
        let keys = text.chars().map(String::from).flat_map(|key| {
            [
                json!({ "type": "keyDown", "value": key }),
                json!({ "type": "keyUp", "value": key }),
            ]
        });
        let keys: Vec<Value> = keys.collect();
        self.post(
            "actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": keys }] }),
        );
    }

    /// Clicks in the middle of an element, once it is there.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let there = format!(
            "return !!document.querySelector({})?.offsetParent",
            json!(selector)
        );
        self.until(selector, &there);
        let found = self.post(
            "element",
            &json!({ "using": "css selector", "value": selector }),
        );
        let element = found[ELEMENT].as_str().unwrap();
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// What the console of the browser has to say since it was asked last: errors of scripts,
    /// and what the policy for content did not let through.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let lines = self.post("se/log", &json!({ "type": "browser" }));
        let lines = lines.as_array().unwrap().iter();
        let lines = lines.filter(|l| l["level"] == "SEVERE" || l["level"] == "WARNING");
        lines
            .map(|l| l["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What is to be seen, as PNG.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let path = format!("/session/{}/screenshot", self.session);
        let picture = request(self.port, "GET", &path, None);
        base64::engine::general_purpose::STANDARD
            .decode(picture.as_str().unwrap())
            .unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser. Whatever comes of it, the driver ends, too.
        let path = format!("/session/{}", self.session);
        let _ = exchange(self.port, "DELETE", &path, None);
    }
}

/// A request to chromedriver, and the value that it answers.
#[track_caller]
fn request(port: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
    let answer = exchange(port, method, path, body).unwrap();
    let value = answer["value"].clone();
    assert!(
        value["error"].is_null(),
        "{method} {path} {body:?}: {} {}",
        value["error"],
        value["message"]
    );
    value
}

fn exchange(port: u16, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Value> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut line = TcpStream::connect(("127.0.0.1", port))?;
    line.set_read_timeout(Some(LIMIT.max(Duration::from_secs(60))))?;
    write!(
        line,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        line.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let long = head.lines().find_map(|l| l.strip_prefix("content-length:"));
    let long: usize = long.and_then(|l| l.trim().parse().ok()).expect("a length");
    let mut answer = vec![0; long];
    line.read_exact(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}
