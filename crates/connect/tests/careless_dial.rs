//! A dialler of the program's own that does not do what it was asked for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use stanchion_connect::error::{ConnectError, Misuse};
use stanchion_connect::{Account, Connect as _, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_transport::{BoxTransport, Dial, DialError, TlsMode, memory};
use tokio::io::AsyncReadExt as _;

/// Gives every pipe back as it is, and calls that TLS.
#[derive(Default)]
struct Careless {
    far: Mutex<Option<BoxTransport>>,
}

#[async_trait]
impl Dial for Careless {
    async fn dial(&self, _: &Endpoint, _: &str) -> Result<BoxTransport, DialError> {
        let (near, far) = memory::pair(4096);
        *self.far.lock().unwrap() = Some(far);
        Ok(near)
    }
    async fn direct(
        &self,
        pipe: BoxTransport,
        _: &Endpoint,
        _: &str,
    ) -> Result<BoxTransport, DialError> {
        Ok(pipe)
    }
    async fn upgrade(&self, pipe: BoxTransport, _: &str) -> Result<BoxTransport, DialError> {
        Ok(pipe)
    }
}

#[tokio::test]
async fn a_pipe_that_is_called_tls_and_is_none_carries_no_login() {
    let dial = Arc::new(Careless::default());
    let place = Endpoint::at(([192, 0, 2, 1], 5223).into(), TlsMode::Direct);
    let config = ConnectConfig {
        endpoints: Endpoints::Explicit(vec![place]),
        ..ConnectConfig::default()
    };
    let account = Account::with_password("lamp@example.org".parse().unwrap(), "secret");
    let connector = Connector::with_dial(account, config, dial.clone()).unwrap();
    let error = connector.connect(None).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::Misuse(Misuse::Unprotected)),
        "{error:?}"
    );
    let mut far = dial.far.lock().unwrap().take().unwrap();
    let mut said = Vec::new();
    far.read_to_end(&mut said).await.unwrap();
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
