//! What all answers of the dashboard are made of, and the forms that they have.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use stanchion::device::history::History as Readings;
use stanchion::services::history::History;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};

use super::board::Ask;
use super::guard::Guard;
use super::wire;
use crate::app::Order;
use crate::exit::one_line;

/// Looks at the history at a time: the store has more to do.
const LOOKS: usize = 2;

/// What all answers are made of. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Site(pub(super) Arc<Parts>);

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) guard: Guard,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) acts: Option<mpsc::Sender<String>>,
    pub(super) history: Option<History>,
    pub(super) readings: Option<Readings>,
}

/// Looks at the history that are under way.
static LOOKING: Semaphore = Semaphore::const_new(LOOKS);

impl Site {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(super) fn readings(&self) -> Option<&Readings> {
        self.0.readings.as_ref()
    }

    /// Waits for its turn to read the history.
    pub(super) async fn read(&self) -> Option<SemaphorePermit<'static>> {
        LOOKING.acquire().await.ok()
    }

    /// Asks the board.
    pub(super) async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, Response> {
        let ended = || refuse(StatusCode::SERVICE_UNAVAILABLE, "the dashboard ends");
        let (answer, answered) = oneshot::channel();
        let sent = self.0.asks.send(ask(answer)).await;
        sent.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())
    }
}

/// An answer that says no: why, and what to do.
pub(super) fn refuse(status: StatusCode, why: &str) -> Response {
    #[derive(Serialize)]
    struct Said<'a> {
        error: &'a str,
    }
    (status, json(&Said { error: why })).into_response()
}

/// An answer in JSON.
pub(super) fn json(value: &impl Serialize) -> Response {
    let mut text = Vec::new();
    wire::write(&mut text, value);
    written(text)
}

/// The same, of what was written already.
pub(super) fn written(json: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// What the store says where there should be an answer.
pub(super) fn unreadable(error: &dyn std::error::Error) -> Response {
    let why = format!("the history cannot be read: {}", one_line(error));
    refuse(StatusCode::SERVICE_UNAVAILABLE, &why)
}
