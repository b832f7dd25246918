//! Waits on a session's connection on behalf of a command, and turns what went wrong
//! into an exit code.

use std::time::Duration;

use stanchion::Client;
use stanchion::connect::{ConnectError, Kind};
use stanchion::session::{Disconnect, Status};

use crate::exit::{Exit, Failure, one_line};

/// Resolves only when there will be no connection without a person's help. An
/// unattended client goes on trying after a bad certificate; a command says so and ends.
pub(crate) async fn refused(client: &Client) -> Failure {
    let mut status = client.status();
    loop {
        match &*status.borrow_and_update() {
            Status::Refused(cause) => return explain(cause),
            Status::Waiting { cause, .. } if exit(cause) == Exit::Refused => return explain(cause),
            _ => {}
        }
        if status.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Resolves once a stream is up.
///
/// # Errors
/// The exit for a connection that is refused, or that is not there in time.
pub(crate) async fn connected(client: &Client, within: Duration) -> Result<(), Failure> {
    let mut status = client.status();
    let mut last = None;
    let up = async {
        loop {
            match &*status.borrow_and_update() {
                Status::Connected { .. } => return Ok(()),
                Status::Refused(cause) => return Err(explain(cause)),
                Status::Waiting { cause, .. } if exit(cause) == Exit::Refused => {
                    return Err(explain(cause));
                }
                Status::Waiting { cause, .. } => last = Some(cause.clone()),
                _ => {}
            }
            if status.changed().await.is_err() {
                return Err(Failure::failed("the session ended"));
            }
        }
    };
    match tokio::time::timeout(within, up).await {
        Ok(ended) => ended,
        Err(_) => Err(no_connection(within, last.as_ref())),
    }
}

fn no_connection(within: Duration, last: Option<&Disconnect>) -> Failure {
    let time = humantime::format_duration(within);
    match last {
        Some(cause) => Failure::new(
            Exit::NoConnection,
            format!("no connection within {time}: {}", one_line(cause)),
        ),
        None => Failure::new(
            Exit::NoConnection,
            format!("no connection within {time}; try `stanchion doctor`, or a longer --timeout"),
        ),
    }
}

fn explain(cause: &Disconnect) -> Failure {
    Failure::new(exit(cause), one_line(cause))
}

fn exit(cause: &Disconnect) -> Exit {
    match cause {
        Disconnect::Connect(error) => exit_of(error),
        _ => Exit::NoConnection,
    }
}

/// The exit code for a connection that did not come about.
pub(crate) fn exit_of(error: &ConnectError) -> Exit {
    match error.kind() {
        Kind::Security | Kind::Authentication => Exit::Refused,
        Kind::Misuse => Exit::Usage,
        _ => Exit::NoConnection,
    }
}
