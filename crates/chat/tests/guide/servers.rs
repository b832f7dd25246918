//! The configurations of other servers in the guide, run by these servers: what the book
//! writes, with ports, paths and a certificate of here.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::book::{self, chapter};

/// For a server that starts on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Makes the accounts, as soon as ejabberd can.
const ACCOUNTS: &str = r#"
spawn(fun() ->
  Make = fun(Again, User) ->
    case catch ejabberd_auth:try_register(User, <<"example.org">>, <<"secret">>) of
      ok -> ok;
      {error, exists} -> ok;
      _ -> receive after 50 -> Again(Again, User) end
    end
  end,
  [Make(Make, User) || User <- [<<"alice">>, <<"bob">>]]
end)."#;

/// A server of another make, and its folder. Killed when it is dropped.
struct Server {
    process: Child,
    folder: TempDir,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the chapter writes into a file.
fn configuration(file: &str) -> String {
    let blocks = book::blocks(&chapter("deployment.md"));
    let block = blocks.iter().find(|block| block.file() == Some(file));
    block.expect("the chapter has it").text()
}

/// The text with another piece; the first one must be there.
fn with(text: &str, piece: &str, other: &str) -> String {
    assert!(text.contains(piece), "{piece}: {text}");
    text.replace(piece, other)
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// A folder with a key and a certificate for `example.org`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut certificate = rcgen::CertificateParams::new(["example.org".to_owned()]).unwrap();
    // ejabberd cannot tell when one ends that is good for longer than people.
    certificate.not_after = rcgen::date_time_ymd(2049, 1, 1);
    let certificate = certificate.self_signed(&key).unwrap().pem();
    let write = |name, text| std::fs::write(folder.path().join(name), text).unwrap();
    write("both.pem", certificate.clone() + &key.serialize_pem());
    write("key.pem", key.serialize_pem());
    write("cert.pem", certificate);
    folder
}

impl Server {
    fn start(folder: TempDir, port: u16, command: &mut Command) -> Self {
        let output = std::fs::File::create(folder.path().join("output")).unwrap();
        let process = command
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self {
            process,
            folder,
            port,
        }
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stanchion"));
        command
            .args(words.split_whitespace())
            .args(["--connect", &format!("127.0.0.1:{}", self.port)])
            .args(["--ca", "cert.pem"])
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.folder.path().join("config"))
            .env("XDG_DATA_HOME", self.folder.path().join("data"))
            .env("STANCHION_PASSWORD", "secret")
            .env("COLUMNS", "80")
            .current_dir(self.folder.path());
        command
    }

    fn stanchion(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// What `doctor` says once the server is up, with both its accounts.
    fn looked_over(&self) -> String {
        let over = Instant::now() + LIMIT;
        loop {
            let looked = ["alice", "bob"]
                .map(|user| self.stanchion(&format!("doctor --jid {user}@example.org")));
            if looked.iter().all(|output| output.status.success()) {
                return String::from_utf8_lossy(&looked[0].stdout).into_owned();
            }
            let output = self.folder.path().join("output");
            let said = std::fs::read_to_string(output).unwrap();
            assert!(Instant::now() < over, "{looked:?}\n{said}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A message whose recipient is away is in doubt; once it is there, the next one is
    /// delivered.
    fn delivers(&self) {
        let send = |more: &str| {
            self.stanchion(&format!(
                "send --jid alice@example.org --to bob@example.org {more}"
            ))
        };
        let early = send("--timeout 1s early");
        assert_eq!(early.status.code(), Some(11), "{early:?}");
        let mut listener = self
            .command("listen --jid bob@example.org --count 1")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let late = send("late");
        let _ = listener.kill();
        let _ = listener.wait();
        assert_eq!(late.status.code(), Some(0), "{late:?}");
    }
}

#[test]
fn the_guides_prosody_is_as_the_guide_says() {
    let folder = folder();
    let [port, direct, s2s] = free_ports();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("certs")).unwrap();
    std::fs::copy(path("cert.pem"), path("certs/example.org.crt")).unwrap();
    std::fs::copy(path("key.pem"), path("certs/example.org.key")).unwrap();
    let data = folder.path().display();
    let ours = format!(
        "run_as_root = true\npidfile = \"{data}/pid\"\ndata_path = \"{data}/data\"\n\
         interfaces = {{ \"127.0.0.1\" }}\nc2s_ports = {{ {port} }}\ns2s_ports = {{ {s2s} }}\n\
         http_ports = {{ }}\nhttps_ports = {{ }}\nlog = {{ info = \"*console\" }}\n"
    );
    let text = configuration("prosody.cfg.lua");
    let text = ours + &with(&text, "{ 5223 }", &format!("{{ {direct} }}"));
    let file = path("prosody.cfg.lua");
    std::fs::write(&file, text).unwrap();
    for user in ["alice", "bob"] {
        let made = Command::new("prosodyctl")
            .args(["--root", "--config"])
            .arg(&file)
            .args(["register", user, "example.org", "secret"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    let mut command = Command::new("prosody");
    command.arg("-F").arg("--config").arg(&file);
    let server = Server::start(folder, port, &mut command);
    let looked = server.looked_over();
    let blocks = book::blocks(&chapter("deployment.md"));
    let quoted = blocks.iter().find(|b| b.text().contains("resumption"));
    for line in quoted.unwrap().text().lines() {
        assert!(looked.contains(line), "{line}: {looked}");
    }
    server.delivers();
}

#[test]
fn the_guides_ejabberd_is_as_the_guide_says() {
    let folder = folder();
    let [port, direct, s2s] = free_ports();
    let path = |name: &str| folder.path().join(name);
    let mut text = configuration("ejabberd.yml");
    for (usual, here) in [("5222", port), ("5223", direct), ("5269", s2s)] {
        let here = format!("port: {here}, ip: \"127.0.0.1\"");
        text = with(&text, &format!("port: {usual}"), &here);
    }
    let certificate = path("both.pem").display().to_string();
    text = with(&text, "/etc/ejabberd/example.org.pem", &certificate);
    // Two accounts are made at once here.
    text += "registration_timeout: infinity\n";
    let file = path("ejabberd.yml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("erl");
    command
        .args(["-noinput", "-mnesia", "dir"])
        .arg(format!("\"{}\"", path("spool").display()))
        .args(["-s", "ejabberd", "-eval", ACCOUNTS])
        .env("ERL_LIBS", library())
        .env("EJABBERD_CONFIG_PATH", &file)
        .env("EJABBERD_LOG_PATH", path("ejabberd.log"))
        .env("ERL_MAX_ETS_TABLES", "2053");
    let server = Server::start(folder, port, &mut command);
    let looked = server.looked_over();
    for told in [
        "login        SCRAM-SHA-256\n",
        "the server offers it, and then refuses it",
        "resumption   yes, for 600 s",
    ] {
        assert!(looked.contains(told), "{told}: {looked}");
    }
    server.delivers();
}

/// The folder that ejabberd and its libraries are in.
fn library() -> String {
    let found = Command::new("sh")
        .args([
            "-c",
            "ls -d /usr/lib/*/ejabberd-* /usr/lib/erlang/lib/ejabberd-*",
        ])
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let first = found.lines().next().expect("ejabberd is installed");
    Path::new(first).parent().unwrap().display().to_string()
}
