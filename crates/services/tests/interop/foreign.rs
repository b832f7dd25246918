//! A client of another make: slixmpp, told by lines what to do, and telling by lines what
//! it saw. Each service's script is a file in `clients`, on top of `foreign.py`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::server::Real;

/// What takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Foreign {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
    /// Its address.
    pub(crate) jid: String,
}

impl Foreign {
    /// Logs in as an account that [`Real::add`] gave, with that script, and waits until it
    /// is online.
    pub(crate) async fn start(script: &str, server: &Real, user: &str) -> Self {
        Self::log_in(script, server, user, user).await
    }

    /// The same, with a password of its own.
    pub(crate) async fn log_in(script: &str, server: &Real, user: &str, password: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/clients");
        let python = std::env::var_os("STANCHION_PYTHON").map_or("python3".into(), PathBuf::from);
        let mut child = Command::new(python)
            .arg(folder.join(script))
            .arg(format!("{user}@{}", server.domain()))
            .args([password, "127.0.0.1"])
            .arg(server.port("starttls").to_string())
            .arg(server.ca())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut this = Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
            seen: Vec::new(),
            jid: String::new(),
        };
        let online = this.says("online ").await;
        this.jid = online["online ".len()..].to_owned();
        this
    }

    /// The next line that begins like that; the others are passed over.
    pub(crate) async fn says(&mut self, beginning: &str) -> String {
        let found = async {
            while let Some(line) = self.output.next_line().await.unwrap() {
                self.seen.push(line.clone());
                if line.starts_with(beginning) {
                    return Some(line);
                }
            }
            None
        };
        match timeout(PATIENCE, found).await {
            Ok(Some(line)) => line,
            _ => panic!("no {beginning:?} among {:#?}", self.seen),
        }
    }

    /// Has it do something: a line of words.
    pub(crate) async fn tell(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
        self.input.flush().await.unwrap();
    }

    /// Ends it.
    pub(crate) async fn end(mut self) {
        drop(self.input);
        let status = timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("it ends with its input").unwrap();
        assert!(status.success(), "{status}: {:#?}", self.seen);
    }
}
