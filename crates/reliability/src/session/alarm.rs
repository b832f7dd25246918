//! A timer that is waited for again and again, mostly for the same time. It stays with the
//! runtime in between: one that is made anew for each wait wakes a sleeping thread of the
//! runtime, which then finds nothing to do.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// The timer.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Resolves at that time; never, if there is none.
    pub(super) async fn at(&mut self, until: Option<Instant>) {
        match until {
            Some(until) => poll_fn(|cx| self.poll(until, cx)).await,
            None => pending().await,
        }
    }

    fn poll(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() > until {
            sleep.as_mut().reset(until);
        }
        // It may have been set for an earlier time, which nobody waits for any more.
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_time_that_was_last_asked_for() {
        let (start, mut alarm) = (Instant::now(), Alarm::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        for asked in [5, 2, 2, 7, 3, 9, 8] {
            let wait = alarm.at(Some(at(asked)));
            // Others come first, and it is asked again.
            let wait = timeout(Duration::from_millis(1), wait).await;
            assert!(wait.is_err(), "{asked}");
        }
        alarm.at(Some(at(8))).await;
        assert_eq!(start.elapsed().as_secs(), 8);
        alarm.at(Some(at(6))).await;
        assert_eq!(
            start.elapsed().as_secs(),
            8,
            "what is past goes off at once"
        );
        alarm.at(Some(at(10))).await;
        assert_eq!(start.elapsed().as_secs(), 10);
        let never = timeout(Duration::from_secs(60), alarm.at(None));
        assert!(never.await.is_err());
    }
}
