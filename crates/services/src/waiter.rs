//! Who waits for an answer that a service can only give later. A state machine holds it as
//! plain data: to answer is all that can be done with it.

use std::fmt;

use tokio::sync::oneshot;

/// A caller who waits. Dropped without an answer, it is told that there will be none.
pub struct Waiter<T>(oneshot::Sender<T>);

impl<T> Waiter<T> {
    /// A waiter, and where its answer comes out.
    #[must_use]
    pub fn new() -> (Self, oneshot::Receiver<T>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers. A caller that has given up does not hear it.
    pub fn answer(self, what: T) {
        // Nobody needs to wait for ever.
        let _ = self.0.send(what);
    }

    /// The same for what must not be lost.
    ///
    /// # Errors
    /// What it was, if the caller has given up.
    pub fn offer(self, what: T) -> Result<(), T> {
        self.0.send(what)
    }
}

impl<T> fmt::Debug for Waiter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter")
    }
}
