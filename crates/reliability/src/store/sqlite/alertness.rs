//! How the writer waits for work. A thread that sleeps takes some ten microseconds to be
//! awake, and whoever wakes it about as long: of a message that is sent alone, a tenth of the
//! time that it takes to be durable.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, error::TryRecvError};

/// While requests follow each other this fast, the next one is waited for awake; never for
/// longer, so an idle store costs nothing, and one with seldom work no more than that each
/// time the work stops.
const BRISK: Duration = Duration::from_micros(200);

/// Whether the last request came soon.
#[derive(Debug, Default)]
pub(super) struct Alertness {
    awake: bool,
}

impl Alertness {
    /// The next request; none once nobody can send one. Others that want the processor go
    /// first.
    pub(super) fn wait_for<T>(&mut self, requests: &mut mpsc::Receiver<T>) -> Option<T> {
        let since = Instant::now();
        while self.awake && since.elapsed() < BRISK {
            match requests.try_recv() {
                Ok(request) => return Some(request),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => std::thread::yield_now(),
            }
        }
        let request = requests.blocking_recv();
        self.awake = since.elapsed() < BRISK;
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sleeps_once_nothing_came_for_a_while() {
        let (sender, mut requests) = mpsc::channel(8);
        let mut alertness = Alertness::default();
        (0..3).for_each(|n| sender.try_send(n).unwrap());
        assert_eq!(alertness.wait_for(&mut requests), Some(0));
        assert!(alertness.awake);
        let sends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            sender.try_send(3).unwrap();
        });
        for n in 1..=3 {
            assert_eq!(alertness.wait_for(&mut requests), Some(n));
        }
        assert!(!alertness.awake);
        sends.join().unwrap();
        assert_eq!(alertness.wait_for(&mut requests), None);
    }
}
