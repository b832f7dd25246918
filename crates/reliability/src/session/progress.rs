//! How far one message has come: its driver tells, any number of handles listen. Small, and
//! one allocation, as there is one for each message that is sent.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use super::SendError;
use super::sent::Stage;
use crate::outcome::Outcome;

/// What was told so far.
#[derive(Debug)]
enum Told {
    /// Nothing: it is on its way into the outbox. With who gave it, and waits for that.
    UnderWay(Option<Waker>),
    /// It was not taken. Why, who gave it takes along.
    Refused(Option<Box<SendError>>),
    Reached(Stage),
}

#[derive(Debug)]
struct Progress {
    told: Mutex<(Told, Open)>,
    /// For those who wait for more than that it is kept.
    news: Notify,
}

/// Whether there is anybody who could tell more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Yes,
    No,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, (Told, Open)> {
        // Nothing in here panics half-way.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told from now on.
    fn tell(&self, told: Told, open: Open) {
        let before = std::mem::replace(&mut *self.lock(), (told, open));
        self.news.notify_waiters();
        if let (Told::UnderWay(Some(giver)), _) = before {
            giver.wake();
        }
    }
}

/// The end that tells. Dropping it is the end of the news.
#[derive(Debug)]
pub(super) struct Teller(Arc<Progress>);

/// An end that listens.
#[derive(Debug, Clone)]
pub(super) struct Listener(Arc<Progress>);

/// The end of who gave a message: whether it is kept.
#[derive(Debug)]
pub(super) struct Keeping(Listener);

/// Of a message that is on its way into the outbox.
pub(super) fn given() -> (Teller, Keeping) {
    let teller = Teller::of(Told::UnderWay(None));
    let keeping = Keeping(teller.listen());
    (teller, keeping)
}

impl Teller {
    /// Of a message that may be in the outbox.
    pub(super) fn of_kept() -> Self {
        Self::of(Told::Reached(Stage::Accepted))
    }

    fn of(told: Told) -> Self {
        Self(Arc::new(Progress {
            told: Mutex::new((told, Open::Yes)),
            news: Notify::new(),
        }))
    }

    pub(super) fn listen(&self) -> Listener {
        Listener(Arc::clone(&self.0))
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.0.lock().0, Told::UnderWay(_))
    }

    /// Nobody listens, and nobody can any more.
    pub(super) fn is_deserted(&self) -> bool {
        !self.is_heard() && !self.is_under_way()
    }

    fn is_heard(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// It is durable, which only who gave it waits for.
    pub(super) fn kept(&self) {
        let giver = {
            let told = &mut self.0.lock().0;
            let Told::UnderWay(giver) = told else {
                return;
            };
            let giver = giver.take();
            *told = Told::Reached(Stage::Accepted);
            giver
        };
        if let Some(giver) = giver {
            giver.wake();
        }
    }

    /// It was not taken.
    pub(super) fn refuse(self, why: SendError) {
        self.0.tell(Told::Refused(Some(Box::new(why))), Open::No);
    }

    /// The server has taken it.
    pub(super) fn server_accepted(&self) {
        self.0.tell(Told::Reached(Stage::ServerAccepted), Open::Yes);
    }

    /// There is an outcome.
    pub(super) fn settle(self, outcome: Outcome) {
        self.0
            .tell(Told::Reached(Stage::Settled(outcome)), Open::No);
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if !self.is_heard() {
            return;
        }
        let giver = {
            let (told, open) = &mut *self.0.lock();
            *open = Open::No;
            match told {
                Told::UnderWay(giver) => giver.take(),
                _ => None,
            }
        };
        self.0.news.notify_waiters();
        if let Some(giver) = giver {
            giver.wake();
        }
    }
}

impl Keeping {
    /// Waits until it is durable; gives the end that hears of the rest.
    pub(super) async fn kept(self) -> Result<Listener, SendError> {
        poll_fn(|cx| self.poll_kept(cx)).await?;
        Ok(self.0)
    }

    fn poll_kept(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let (told, open) = &mut *self.0.0.lock();
        Poll::Ready(match told {
            Told::Reached(_) => Ok(()),
            Told::Refused(why) => Err(why.take().map_or(SendError::Closed, |why| *why)),
            Told::UnderWay(_) if *open == Open::No => Err(SendError::Closed),
            Told::UnderWay(giver) => {
                match giver {
                    Some(giver) => giver.clone_from(cx.waker()),
                    None => *giver = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
        })
    }
}

impl Listener {
    /// How far it has come by now.
    pub(super) fn stage(&self) -> Stage {
        match &self.0.lock().0 {
            Told::Reached(stage) => stage.clone(),
            Told::UnderWay(_) | Told::Refused(_) => Stage::Accepted,
        }
    }

    /// Waits for the first stage that `wanted` takes.
    ///
    /// # Errors
    /// [`SendError::Closed`] if none follows.
    pub(super) async fn reached(
        &self,
        wanted: impl Fn(&Stage) -> bool,
    ) -> Result<Stage, SendError> {
        loop {
            // Before the look: it hears all that is told from here on.
            let news = self.0.news.notified();
            match &*self.0.lock() {
                (Told::Reached(stage), _) if wanted(stage) => return Ok(stage.clone()),
                (_, Open::No) => return Err(SendError::Closed),
                (_, Open::Yes) => {}
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::outcome::InDoubt;

    /// How often it was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counting() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    fn settled() -> Outcome {
        Outcome::InDoubt(InDoubt::Restarted)
    }

    #[test]
    fn who_gave_it_is_woken_once_for_each_word() {
        for speak in [
            (|teller| Teller::kept(&teller)) as fn(Teller),
            |teller| teller.refuse(SendError::QueueFull),
            drop,
        ] {
            let (teller, keeping) = given();
            let ((old, first), (new, second)) = (counting(), counting());
            let mut kept = pin!(keeping.kept());
            for waker in [&first, &second] {
                let waiting = kept.as_mut().poll(&mut Context::from_waker(waker));
                assert!(waiting.is_pending());
            }
            speak(teller);
            // It may have moved to another task meanwhile, which alone is woken.
            assert_eq!(old.0.load(Ordering::Relaxed), 0);
            assert_eq!(new.0.load(Ordering::Relaxed), 1);
            assert!(kept.poll(&mut Context::from_waker(&second)).is_ready());
        }
    }

    #[tokio::test]
    async fn who_gave_it_hears_why_it_was_not_taken() {
        let (teller, keeping) = given();
        teller.refuse(SendError::QueueFull);
        assert!(matches!(keeping.kept().await, Err(SendError::QueueFull)));
        let (teller, keeping) = given();
        drop(teller);
        assert!(matches!(keeping.kept().await, Err(SendError::Closed)));
    }

    #[tokio::test]
    async fn what_was_told_before_is_heard_after_the_end_of_the_news() {
        let (teller, keeping) = given();
        teller.kept();
        teller.server_accepted();
        let listener = keeping.kept().await.unwrap();
        let other = listener.clone();
        teller.settle(settled());
        for listener in [listener, other] {
            let stage = listener.reached(|_| true).await.unwrap();
            assert_eq!(stage, Stage::Settled(settled()));
        }
    }

    #[tokio::test]
    async fn all_who_listen_hear_each_word() {
        let teller = Teller::of_kept();
        let hears = |stage: Stage| {
            let listener = teller.listen();
            tokio::spawn(async move { listener.reached(|told| *told == stage).await })
        };
        let (first, last) = (
            hears(Stage::ServerAccepted),
            hears(Stage::Settled(settled())),
        );
        tokio::task::yield_now().await;
        teller.server_accepted();
        assert!(first.await.unwrap().is_ok());
        teller.settle(settled());
        assert!(last.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn nothing_more_is_waited_for_once_nobody_can_tell_it() {
        let teller = Teller::of_kept();
        let listener = teller.listen();
        let waiting = tokio::spawn(async move { listener.reached(|_| false).await });
        tokio::task::yield_now().await;
        drop(teller);
        assert!(matches!(waiting.await.unwrap(), Err(SendError::Closed)));
    }

    #[test]
    fn it_is_deserted_when_it_is_kept_and_nobody_listens() {
        let (teller, keeping) = given();
        drop(keeping);
        assert!(!teller.is_deserted());
        teller.kept();
        assert!(teller.is_deserted());
        let listener = teller.listen();
        assert!(!teller.is_deserted());
        drop(listener);
        assert!(teller.is_deserted());
    }
}
