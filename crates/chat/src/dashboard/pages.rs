//! The pages, as they stand in this program: nothing is read from the disk, and nothing from
//! elsewhere.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

/// A file of the pages.
struct Asset {
    name: &'static str,
    text: &'static str,
}

/// They come with this file: each name once.
macro_rules! assets {
    ($($name:literal),* $(,)?) => {
        [$(Asset { name: $name, text: include_str!(concat!("pages/", $name)) }),*]
    };
}

static ASSETS: [Asset; 23] = assets![
    "app.js",
    "chart.js",
    "chat.js",
    "delivery.js",
    "dialogs.js",
    "dom.js",
    "feed.js",
    "format.js",
    "icon.svg",
    "icons.js",
    "index.html",
    "older.js",
    "orders.js",
    "plot.js",
    "series.js",
    "state.js",
    "strip.js",
    "style.css",
    "talk.js",
    "thing.js",
    "things.js",
    "toasts.js",
    "tour.js",
];

/// The page where a token is given, and what takes one out of a link.
static LOGIN: Asset = Asset {
    name: "login.html",
    text: include_str!("login/login.html"),
};
static LOGIN_SCRIPT: Asset = Asset {
    name: "login.js",
    text: include_str!("login/login.js"),
};

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// Another one for another text (FNV-1a): a browser asks whether it has the right one.
const fn tag(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// The file of that name; the answer is empty if the browser has it already.
pub(super) fn asset(name: &str, asked: &HeaderMap) -> Response {
    let scripts = std::iter::once(&LOGIN_SCRIPT);
    match ASSETS.iter().chain(scripts).find(|a| a.name == name) {
        Some(asset) => serve(asset, asked),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The page of all pages.
pub(super) fn index(asked: &HeaderMap) -> Response {
    asset("index.html", asked)
}

/// Where a token is given.
pub(super) fn login(asked: &HeaderMap) -> Response {
    serve(&LOGIN, asked)
}

fn serve(asset: &Asset, asked: &HeaderMap) -> Response {
    let tag = format!("\"{:016x}\"", tag(asset.text));
    let same = |has: &HeaderValue| {
        let has = has.to_str().unwrap_or_default();
        has.split(',').any(|one| {
            let one = one.trim();
            one.strip_prefix("W/").unwrap_or(one) == tag
        })
    };
    let has = asked.get_all(header::IF_NONE_MATCH).iter().any(same);
    let mut answer = match has {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => {
            let mut answer = Body::from(asset.text).into_response();
            let kind = HeaderValue::from_static(kind(asset.name));
            answer.headers_mut().insert(header::CONTENT_TYPE, kind);
            answer
        }
    };
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_pages_is_in_the_program_and_asks_for_nothing_elsewhere() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dashboard/pages");
        let files = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut names: Vec<_> = ASSETS.iter().map(|a| a.name.to_owned()).collect();
        names.sort();
        assert_eq!(files, names);
        for asset in ASSETS.iter().chain([&LOGIN, &LOGIN_SCRIPT]) {
            let elsewhere = asset.text.matches("http").filter(|_| true).count();
            let names_of_xml = asset.text.matches("http://www.w3.org/").count();
            assert_eq!(elsewhere, names_of_xml, "{}", asset.name);
            assert!(!asset.text.contains(" style=\""), "{}", asset.name);
        }
    }

    #[test]
    fn a_browser_that_has_a_file_gets_it_no_second_time() {
        let first = asset("app.js", &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let kind = &first.headers()[header::CONTENT_TYPE];
        assert_eq!(kind, "text/javascript; charset=utf-8");
        let mut asked = HeaderMap::new();
        let tag = first.headers()[header::ETAG].clone();
        asked.insert(header::IF_NONE_MATCH, tag);
        assert_eq!(asset("app.js", &asked).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(asset("style.css", &asked).status(), StatusCode::OK);
        assert_eq!(asset("../mod.rs", &asked).status(), StatusCode::NOT_FOUND);
    }
}
