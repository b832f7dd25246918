//! A publisher and a subscriber, each in a process of its own that is killed again and
//! again, over the embedded hub or a real server: at the application's end there is no gap
//! and nothing twice. This program is the orchestrator, and both ends.
//!
//! ```text
//! cargo test -p stanchion-services --test pubsub_chaos -- --items 20000 --kills 50 --server prosody
//! ```
//!
//! `--server` is `hub` (the default), `prosody` or `ejabberd`; the latter two are those
//! that `STANCHION_TEST_SERVERS` names. `--seed` gives the kills of an earlier run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test may fail so, and tells its figures"
)]

mod ends;
mod orchestrator;
mod place;

use std::collections::HashMap;

/// `--name value` pairs; what else there is, is the test runner's.
pub(crate) struct Options(HashMap<String, String>);

impl Options {
    fn read() -> Self {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let pairs = args.windows(2).filter(|pair| pair[0].starts_with("--"));
        let pairs = pairs.map(|pair| (pair[0][2..].to_owned(), pair[1].clone()));
        Self(pairs.collect())
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str, default: u64) -> u64 {
        self.text(name).map_or(default, |n| n.parse().unwrap())
    }
}

fn main() {
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    let options = Options::read();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        match options.text("end") {
            Some("publisher") => ends::publish(&options).await,
            Some("subscriber") => ends::subscribe(&options).await,
            _ => orchestrator::run(&options).await,
        }
    });
}
