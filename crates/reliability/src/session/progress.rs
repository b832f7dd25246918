//! How far one message has come: its driver tells, any number of handles listen. Small, and
//! one allocation, as there is one for each message that is sent.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use super::SendError;
use crate::outcome::Outcome;

/// How far a message has come. It only goes forwards.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// It is durable: it survives this process.
    Accepted,
    /// The server has taken responsibility for it (XEP-0198 §4). Servers lose what they
    /// have taken, so it is still kept, and sent again if need be.
    ServerAccepted,
    /// There is an outcome.
    Settled(Outcome),
}

/// What was told so far. Whether it is kept is a thing of its own, as an id that is given twice
/// is another message to who gave it, and the same one to all others.
#[derive(Debug)]
struct Told {
    giver: Giver,
    stage: Stage,
    /// Somebody can tell more.
    is_open: bool,
}

/// What who gave it has heard.
#[derive(Debug)]
enum Giver {
    /// Nothing: it is on its way into the outbox.
    Waits(Option<Waker>),
    Kept,
    /// It was not taken. Why, is there to be taken along.
    Refused(Option<Box<SendError>>),
}

#[derive(Debug)]
struct Progress {
    told: Mutex<Told>,
    /// For those who wait for a stage.
    news: Notify,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Told> {
        // Nothing in here panics half-way.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers who gave it, unless that was done.
    fn answer(&self, answer: Giver) {
        let giver = {
            let told = &mut *self.lock();
            let Giver::Waits(giver) = &mut told.giver else {
                return;
            };
            let giver = giver.take();
            told.giver = answer;
            giver
        };
        // Wakers are not ours: nothing of them runs under the lock.
        if let Some(giver) = giver {
            giver.wake();
        }
    }

    fn reach(&self, stage: Stage) {
        self.lock().stage = stage;
        self.news.notify_waiters();
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
pub(super) struct Keeping(Arc<Progress>);

/// Of a message that is on its way into the outbox.
pub(super) fn given() -> (Teller, Keeping) {
    let teller = Teller::of(Giver::Waits(None));
    let keeping = Keeping(Arc::clone(&teller.0));
    (teller, keeping)
}

impl Teller {
    /// Of a message that may be in the outbox.
    pub(super) fn of_kept() -> Self {
        Self::of(Giver::Kept)
    }

    fn of(giver: Giver) -> Self {
        Self(Arc::new(Progress {
            told: Mutex::new(Told {
                giver,
                stage: Stage::Accepted,
                is_open: true,
            }),
            news: Notify::new(),
        }))
    }

    pub(super) fn listen(&self) -> Listener {
        Listener(Arc::clone(&self.0))
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.0.lock().giver, Giver::Waits(_))
    }

    /// Nobody listens, nor waits for it to be kept.
    pub(super) fn is_deserted(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// It is durable, which only who gave it waits for.
    pub(super) fn kept(&self) {
        self.0.answer(Giver::Kept);
    }

    /// It was not taken.
    pub(super) fn refuse(self, why: SendError) {
        self.0.answer(Giver::Refused(Some(Box::new(why))));
    }

    /// The server has taken it.
    pub(super) fn server_accepted(&self) {
        self.0.reach(Stage::ServerAccepted);
    }

    /// There is an outcome.
    pub(super) fn settle(self, outcome: Outcome) {
        self.0.reach(Stage::Settled(outcome));
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if self.is_deserted() {
            return;
        }
        self.0.lock().is_open = false;
        self.0.news.notify_waiters();
        self.0.answer(Giver::Refused(None));
    }
}

impl Keeping {
    /// Waits until it is durable; gives the end that hears of the rest.
    pub(super) async fn kept(self) -> Result<Listener, SendError> {
        poll_fn(|cx| self.poll_kept(cx)).await?;
        Ok(Listener(Arc::clone(&self.0)))
    }

    fn poll_kept(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let waker = cx.waker().clone();
        let _former = {
            let told = &mut *self.0.lock();
            match &mut told.giver {
                Giver::Kept => return Poll::Ready(Ok(())),
                Giver::Refused(why) => {
                    let why = why.take().map_or(SendError::Closed, |why| *why);
                    return Poll::Ready(Err(why));
                }
                Giver::Waits(giver) => giver.replace(waker),
            }
        };
        Poll::Pending
    }
}

impl Drop for Keeping {
    /// Who gave up waiting is woken no more.
    fn drop(&mut self) {
        let _giver = match &mut self.0.lock().giver {
            Giver::Waits(giver) => giver.take(),
            Giver::Kept | Giver::Refused(_) => None,
        };
    }
}

impl Listener {
    /// How far it has come by now.
    pub(super) fn stage(&self) -> Stage {
        self.0.lock().stage.clone()
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
            {
                let told = self.0.lock();
                if wanted(&told.stage) {
                    return Ok(told.stage.clone());
                }
                if !told.is_open {
                    return Err(SendError::Closed);
                }
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

    #[tokio::test]
    async fn the_first_answer_is_the_one_that_who_gave_it_hears() {
        let (teller, keeping) = given();
        teller.kept();
        teller.refuse(SendError::QueueFull);
        assert!(keeping.kept().await.is_ok());
    }

    #[test]
    fn what_becomes_of_an_older_message_of_that_id_does_not_keep_the_new_one() {
        let (teller, keeping) = given();
        let (count, waker) = counting();
        let mut kept = pin!(keeping.kept());
        let mut waits = || kept.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(waits().is_pending());
        teller.server_accepted();
        assert!(waits().is_pending());
        teller.settle(settled());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(matches!(waits(), Poll::Ready(Err(SendError::Closed))));
    }

    #[test]
    fn who_gave_up_waiting_is_woken_no_more() {
        let (teller, keeping) = given();
        let (count, waker) = counting();
        {
            let mut kept = Box::pin(keeping.kept());
            let waiting = kept.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(waiting.is_pending());
        }
        // Nor is anything of it kept.
        drop(waker);
        assert_eq!(Arc::strong_count(&count), 1);
        teller.kept();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn it_is_deserted_when_nobody_listens() {
        let (teller, keeping) = given();
        assert!(!teller.is_deserted());
        drop(keeping);
        assert!(teller.is_deserted());
        let listener = teller.listen();
        assert!(!teller.is_deserted());
        drop(listener);
        assert!(teller.is_deserted());
    }
}
