//! Waits on a session's connection on behalf of a command, and turns what went wrong
//! into an exit code.

use std::time::Duration;

use stanchion::Client;
use stanchion::connect::{ConnectError, Kind, Retry};
use stanchion::session::{Disconnect, Status};
use tokio::time::Instant;

use crate::exit::{Exit, Failure, one_line};

/// Resolves once the first stream is up.
///
/// An unattended client goes on trying after a bad certificate or an unknown name, as
/// both may pass; a command says so at once, while somebody is there to read it.
///
/// # Errors
/// The exit for a connection that waiting does not bring, or that is not there `by`
/// then; `timeout` is only for the message.
pub(crate) async fn connected(
    client: &Client,
    by: Instant,
    timeout: Duration,
) -> Result<(), Failure> {
    let mut status = client.status();
    let mut last = None;
    let up = async {
        loop {
            match &*status.borrow_and_update() {
                Status::Connected { .. } => return Ok(()),
                Status::Refused(cause) => return Err(explain(cause)),
                Status::Waiting { cause, .. } if !passes(cause) => return Err(explain(cause)),
                Status::Waiting { cause, .. } => last = Some(one_line(cause)),
                _ => {}
            }
            if status.changed().await.is_err() {
                return Err(Failure::failed("the session ended; start again"));
            }
        }
    };
    match tokio::time::timeout_at(by, up).await {
        Ok(ended) => ended,
        Err(_) => {
            let why = last.unwrap_or_else(|| {
                "no answer yet; try a longer --timeout, or `stanchion doctor`".to_owned()
            });
            let time = humantime::format_duration(timeout);
            let message = format!("no connection within {time}: {why}");
            Err(Failure::new(Exit::NoConnection, message))
        }
    }
}

/// Resolves once the session has given up connecting. For a session that was connected
/// before: it goes on by itself after everything that may pass.
pub(crate) async fn refused(client: &Client) -> Failure {
    let mut status = client.status();
    loop {
        if let Status::Refused(cause) = &*status.borrow_and_update() {
            return explain(cause);
        }
        if status.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Whether waiting may help.
fn passes(cause: &Disconnect) -> bool {
    match cause {
        Disconnect::Connect(error) => error.retry() == Retry::Later,
        _ => true,
    }
}

fn explain(cause: &Disconnect) -> Failure {
    let exit = match cause {
        Disconnect::Connect(error) => exit_of(error),
        _ => Exit::NoConnection,
    };
    Failure::new(exit, one_line(cause))
}

/// The exit code for a connection that did not come about.
pub(crate) fn exit_of(error: &ConnectError) -> Exit {
    match error.kind() {
        Kind::Security | Kind::Authentication => Exit::Refused,
        Kind::Misuse => Exit::Usage,
        _ => Exit::NoConnection,
    }
}
