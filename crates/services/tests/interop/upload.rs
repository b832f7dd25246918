//! Files, at servers that were started with a place for them.

use stanchion_services::HostBuilder;
use stanchion_services::upload::{Content, HttpPut, UploadError, find, slot};
use stanchion_stanza::Text;
use stanchion_stanza::payload::upload::Request;
use stanchion_transport::TlsPolicy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{Device, Real};
use crate::soon;

/// What is to be had at a plain HTTP URL.
async fn get(url: &str) -> String {
    let (authority, path) = url["http://".len()..].split_once('/').unwrap();
    let port: u16 = authority.split_once(':').unwrap().1.parse().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_file_is_put_and_there_for_whoever_has_its_url() {
    for server in Real::both("upload") {
        let lamp = Device::start(&server, "lamp", HostBuilder::new()).await;
        let ask = lamp.host.requests();
        let domain: stanchion_stanza::Jid = server.domain().parse().unwrap();
        let found = soon(find(&ask, domain)).await.unwrap();
        let mut service = found.expect("the servers are started with `--uploads`");
        assert_eq!(service.max_bytes, Some(1_048_576));
        let file = |size| Request {
            filename: Text::from_static("tr\u{e8}s cool.txt"),
            size,
            content_type: Some(Text::from_static("text/plain")),
        };
        // These servers have it on loopback, without TLS.
        let error = soon(slot(&ask, &service, &file(11))).await.unwrap_err();
        assert!(matches!(error, UploadError::Unsafe { .. }), "{error}");
        service.http_over_loopback = true;
        let error = soon(slot(&ask, &service, &file(1 << 30)))
            .await
            .unwrap_err();
        let too_large = UploadError::TooLarge {
            max_bytes: Some(1_048_576),
        };
        assert_eq!(error, too_large);
        service.max_bytes = None;
        let error = soon(slot(&ask, &service, &file(1 << 30)))
            .await
            .unwrap_err();
        assert!(
            matches!(error, UploadError::TooLarge { .. }),
            "the server says so: {error}"
        );

        let given = soon(slot(&ask, &service, &file(11))).await.unwrap();
        let client = HttpPut::new(&TlsPolicy::default())
            .unwrap()
            .http_over_loopback(true);
        let content = Content::bytes(b"hello world".to_vec()).of_type("text/plain");
        soon(client.put(&given, content)).await.unwrap();
        let answer = soon(get(&given.get)).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("hello world"), "{answer}");
        lamp.stop().await;
    }
}
