//! How the writer waits for work. A thread that sleeps takes tens of microseconds to be awake,
//! on some machines a hundred: a tenth of the time that a message that is sent alone takes to
//! be durable, or more.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, error::TryRecvError};

/// While requests follow each other this fast, the next one is waited for awake, which takes a
/// processor that nobody else wants. After the last of a quick series this is spent once; an
/// idle store, and one whose requests are further apart, spend nothing.
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
    fn awake_or_not_it_gives_all_in_order_and_hears_of_the_end() {
        for awake in [false, true] {
            let (sender, mut requests) = mpsc::channel(2);
            let mut alertness = Alertness { awake };
            let sends = std::thread::spawn(move || {
                for n in 0..100 {
                    sender.blocking_send(n).unwrap();
                    if n % 10 == 0 {
                        std::thread::sleep(BRISK * 2);
                    }
                }
            });
            for n in 0..100 {
                assert_eq!(alertness.wait_for(&mut requests), Some(n));
            }
            assert_eq!(alertness.wait_for(&mut requests), None);
            sends.join().unwrap();
        }
    }

    #[test]
    fn it_sleeps_after_a_pause() {
        let (sender, mut requests) = mpsc::channel(2);
        let mut alertness = Alertness { awake: true };
        let sends = std::thread::spawn(move || {
            for n in 0..50 {
                std::thread::sleep(BRISK * 50);
                sender.blocking_send(n).unwrap();
            }
        });
        // Seldom is the one thread as late as the other.
        let slept = (0..50).filter(|_| {
            alertness.wait_for(&mut requests);
            !alertness.awake
        });
        assert!(slept.count() > 0);
        sends.join().unwrap();
    }
}
