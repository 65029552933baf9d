//! The page's own files, part of the program.
//!
//! In: a path. Out: the file, with its kind and a tag by which a browser asks whether it has changed.
//! Invariant: what is served is in [`FILES`], which names each file; no path leads to the disk.
#![allow(clippy::unused_async, reason = "what answers a request is a future")]

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;
use crate::inference::sha256_hex;

/// A file by its name below `src/serve/assets/`.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// Every file of the page.
        pub(super) const FILES: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("assets/", $name)))),*];
    };
}

files![
    "app/add.js",
    "app/api.js",
    "app/board.js",
    "app/chart.js",
    "app/decision.js",
    "app/dom.js",
    "app/door.js",
    "app/enrol.js",
    "app/figures.js",
    "app/format.js",
    "app/identify.js",
    "app/live.js",
    "app/log.js",
    "app/login.js",
    "app/main.js",
    "app/people.js",
    "app/person.js",
    "app/picture.js",
    "app/score.js",
    "app/sentence.js",
    "app/stream.js",
    "app/visits.js",
    "app/words.js",
    "app/zones.js",
    "favicon.svg",
    "i18n/de.json",
    "i18n/en.json",
    "i18n/es.json",
    "i18n/fr.json",
    "i18n/nl.json",
    "icons.svg",
    "index.html",
    "keypad.js",
    "kiosk.css",
    "kiosk.html",
    "kiosk.js",
    "style.css",
    "views.css",
];

static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |bytes: &[u8]| format!("\"{}\"", sha256_hex(bytes).get(..32).unwrap_or_default());
    FILES.iter().map(|(_, bytes)| tag(bytes)).collect()
});

/// `GET /`
pub(super) async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    serve("index.html", &headers)
}

/// `GET /kiosk`
pub(super) async fn kiosk(headers: HeaderMap) -> Result<Response, Problem> {
    serve("kiosk.html", &headers)
}

/// `GET /assets/PATH`
pub(super) async fn file(
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    serve(&path, &headers)
}

fn serve(name: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let place = FILES.iter().position(|(known, _)| *known == name);
    let absent = || Problem::absent("there is no such file");
    let (place, (_, bytes)) =
        place.and_then(|place| Some((place, FILES.get(place)?))).ok_or_else(absent)?;
    let tag = TAGS.get(place).ok_or_else(absent)?;
    let value = HeaderValue::from_str(tag).map_err(|error| Problem::inside(&error))?;
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == value);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, kind(name))], Body::from(*bytes)).into_response()
    };
    response.headers_mut().insert(header::ETAG, value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "webmanifest" => "application/json",
        "png" => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/assets");
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        let mut named: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        named.sort();
        assert_eq!(named, found, "the list in this file and the folder");
    }

    #[test]
    fn no_module_waits_for_the_one_that_imports_it() {
        let text = |name: &str| {
            let (_, bytes) = FILES.iter().find(|(known, _)| *known == name).unwrap();
            std::str::from_utf8(bytes).unwrap()
        };
        let named = |page: &str, module: &str| {
            text(page).contains(&format!("<link rel=\"modulepreload\" href=\"/assets/{module}\">"))
        };
        let modules = FILES.iter().map(|(name, _)| *name).filter(|name| name.starts_with("app/"));
        for module in modules.filter(|name| *name != "app/main.js") {
            assert!(named("index.html", module), "index.html does not name {module}");
            let imported = text("kiosk.js").contains(&format!("from \"./{module}\""));
            assert_eq!(named("kiosk.html", module), imported, "kiosk.html and {module}");
        }
    }

    #[test]
    fn a_file_that_is_not_named_is_absent() {
        for name in ["", "../Cargo.toml", "/etc/passwd", "index.html/..", "%2e%2e/mod.rs"] {
            assert!(serve(name, &HeaderMap::new()).is_err(), "{name}");
        }
    }
}
