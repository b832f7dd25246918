//! What an adapter has of the rest of the house: where its reports go, and where its
//! orders come from.

use tokio::sync::mpsc;

use super::{Order, OrderError, Report};
use crate::model::Sample;

/// Nobody takes reports any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody takes the reports any more")]
pub struct Ended;

/// An adapter's way to the rest of the house. It stays the same over all runs. Orders come
/// once the adapter has said that it is [connected](Self::connected): until then they wait
/// where their time is watched.
#[derive(Debug)]
pub struct Link {
    reports: mpsc::Sender<Report>,
    orders: mpsc::Receiver<Order>,
}

impl Link {
    /// A link, and its other ends: what comes of it, and what goes in. At most so many
    /// reports are on their way, and one order.
    #[must_use]
    pub fn new(room: usize) -> (Self, mpsc::Receiver<Report>, mpsc::Sender<Order>) {
        let (reports, reports_out) = mpsc::channel(room.max(1));
        let (orders_in, orders) = mpsc::channel(1);
        (Self { reports, orders }, reports_out, orders_in)
    }

    /// Tells something. Waits while there is no room: what a device says faster than it
    /// can be taken must wait there, or be left out by the adapter.
    ///
    /// # Errors
    /// [`Ended`]: stop.
    pub async fn report(&mut self, report: Report) -> Result<(), Ended> {
        self.reports.send(report).await.map_err(|_| Ended)
    }

    /// Tells what a thing measured.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn sample(&mut self, sample: Sample) -> Result<(), Ended> {
        self.report(Report::Sample(sample)).await
    }

    /// Says that the device is there.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn connected(&mut self) -> Result<(), Ended> {
        self.report(Report::Connected).await
    }

    /// The next order whose time is not over; one whose time is, or that was withdrawn, is
    /// answered so. Never
    /// resolves once there can be no more. Cancel-safe.
    pub async fn order(&mut self) -> Order {
        while let Some(order) = self.orders.recv().await {
            if !order.is_expired() && order.take() {
                return order;
            }
            order.failed(OrderError::Expired);
        }
        std::future::pending().await
    }

    /// An order that was handed over and not taken.
    pub(super) fn take_back(&mut self) -> Option<Order> {
        self.orders.try_recv().ok()
    }
}

impl Drop for Link {
    /// What nobody has begun had no effect.
    fn drop(&mut self) {
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            let why = "its adapter has ended".to_owned();
            order.failed(OrderError::Unavailable(why));
        }
    }
}
