//! Plots over time: what a field of a thing was, out of the store's history of readings.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::orders;
use super::site::{Site, json, refuse, unreadable};

/// Buckets, where a page asks for no number of them.
const BUCKETS: u32 = 300;

/// What a page asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Question {
    account: String,
    #[serde(default)]
    thing: String,
    field: String,
    from: Option<i64>,
    until: Option<i64>,
    buckets: Option<u32>,
}

#[derive(Serialize)]
struct Plot {
    from: i64,
    until: i64,
    /// When, least, mean, greatest.
    points: Vec<(i64, f64, f64, f64)>,
}

/// Answers it.
pub(super) async fn answer(State(site): State<Site>, Query(question): Query<Question>) -> Response {
    let asked = orders::key(&question.account, question.thing).and_then(|key| {
        let name = orders::text("thing", key.to_string())?;
        Ok((name, orders::text("field", question.field)?))
    });
    let (thing, field) = match asked {
        Ok(asked) => asked,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let Some(readings) = site.readings() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "there is no history");
    };
    let _one_of_few = site.read().await;
    let from = question.from.unwrap_or(i64::MIN);
    let until = question.until.unwrap_or(i64::MAX);
    let buckets = question.buckets.unwrap_or(BUCKETS);
    let series = readings.series(thing, field, from, until, buckets).await;
    match series {
        Ok(series) => {
            let buckets = series.buckets.iter();
            json(&Plot {
                from: series.from,
                until: series.until,
                points: buckets.map(|b| (b.at, b.min, b.mean, b.max)).collect(),
            })
        }
        Err(error) => unreadable(&error),
    }
}
