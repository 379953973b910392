//! The page and its files: whatever was built in, the plain page or the other.

use super::*;

/// The paths of this server that the page names.
fn named(html: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for attribute in ["src=\"", "href=\""] {
        let values = html.split(attribute).skip(1);
        let values = values.filter_map(|rest| rest.split('"').next());
        let own = values.filter(|value| !value.contains([':', '#']));
        paths.extend(own.map(|value| format!("/{}", value.trim_start_matches(['.', '/']))));
    }
    paths
}

#[tokio::test]
async fn the_page_is_html_and_asked_for_anew_each_time() {
    let site = Site::start().await;
    for door in site.doors() {
        let answer = Http::open(door).await.ask("GET", "/", &[], "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert!(answer.body.starts_with("<!doctype html>") && answer.body.contains("mist"));
    }
}

#[tokio::test]
async fn what_the_page_names_is_served_and_kept_for_good_where_its_name_changes() {
    let site = Site::start().await;
    let page = site.get("/").await;
    for path in named(&page.body) {
        let answer = site.open().await.ask("HEAD", &path, &[], "").await;
        assert_eq!(answer.status, 200, "{path}");
        let is_kept = answer.header("cache-control").contains("immutable");
        assert_eq!(is_kept, path.starts_with("/assets/"), "{path}");
        let is_script = answer.header("content-type").starts_with("text/javascript");
        assert_eq!(is_script, path.ends_with(".js"), "{path}");
    }
}

#[tokio::test]
async fn a_page_that_the_browser_has_is_not_sent_again() {
    let site = Site::start().await;
    let mut http = site.open().await;
    let first = http.ask("GET", "/", &[], "").await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let known = format!("If-None-Match: \"other\", {tag}");
    let second = http.ask("GET", "/", &[&known], "").await;
    assert_eq!((second.status, &*second.body), (304, ""));
    assert_eq!(second.header("etag"), tag);
    let third = http
        .ask("GET", "/", &["If-None-Match: \"other\""], "")
        .await;
    assert_eq!((third.status, third.body), (200, first.body));
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_and_talks_to_brokers() {
    let site = Site::start().await;
    let answer = site.get("/").await;
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    let scripts = policy
        .split("; ")
        .find(|part| part.starts_with("script-src"));
    let own = [None, Some("script-src 'self' 'wasm-unsafe-eval'")];
    assert!(own.contains(&scripts), "{policy}");
    assert!(policy.contains(" ws: wss:"), "{policy}");
}
