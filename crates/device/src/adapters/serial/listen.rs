//! The task of a line that is only listened to: meters and positions.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Listener, Way, refuse};
use crate::adapter::{AdapterError, Link, Stop, wall_clock};

/// A line that is quiet for so long has said what it had to say for now. At 4800 baud a
/// character takes 2 ms.
const PAUSE: Duration = Duration::from_millis(80);

/// Listens until it is to stop, or the line is lost or says nothing that is understood for
/// as long as `silence`. The device is there once it was understood.
pub(super) async fn run(
    way: &Way,
    silence: Duration,
    listener: &mut dyn Listener,
    link: &mut Link,
    stop: &Stop,
) -> Result<(), AdapterError> {
    let mut line = tokio::select! {
        () = stop.wanted() => return Ok(()),
        line = way.open() => line?,
    };
    let mut buffer = [0; 1024];
    let mut heard = Vec::new();
    let mut connected = false;
    let mut noise = false;
    let mut silent_at = Instant::now() + silence;
    // When what was gathered is told although no more comes.
    let mut pause_at: Option<Instant> = None;
    loop {
        let wake = pause_at.map_or(silent_at, |at| at.min(silent_at));
        tokio::select! {
            () = stop.wanted() => return Ok(()),
            read = line.read(&mut buffer) => {
                let read = read?;
                noise = true;
                listener.take(&buffer[..read], wall_clock(), &mut heard);
                pause_at = Some(Instant::now() + PAUSE);
            }
            order = link.order() => refuse(order),
            () = sleep_until(wake) => {
                if pause_at.take_if(|at| *at <= Instant::now()).is_some() {
                    listener.pause(wall_clock(), &mut heard);
                } else if noise {
                    let peer = line.name().to_owned();
                    let what = format!("no {}", listener.wanted());
                    return Err(AdapterError::PeerMisbehaved { peer, what });
                } else {
                    return Err(line.silent());
                }
            }
        }
        if heard.is_empty() {
            continue;
        }
        if !std::mem::replace(&mut connected, true) {
            link.connected().await?;
        }
        for report in heard.drain(..) {
            link.report(report).await?;
        }
        silent_at = Instant::now() + silence;
        noise = false;
    }
}
