//! How a running adapter is told to end.

use tokio::sync::watch;

/// Says to stop. Dropping it says so, too.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Hears it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    /// Nothing said yet.
    #[must_use]
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    /// It is to end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Resolves once it is to end. Cancel-safe.
    pub async fn wanted(&self) {
        // An error means that nobody can say so any more.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// Whether it is to end.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
