//! What the browser can ask for, and who answers it: the pages, the stream of events, looks
//! at the history, and orders. The guard looks at every request first.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{
    DefaultBodyLimit, Extension, Form, FromRequest as _, Path, Query, Request, State,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use stanchion::services::history::Page;
use tokio::sync::mpsc::error::TrySendError;

use super::board::{Ask, PAGES};
use super::guard::dress;
use super::http::Peer;
use super::orders::{self, Wanted};
use super::site::{Site, refuse, unreadable, written};
use super::{pages, series};
use crate::app::Order;

/// Messages of a part of a conversation.
const PART: usize = 100;
/// Messages that a search finds at most.
const FOUND: usize = 200;
/// Bytes of words to look for.
const WORDS: usize = 1000;
/// How long a browser may take to send what it wants to say.
const PATIENCE: Duration = Duration::from_secs(10);

/// All that can be asked for.
pub(super) fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/assets/{name}", get(asset))
        .route("/login", get(login).post(log_in))
        .route("/api/events", get(events))
        .route("/api/talk", get(talk))
        .route("/api/search", get(search))
        .route("/api/series", get(series::answer))
        .route("/api/orders", post(order))
        .layer(DefaultBodyLimit::max(orders::MOST))
        .layer(from_fn_with_state(site.clone(), guard))
        .with_state(site)
}

/// Before everything else, and after it.
async fn guard(State(site): State<Site>, request: Request, next: Next) -> Response {
    let checked = site
        .0
        .guard
        .check(request.method(), request.uri(), request.headers());
    let mut answer = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal)
            if refusal.status == StatusCode::UNAUTHORIZED
                && !request.uri().path().starts_with("/api/") =>
        {
            Redirect::to("/login").into_response()
        }
        Err(refusal) => refuse(refusal.status, refusal.text),
    };
    dress(&mut answer);
    answer
}

// ---- pages ------------------------------------------------------------------------------

async fn index(headers: HeaderMap) -> Response {
    pages::index(&headers)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    pages::asset(&name, &headers)
}

async fn login(State(site): State<Site>, headers: HeaderMap) -> Response {
    match site.0.guard.has_login() {
        true => pages::login(&headers),
        false => Redirect::to("/").into_response(),
    }
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

async fn log_in(
    State(site): State<Site>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    let read = Form::<Token>::from_request(request, &());
    let Ok(Ok(Form(Token { token }))) = tokio::time::timeout(PATIENCE, read).await else {
        return refuse(StatusCode::BAD_REQUEST, "send a form with a token");
    };
    match site.0.guard.log_in(peer.ip(), token.trim(), &headers) {
        Ok(cookie) => {
            let mut answer = Redirect::to("/").into_response();
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                answer.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            answer
        }
        Err(None) => Redirect::to("/login?said=wrong").into_response(),
        Err(Some(pause)) => {
            tracing::warn!(%peer, "too many wrong tokens");
            let mut answer = Redirect::to("/login?said=slow").into_response();
            let seconds = pause.as_secs() + 1;
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            answer
        }
    }
}

// ---- the stream, and looks at the history -----------------------------------------------

async fn events(State(site): State<Site>) -> Response {
    let feed = match site.ask(Ask::Page).await {
        Ok(Some(feed)) => feed,
        Ok(None) => {
            let why = format!("{PAGES} pages are open already: close some of them");
            return refuse(StatusCode::SERVICE_UNAVAILABLE, &why);
        }
        Err(ended) => return ended,
    };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // A proxy that gathers would hold the events back.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::new(feed)).into_response()
}

#[derive(Deserialize)]
struct Part {
    with: String,
    before: Option<String>,
}

async fn talk(State(site): State<Site>, Query(part): Query<Part>) -> Response {
    let before = part.before.as_deref().filter(|before| !before.is_empty());
    let asked = orders::account("with", &part.with).and_then(|with| {
        let page = match before {
            Some(before) => Page::Before(orders::place("before", before)?),
            None => Page::Latest,
        };
        Ok((with, page))
    });
    let (with, page) = match asked {
        Ok(asked) => asked,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let Some(history) = &site.0.history else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "there is no history");
    };
    // First, so that nothing is missed that is said in between.
    let opened = site.ask(|answer| Ask::Opened(with.clone(), answer));
    if let Err(ended) = opened.await {
        return ended;
    }
    let entries = {
        let _one_of_few = site.read().await;
        history.page(&with, page, PART).await
    };
    let entries = match entries {
        Ok(entries) => entries,
        Err(error) => return unreadable(&error),
    };
    let first = entries.len() < PART;
    let answered = site.ask(|answer| Ask::Part {
        with,
        entries,
        first,
        answer,
    });
    answered.await.map_or_else(|ended| ended, written)
}

#[derive(Deserialize)]
struct Search {
    words: String,
    with: Option<String>,
}

async fn search(State(site): State<Site>, Query(search): Query<Search>) -> Response {
    let words = search.words.trim().to_owned();
    if words.is_empty() || words.len() > WORDS {
        let why = format!("give words to look for, in at most {WORDS} bytes");
        return refuse(StatusCode::BAD_REQUEST, &why);
    }
    let with = search.with.filter(|with| !with.is_empty());
    let with = with.map(|with| orders::account("with", &with)).transpose();
    let with = match with {
        Ok(with) => with,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let Some(history) = &site.0.history else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "there is no history");
    };
    let found = {
        let _one_of_few = site.read().await;
        history.search(&words, with.as_ref(), FOUND).await
    };
    match found {
        Ok(found) => {
            let answered = site.ask(|answer| Ask::Found {
                words,
                found,
                answer,
            });
            answered.await.map_or_else(|ended| ended, written)
        }
        Err(error) => unreadable(&error),
    }
}

// ---- orders -----------------------------------------------------------------------------

async fn order(State(site): State<Site>, request: Request) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        let why = "an order is application/json";
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    }
    let read = Bytes::from_request(request, &());
    let text = match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return refuse(error.status(), &error.body_text()),
        Err(_) => {
            return refuse(
                StatusCode::REQUEST_TIMEOUT,
                "the order did not come in time",
            );
        }
    };
    let sent = match orders::read(&text) {
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
        Ok(Wanted::Order(order)) => {
            if let Order::Open(with) = &order {
                let opened = site.ask(|answer| Ask::Opened(with.clone(), answer));
                if let Err(ended) = opened.await {
                    return ended;
                }
            }
            site.0.orders.try_send(order).map_err(|e| e.map_ignored())
        }
        Ok(Wanted::Tour(button)) => match &site.0.acts {
            Some(acts) => acts.try_send(button).map_err(|e| e.map_ignored()),
            None => return refuse(StatusCode::NOT_FOUND, "there is no tour here"),
        },
    };
    match sent {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(TrySendError::Full(())) => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "too much waits to be done: try again in a moment",
        ),
        Err(TrySendError::Closed(())) => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "the session has ended: start stanchion dashboard again",
        ),
    }
}

/// The error without what was to be sent.
trait MapIgnored {
    fn map_ignored(self) -> TrySendError<()>;
}

impl<T> MapIgnored for TrySendError<T> {
    fn map_ignored(self) -> TrySendError<()> {
        match self {
            Self::Full(_) => TrySendError::Full(()),
            Self::Closed(_) => TrySendError::Closed(()),
        }
    }
}
