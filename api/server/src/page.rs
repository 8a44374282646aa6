//! The page that people look at: static files that ask the API, like any other client.
//!
//! Whoever may connect gets the files, which are the same everywhere and hold no secrets; what they show is asked for with the token that
//! its user gives. A partition's name, command and log are its own words: the policy that goes with the files lets the browser run nothing but
//! them, and make no markup of strings ([0053](../../../docs/decisions/0053-the-web-page.md)).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::problem;

/// What the browser may do with the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("page/", $name)))),*] };
}

/// The files, by the names that they are asked for with.
const FILES: &[(&str, &str)] = files![
    "index.html",
    "style.css",
    "icon.svg",
    "api.js",
    "app.js",
    "chart.js",
    "dom.js",
    "events.js",
    "fleet.js",
    "list.js",
    "logs.js",
    "partition.js",
    "units.js",
];

/// The paths of the page; nobody needs a token for them.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(async |headers: HeaderMap| answer("index.html", &headers)))
        .route(
            "/page/{file}",
            get(async |Path(name): Path<String>, headers: HeaderMap| answer(&name, &headers)),
        )
        .method_not_allowed_fallback(problem::no_method)
}

fn answer(name: &str, headers: &HeaderMap) -> Response {
    let Some((_, content)) = FILES.iter().find(|(known, _)| *known == name) else {
        return problem::nothing_here().into_response();
    };
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag.as_str());
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, kind(name))], *content).into_response(),
    };
    let answered = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answered.insert(header::ETAG, tag);
    }
    for (key, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        answered.insert(key, HeaderValue::from_static(value));
    }
    for key in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        answered.insert(key, HeaderValue::from_static("same-origin"));
    }
    response
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    }
}
