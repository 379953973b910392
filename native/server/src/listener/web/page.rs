//! Serves the page at `/` and its files as they were when the server was built. It does not know what is in them.

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{StatusCode, header};
use warp::path::FullPath;
use warp::reply::Response;

use super::request::get_or_head;

/// A file of the page.
struct File {
    /// The path of its URL.
    path: &'static str,
    /// The smallest first; the uncompressed one last.
    forms: &'static [Form],
}

/// A file, as it is or compressed.
struct Form {
    /// The content coding; empty if it is not compressed.
    coding: &'static str,
    /// The entity tag, in quotes.
    tag: &'static str,
    body: &'static [u8],
}

/// The page, or the plain one if the other was not built.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The page may only run its own files and connect to brokers, also to those of other servers.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; \
                      img-src 'self' data:; font-src 'self' data:; manifest-src 'self'; \
                      connect-src 'self' http: https: ws: wss:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// The plain page has inline styles.
const PLAIN_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:; \
                            base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET` and `HEAD` of the page's files.
pub(super) fn route() -> BoxedFilter<(Response,)> {
    warp::path::full()
        .and_then(|path: FullPath| async move { find(path.as_str()).ok_or_else(warp::reject) })
        .and(get_or_head())
        .and(warp::header::optional("if-none-match"))
        .and(warp::header::optional("accept-encoding"))
        .map(|file, known: Option<String>, codings: Option<String>| {
            answer(file, known.as_deref(), codings.as_deref())
        })
        .boxed()
}

/// Whether there is a file at this path.
pub(super) fn has(path: &str) -> bool {
    find(path).is_some()
}

fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

fn answer(file: &'static File, known: Option<&str>, codings: Option<&str>) -> Response {
    let codings = codings.unwrap_or_default();
    let form = file
        .forms
        .iter()
        .find(|form| form.coding.is_empty() || takes(codings, form.coding))
        .expect("each file is there as it is");
    // Names below this folder change with their content.
    let is_hashed = file.path.starts_with("/assets/");
    let caching = match is_hashed {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let policy = match FILES {
        [_] => PLAIN_POLICY,
        _ => POLICY,
    };
    let is_known = known.is_some_and(|known| names(known, form.tag));
    let (status, body) = match is_known {
        true => (StatusCode::NOT_MODIFIED, &[][..]),
        false => (StatusCode::OK, form.body),
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type(file.path)),
        // This tells the page that a broker is behind it; its own path tells where. Proxies replace `Server`.
        (header::HeaderName::from_static("mist-broker"), "here"),
        (header::CACHE_CONTROL, caching),
        (header::ETAG, form.tag),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    if file.forms.len() > 1 {
        let by = header::HeaderValue::from_static("accept-encoding");
        headers.insert(header::VARY, by);
    }
    if !form.coding.is_empty() {
        let coding = header::HeaderValue::from_static(form.coding);
        headers.insert(header::CONTENT_ENCODING, coding);
    }
    response
}

/// Whether the value of an `Accept-Encoding` header accepts a coding.
fn takes(codings: &str, wanted: &str) -> bool {
    codings.split(',').any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().trim_start_matches("q=").trim();
        name.trim().eq_ignore_ascii_case(wanted) && weight.parse().is_ok_and(|q: f32| q > 0.0)
    })
}

/// Whether the value of an `If-None-Match` header contains a tag.
fn names(known: &str, tag: &str) -> bool {
    let mut tags = known.split(',').map(str::trim);
    tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

fn content_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    match ending.unwrap_or(name) {
        "" | "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Body as _;

    use super::*;

    #[test]
    fn a_file_that_the_client_has_is_not_sent_again() {
        let tag = "\"1\"";
        for known in ["\"1\"", "W/\"1\"", "\"0\", \"1\"", "*"] {
            assert!(names(known, tag), "{known}");
        }
        for known in ["\"2\"", "1", "", "\"1"] {
            assert!(!names(known, tag), "{known}");
        }
    }

    #[test]
    fn a_file_is_sent_in_the_smallest_form_that_the_client_takes() {
        static FILE: File = File {
            path: "/assets/some.js",
            forms: &[
                Form {
                    coding: "br",
                    tag: "\"1\"",
                    body: b"b",
                },
                Form {
                    coding: "gzip",
                    tag: "\"2\"",
                    body: b"gz",
                },
                Form {
                    coding: "",
                    tag: "\"3\"",
                    body: b"plain",
                },
            ],
        };
        for (codings, coding, tag, length) in [
            (None, None, "\"3\"", "5"),
            (Some("gzip, deflate, br, zstd"), Some("br"), "\"1\"", "1"),
            (Some("br;q=0, GZIP;q=0.5"), Some("gzip"), "\"2\"", "2"),
            (Some("br; q=0.0, gzip;q=0"), None, "\"3\"", "5"),
            (Some("brotli, identity, br;q=high"), None, "\"3\"", "5"),
        ] {
            let answer = answer(&FILE, Some("\"0\""), codings);
            let has = |name| answer.headers().get(&name).map(|value| value.as_bytes());
            assert_eq!(
                has(header::CONTENT_ENCODING),
                coding.map(str::as_bytes),
                "{codings:?}"
            );
            assert_eq!(has(header::ETAG), Some(tag.as_bytes()), "{codings:?}");
            assert_eq!(has(header::VARY), Some(&b"accept-encoding"[..]));
            assert_eq!(
                answer
                    .body()
                    .size_hint()
                    .exact()
                    .map(|size| size.to_string()),
                Some(length.to_owned()),
                "{codings:?}"
            );
        }
        // One form's content is not the other's.
        assert_eq!(answer(&FILE, Some("\"1\""), None).status(), 200);
        let known = answer(&FILE, Some("\"1\""), Some("br"));
        assert_eq!(known.status(), 304);
        assert!(known.headers().contains_key(header::VARY));
    }

    #[test]
    fn every_kind_of_file_has_a_type_that_browsers_take() {
        for (path, wanted) in [
            ("/", "text/html; charset=utf-8"),
            ("/below/", "text/html; charset=utf-8"),
            ("/assets/index-B1x.js", "text/javascript; charset=utf-8"),
            ("/assets/mist_bg-C2y.wasm", "application/wasm"),
            ("/v1.2/nothing", "application/octet-stream"),
            ("/a.tar.unknown", "application/octet-stream"),
        ] {
            assert_eq!(content_type(path), wanted, "{path}");
        }
    }
}
