//! What can be done to the server and to the ways that lead there: each takes its time, and
//! undoes itself.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::super::server::{Server, ServerError};
use super::way::Way;

/// The server stays down for so long: long enough to see what is kept meanwhile.
const DOWN: Duration = Duration::from_secs(4);
/// The ends of a cut link have to notice by themselves: they are given so long before
/// something else is done.
const CUT: Duration = Duration::from_secs(20);
/// A way stays closed for so long.
const CLOSED: Duration = Duration::from_secs(15);

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// The server is killed, and started again.
    Kill,
    /// All links are cut, and no end of them is told.
    Cut,
    /// The way that more use is closed: there is another one.
    FailOver,
}

impl Act {
    pub(super) const ALL: [Self; 3] = [Self::Kill, Self::Cut, Self::FailOver];

    /// Its name for programs.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Cut => "cut",
            Self::FailOver => "fail-over",
        }
    }

    /// What a button says.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Kill => "Kill the server",
            Self::Cut => "Cut the links",
            Self::FailOver => "Fail over",
        }
    }

    /// The key that does it.
    pub(super) const fn key(self) -> char {
        match self {
            Self::Kill => 'k',
            Self::Cut => 'c',
            Self::FailOver => 'f',
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }
}

/// One that is under way; gives the server back.
pub(super) type UnderWay = Pin<Box<dyn Future<Output = (Server, Result<(), ServerError>)> + Send>>;

/// Begins it. What happens is said on the way.
pub(super) fn begin(
    act: Act,
    mut server: Server,
    ways: [Way; 2],
    say: mpsc::Sender<&'static str>,
) -> UnderWay {
    Box::pin(async move {
        // Who listens outlives the act, or nobody is interested any more.
        let say = async |text| {
            let _ = say.send(text).await;
        };
        let [first, second] = &ways;
        let done = async {
            match act {
                Act::Kill => {
                    server.kill().await?;
                    // Where no server is, nothing listens.
                    ways.iter().for_each(|way| way.open(false));
                    say("the server is killed").await;
                    sleep(DOWN).await;
                    server.start().await?;
                    ways.iter().for_each(|way| way.open(true));
                    say("the server is started again").await;
                }
                Act::Cut => {
                    ways.iter().for_each(Way::cut);
                    say("the links are cut; nobody is told").await;
                    sleep(CUT).await;
                }
                Act::FailOver => {
                    let (busy, name) = match first.load() >= second.load() {
                        true => (
                            first,
                            ["the first way is closed", "the first way is open again"],
                        ),
                        false => (
                            second,
                            ["the second way is closed", "the second way is open again"],
                        ),
                    };
                    busy.open(false);
                    say(name[0]).await;
                    sleep(CLOSED).await;
                    busy.open(true);
                    say(name[1]).await;
                }
            }
            Ok(())
        };
        let done = done.await;
        (server, done)
    })
}
