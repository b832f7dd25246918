//! Files put where a slot says, over real sockets: what is sent, and what is not.

#![cfg(feature = "upload")]
#![allow(clippy::unwrap_used, reason = "a test may fail so")]

use std::time::Duration;

use stanchion_services::upload::{Content, HttpPut, PutError};
use stanchion_stanza::Text;
use stanchion_stanza::payload::upload::{Header, HeaderName, Slot};
use stanchion_transport::TlsPolicy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn slot(url: String) -> Slot {
    Slot {
        get: Text::new(url.clone()).unwrap(),
        put: Text::new(url).unwrap(),
        headers: vec![Header {
            name: HeaderName::Authorization,
            value: Text::from_static("Bearer x"),
        }],
    }
}

fn client() -> HttpPut {
    HttpPut::new(&TlsPolicy::default())
        .unwrap()
        .http_over_loopback(true)
}

/// What a server hears until the body is whole, if it then answers that; nothing: it says
/// nothing.
async fn put(answer: &'static str, body: usize) -> (Result<(), PutError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a?b", listener.local_addr().unwrap());
    let content = Content::bytes(vec![b'x'; body]).of_type("image/jpeg");
    let (slot, client) = (slot(url), client().within(Duration::from_secs(5)));
    tokio::join!(client.put(&slot, content), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        loop {
            let mut bytes = vec![0; 64 * 1024];
            let n = stream.read(&mut bytes).await.unwrap();
            heard.extend_from_slice(&bytes[..n]);
            let head = heard.windows(4).position(|w| w == b"\r\n\r\n");
            if n == 0 || head.is_some_and(|at| heard.len() >= at + 4 + body) {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        drop(stream);
        String::from_utf8(heard).unwrap()
    })
}

#[tokio::test]
async fn a_file_goes_whole_and_with_its_headers() {
    let (result, heard) = put("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 100_000).await;
    result.unwrap();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("PUT /a?b HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    for line in [
        "authorization: bearer x",
        "content-length: 100000",
        "content-type: image/jpeg",
        "host: 127.0.0.1:",
    ] {
        assert!(head.contains(&format!("\r\n{line}")), "{line} in {head}");
    }
    assert_eq!(body.len(), 100_000);
    let (result, _) = put("HTTP/1.1 201 Created\r\n\r\n", 0).await;
    result.unwrap();
}

#[tokio::test]
async fn a_refusal_and_a_server_that_hangs_up_are_told_apart() {
    let (result, _) = put("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 9).await;
    assert!(matches!(result, Err(PutError::Refused(403))), "{result:?}");
    for nonsense in ["", "220 mail.example ESMTP\r\n"] {
        let (result, _) = put(nonsense, 9).await;
        assert!(matches!(result, Err(PutError::Broken(_))), "{result:?}");
    }
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let moved = "HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let (result, _) = put(moved, 9).await;
    assert!(matches!(result, Err(PutError::Refused(307))), "{result:?}");
}

#[tokio::test]
async fn a_file_that_is_too_short_is_not_taken_for_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slot = slot(format!("http://{}/", listener.local_addr().unwrap()));
    let content = Content::read(&b"abc"[..], 4);
    let client = client();
    let (result, n) = tokio::join!(client.put(&slot, content), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap_or_default()
    });
    assert!(matches!(result, Err(PutError::Broken(_))), "{result:?} {n}");
}

#[tokio::test]
async fn nothing_goes_in_the_clear_unless_it_is_allowed() {
    let strict = HttpPut::new(&TlsPolicy::default()).unwrap();
    let refused = [
        (&strict, "http://127.0.0.1:1/"),
        (&client(), "http://192.0.2.1/"),
        (&client(), "https://user@127.0.0.1:1/"),
    ];
    for (client, url) in refused {
        let result = client.put(&slot(url.into()), Content::bytes(vec![])).await;
        assert!(matches!(result, Err(PutError::Url(_))), "{url}: {result:?}");
    }
}

#[tokio::test]
async fn a_server_of_files_must_prove_itself() {
    use stanchion_transport::tls::Roots;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // It speaks no TLS at all: the file must not go out.
    let client = HttpPut::new(&TlsPolicy {
        roots: vec![Roots::WebPki],
        ..TlsPolicy::default()
    })
    .unwrap();
    let slot = slot(format!("https://127.0.0.1:{port}/"));
    let (result, heard) = tokio::join!(
        client.put(&slot, Content::bytes(b"secret".to_vec())),
        async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 4096];
            let n = stream.read(&mut bytes).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 201 Created\r\n\r\n")
                .await
                .unwrap();
            String::from_utf8_lossy(&bytes[..n]).into_owned()
        }
    );
    assert!(matches!(result, Err(PutError::Dial(_))), "{result:?}");
    assert!(
        !heard.contains("secret") && !heard.contains("PUT"),
        "{heard}"
    );
}
