//! The page at `/`: the files of the folder `page`, as they are.

use super::error::ApiError;
use super::handlers::other::not_found;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

// `FILES: &[(&str, &[u8])]`, by the build script.
include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The page loads what it brings, talks to where it comes from, and shows pictures that are dropped on it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/` and `/page/NAME`. They need neither models nor a key, so that the page can say that it waits for them.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(index)).route("/page/{name}", get(file))
}

async fn index(uri: Uri) -> Result<Response, ApiError> {
    file(uri, Path("index.html".to_owned())).await
}

async fn file(uri: Uri, Path(name): Path<String>) -> Result<Response, ApiError> {
    match FILES.iter().find(|(known, _)| *known == name) {
        Some((name, bytes)) => Ok((headers(name), *bytes).into_response()),
        None => Err(not_found(uri).await),
    }
}

fn headers(name: &str) -> [(HeaderName, HeaderValue); 5] {
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    };
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        // The program may be another one the next time.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_names_is_there() {
        let text = |name: &str| {
            let (_, bytes) = FILES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name}"));
            std::str::from_utf8(bytes).unwrap()
        };
        let index = text("index.html");
        let named = |index: &str, start: &str| {
            let names = index.match_indices(start).map(|(place, _)| &index[place + start.len()..]);
            names.filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect::<Vec<_>>()
        };
        let files = named(index, "\"page/");
        assert!(files.iter().any(|name| name.ends_with(".js")) && files.iter().any(|name| name.ends_with(".css")));
        let scripts = FILES.iter().filter(|(name, _)| name.ends_with(".js"));
        let imported = scripts.flat_map(|(name, _)| named(text(name), "from \"./"));
        for name in files.into_iter().chain(imported) {
            text(&name);
        }
        // The policy refuses both.
        assert!(!index.contains("<style") && !index.contains(" style=") && !index.contains(" onclick="));
    }
}
