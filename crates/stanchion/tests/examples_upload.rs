//! The example of upload, as a process. The service that gives slots is a component at the
//! hub, and the place for files a small HTTP server, both here.

#![cfg(feature = "upload")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stanchion::Client;
use stanchion::connect::component::{ComponentConfig, ComponentConnector};
use stanchion::connect::{Connect as _, Endpoint};
use stanchion::stanza::payload::disco::{DiscoInfo, Identity};
use stanchion::stanza::payload::upload::{Request, Slot, limit_form};
use stanchion::stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion::stanza::{Iq, Payload as _, Stanza, StreamEvent, Text, ns};
use stanchion::transport::{TlsMode, XmppStream};
use stanchion_hub::{Accounts, ComponentConfig as HubComponent, Hub, HubConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::oneshot;

/// The largest file that is taken, in bytes.
const MOST: u64 = 200_000;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, what).await.expect("in time")
}

/// `cargo test -p stanchion` builds the examples beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(|deps| deps.parent()).unwrap();
    let mut path = target.join("examples").join(name);
    path.set_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "build the examples: {}", path.display());
    path
}

/// What was put where.
type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// One request of HTTP: PUT keeps a file, GET gives it.
async fn http(mut stream: TcpStream, files: Files) {
    let mut heard = Vec::new();
    let (head, length) = loop {
        let mut bytes = vec![0; 16 * 1024];
        let n = stream.read(&mut bytes).await.unwrap();
        assert!(n > 0, "a whole request");
        heard.extend_from_slice(&bytes[..n]);
        let Some(end) = heard.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(heard[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse::<usize>().unwrap())
        });
        heard.drain(..end + 4);
        break (head, length.unwrap_or(0));
    };
    let at = heard.len();
    heard.resize(length, 0);
    stream.read_exact(&mut heard[at..]).await.unwrap();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let answer = match method {
        "PUT" => {
            files.lock().unwrap().insert(path.to_owned(), heard);
            b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        }
        _ => {
            let file = files.lock().unwrap().get(path).cloned().unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.len());
            [head.into_bytes(), file].concat()
        }
    };
    stream.write_all(&answer).await.unwrap();
}

/// What the component answers.
fn answer(iq: &Iq, place: SocketAddr) -> Iq {
    let text = Text::from_static;
    match &iq.kind {
        IqKind::Get(child) if child.is("query", ns::DISCO_INFO) => {
            let info = DiscoInfo {
                node: None,
                identities: vec![Identity {
                    category: text("store"),
                    kind: text("file"),
                    name: None,
                    lang: None,
                }],
                features: vec![text(ns::UPLOAD)],
                extensions: vec![limit_form(MOST).to_element()],
            };
            iq.result(Some(info.to_element()))
        }
        IqKind::Get(child) if Request::matches(child) => {
            let asked = Request::from_element(child).unwrap();
            assert!(asked.size <= MOST);
            let url = Text::new(format!("http://{place}/1/{}", asked.filename)).unwrap();
            let slot = Slot {
                put: url.clone(),
                get: url,
                headers: Vec::new(),
            };
            iq.result(Some(slot.to_element()))
        }
        _ => {
            let condition = DefinedCondition::ServiceUnavailable;
            iq.refuse(StanzaError::new(ErrorType::Cancel, condition))
        }
    }
}

/// The service, for as long as its stream is there.
async fn serve(mut stream: XmppStream, place: SocketAddr) {
    while let Ok(StreamEvent::Element(element)) = stream.next().await {
        if let Ok(Stanza::Iq(iq)) = Stanza::from_element(element)
            && iq.is_request()
        {
            stream.send(&answer(&iq, place).to_element()).unwrap();
        }
    }
}

#[tokio::test]
async fn the_example_puts_a_picture_and_tells_where_it_is() {
    let hub = Hub::bind(HubConfig {
        domain: "home.example".to_owned(),
        starttls: Some("127.0.0.1:0".parse().unwrap()),
        direct_tls: None,
        accounts: Accounts::open_demo([("camera", "secret"), ("phone", "secret")]).unwrap(),
        component: Some(HubComponent {
            listen: "127.0.0.1:0".parse().unwrap(),
            domain: "files.home.example".to_owned(),
            secret: "shared".into(),
        }),
        ..HubConfig::default()
    })
    .await
    .unwrap();
    let addresses = hub.addresses();
    let (place, pin) = (addresses.starttls.unwrap(), hub.fingerprint());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(hub.run(async { drop(stopped.await) }));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let files_at = listener.local_addr().unwrap();
    let files = Files::default();
    let kept = Arc::clone(&files);
    let web = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            Box::pin(http(stream, Arc::clone(&kept))).await;
        }
    });
    let endpoint = Endpoint::at(addresses.component.unwrap(), TlsMode::None);
    let service = ComponentConnector::new(
        "files.home.example".parse().unwrap(),
        "shared".into(),
        ComponentConfig::at(endpoint),
    )
    .unwrap();
    let service = soon(service.connect(None)).await.unwrap();
    let service = tokio::spawn(serve(service.stream, files_at));

    let (phone, mut incoming) = Client::builder("phone@home.example".parse().unwrap())
        .password("secret".to_owned().into())
        .server("127.0.0.1", place.port())
        .pin(pin)
        .store_in_memory()
        .start()
        .await
        .unwrap();
    let hear = tokio::spawn(async move {
        let received = incoming.recv().await.unwrap();
        let body = received.message().body().unwrap().into_owned();
        received.commit().await.unwrap();
        (incoming, body)
    });

    let folder = tempfile::tempdir().unwrap();
    let picture: Vec<u8> = (0..150_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let file = folder.path().join("door.jpg");
    std::fs::write(&file, &picture).unwrap();
    let camera = |file: PathBuf| {
        Command::new(example("upload"))
            .args(["camera@home.example", &place.to_string(), &pin.to_string()])
            .arg(file)
            .arg("phone@home.example")
            .env("STANCHION_PASSWORD", "secret")
            .kill_on_drop(true)
            .output()
    };
    let ended = soon(camera(file)).await.unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    let complaint = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success(), "{complaint}");
    let url = format!("http://{files_at}/1/door.jpg");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], format!("put at {url}"));
    assert!(lines[1].starts_with("Delivered"), "{said}");
    let (incoming, body) = soon(hear).await.unwrap();
    assert_eq!(body, url);
    drop(incoming);

    // Whoever was told gets it.
    let mut stream = TcpStream::connect(files_at).await.unwrap();
    let get = "GET /1/door.jpg HTTP/1.1\r\nHost: files\r\n\r\n";
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.ends_with(&picture));

    // What is too large for the service is not even asked for.
    let large = folder.path().join("large.jpg");
    std::fs::write(&large, vec![0; 200_001]).unwrap();
    let ended = soon(camera(large)).await.unwrap();
    assert!(!ended.status.success());
    assert_eq!(files.lock().unwrap().len(), 1);

    phone.shutdown().await.unwrap();
    service.abort();
    web.abort();
    drop(stop);
    running.await.unwrap().unwrap();
}
