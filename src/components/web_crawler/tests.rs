//! The crawler against real local sites.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use poem::{Endpoint, Request, Response, endpoint::make, http::StatusCode};
use serde_json::{Value, json};

use super::WebCrawler;
use crate::components::{
    CallKind, CallStatus, ComponentError, Retry,
    testing::{World, nowhere, serve},
};

/// Pages by path: status, content type or location, body.
type Pages = BTreeMap<&'static str, (u16, &'static str, String)>;
type Log = Arc<Mutex<Vec<(String, String)>>>;

/// A site of fixed pages that remembers who asked for what.
fn site(pages: Pages) -> (impl Endpoint, Log) {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let pages = Arc::new(pages);
    let endpoint = make(move |request: Request| {
        let path = request.original_uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let agent = request.header("user-agent").unwrap_or_default().to_owned();
        seen.lock().unwrap().push((path.clone(), agent));
        let found = pages.get(path.as_str()).cloned();
        async move {
            let (status, kind, body) = found.unwrap_or((404, "text/plain", "no".into()));
            let header = if (300..400).contains(&status) { "location" } else { "content-type" };
            Response::builder().status(StatusCode::from_u16(status).unwrap()).header(header, kind).body(body)
        }
    });
    (endpoint, log)
}

fn html(links: &[&str]) -> (u16, &'static str, String) {
    let links = links.iter().map(|link| format!("<a href='{link}'>x</a>")).collect::<Vec<_>>().concat();
    (200, "text/html; charset=utf-8", format!("<title>T</title><h1>H</h1><p>{links}</p>"))
}

async fn crawl(address: &str, mut config: Value) -> (World, Result<Value, ComponentError>) {
    let world = World::allowing(&[address]);
    if config.get("url").is_none() {
        config["url"] = json!(format!("http://{address}/"));
    }
    let outcome = world.run(&WebCrawler, config).await;
    (world, outcome)
}

fn paths(list: &Value, address: &str) -> Vec<String> {
    let items = list.as_array().unwrap().iter();
    let prefix = format!("http://{address}");
    items.map(|item| item["url"].as_str().or(item.as_str()).unwrap().replace(&prefix, "")).collect()
}

#[tokio::test]
async fn walks_a_site_and_reports_its_faults() {
    let closed = nowhere().await;
    let dead = Box::leak(format!("http://{closed}/x").into_boxed_str());
    let (endpoint, log) = site(Pages::from([
        ("/robots.txt", (200, "text/plain", "User-agent: *\nDisallow: /private".into())),
        ("/", html(&["/a", "/a#part", "a/../b", "/private/x", "/missing", "/file.pdf", "/moved", dead, "mailto:x@y"])),
        ("/a", html(&["/", "/c", "/away"])),
        ("/b", (200, "text/html", "<title>caf\u{e9}".into())),
        ("/c", html(&["/d"])),
        ("/d", html(&[])),
        ("/moved", (301, "/b", String::new())),
        ("/away", (302, "http://example.com/", String::new())),
        ("/file.pdf", (200, "application/pdf", "%PDF".into())),
    ]));
    let address = serve(endpoint).await;
    let (world, outcome) = crawl(&address, json!({"max_depth": "2"})).await;
    let report = outcome.unwrap();

    assert_eq!(paths(&report["pages"], &address), ["/", "/a", "/b", "/c"]);
    assert_eq!(report["total_pages"], 4);
    assert_eq!(report["base_url"], format!("http://{address}/"));
    assert_eq!(report["pages"][1]["depth"], 1);
    assert_eq!(report["pages"][1]["title"], "T");
    assert_eq!(report["pages"][0]["status_code"], 200);
    assert_eq!(report["pages"][0]["content_type"], "text/html; charset=utf-8");
    assert_eq!(
        report["broken_links"],
        json!([{"url": format!("http://{address}/missing"), "status_code": 404, "error": null, "found_on": format!("http://{address}/")}])
    );
    assert_eq!(report["redirects"][0]["status_code"], 301);
    let mut skipped: Vec<_> = report["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            (
                s["url"].as_str().unwrap().replace(&format!("http://{address}"), ""),
                s["reason"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    skipped.sort();
    let reason =
        |path: &str| skipped.iter().find(|(url, _)| url == path).map(|(_, reason)| reason.as_str()).unwrap_or_default();
    assert_eq!(reason("/d"), "deeper than max_depth 2");
    assert_eq!(reason("/private/x"), "robots.txt disallows it");
    assert!(reason("/file.pdf").contains("application/pdf"), "{skipped:?}");
    assert!(reason("/away").contains("another host: http://example.com/"), "{skipped:?}");
    assert_eq!(reason(dead), "another host", "other ports are other sites");
    assert_eq!(report["skipped_total"], 5);

    let asked = log.lock().unwrap().clone();
    let mut once: Vec<_> = asked.iter().map(|(path, _)| path.clone()).collect();
    once.sort();
    let count = once.len();
    once.dedup();
    assert_eq!(once.len(), count, "each address is asked for once: {asked:?}");
    assert_eq!(asked[0].0, "/robots.txt");
    assert!(asked.iter().all(|(path, agent)| path != "/private/x" && agent.starts_with("TeamAI/")));

    let calls = world.calls();
    assert_eq!(calls.len(), 1, "one ledger line for the whole crawl");
    assert_eq!((calls[0].0.kind, calls[0].1.status), (CallKind::Crawl, CallStatus::Success));
}

#[tokio::test]
async fn max_pages_is_exact_and_the_rest_is_counted() {
    let mut pages = Pages::from([("/", html(&["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8"]))]);
    for path in ["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8"] {
        pages.insert(path, html(&[]));
    }
    let address = serve(site(pages).0).await;
    let (_, outcome) = crawl(&address, json!({"max_pages": 4})).await;
    let report = outcome.unwrap();
    assert_eq!(report["total_pages"], 4);
    assert_eq!(report["skipped"].as_array().unwrap().len(), 5);
    assert_eq!(report["skipped"][0]["reason"], "max_pages is reached");
}

#[tokio::test]
async fn a_start_that_cannot_be_had_is_an_error() {
    let (endpoint, _) = site(Pages::from([
        ("/", (500, "text/html", "<h1>Oops</h1>".into())),
        ("/gone", (404, "text/html", "no".into())),
        ("/pdf", (200, "application/pdf", "no".into())),
        ("/loop", (302, "/loop2", String::new())),
        ("/loop2", (302, "/loop", String::new())),
        ("/away", (302, "http://example.com/", String::new())),
    ]));
    let address = serve(endpoint).await;
    for (path, code, words) in [
        ("/", "http_status", "HTTP 500 with a body of type text/html"),
        ("/gone", "http_status", "HTTP 404"),
        ("/pdf", "not_html", "application/pdf"),
        ("/loop", "too_many_redirects", "circle"),
        ("/away", "redirected", "http://example.com/"),
    ] {
        let (world, outcome) = crawl(&address, json!({"url": format!("http://{address}{path}")})).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (code, Some("config.url")), "{path}: {error}");
        assert!(error.message.contains("config.url") && error.message.contains(words), "{path}: {error}");
        assert_eq!(error.retry, if path == "/" { Retry::May { after: None } } else { Retry::Never }, "{path}");
        assert_eq!(world.calls()[0].1.status, CallStatus::Failed);
    }
    let closed = nowhere().await;
    let (_, outcome) = crawl(&closed, json!({})).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.code, error.retry), ("unreachable", Retry::May { after: None }));
    assert!(error.message.contains("could not connect"), "{error}");
}

#[tokio::test]
async fn an_address_that_is_not_public_never_starts() {
    let world = World::allowing(&[]);
    let error = world.run(&WebCrawler, json!({"url": "http://169.254.169.254/"})).await.unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), ("address_refused", Some("config.url")));
    assert!(world.calls().is_empty());
}

#[tokio::test]
async fn robots_that_fail_keep_us_out() {
    let pages = || Pages::from([("/robots.txt", (503, "text/plain", String::new())), ("/", html(&[]))]);
    let address = serve(site(pages()).0).await;
    let (_, outcome) = crawl(&address, json!({})).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.code, "robots_disallowed");
    assert!(error.message.contains("503") && error.message.contains("respect_robots"), "{error}");
    let (_, outcome) = crawl(&address, json!({"respect_robots": "false"})).await;
    assert_eq!(outcome.unwrap()["total_pages"], 1);
}

#[tokio::test]
async fn the_delay_is_kept() {
    let address = serve(
        site(Pages::from([("/", html(&["/1", "/2", "/3"])), ("/1", html(&[])), ("/2", html(&[])), ("/3", html(&[]))]))
            .0,
    )
    .await;
    let started = std::time::Instant::now();
    let (_, outcome) = crawl(&address, json!({"rate_limit_delay": "60ms"})).await;
    assert_eq!(outcome.unwrap()["total_pages"], 4);
    assert!(started.elapsed() >= Duration::from_millis(180), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_busy_server_is_asked_again_later() {
    let tries = Arc::new(Mutex::new(0));
    let endpoint = make(move |request: Request| {
        let path = request.uri().path().to_owned();
        let busy = path == "/" && {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            *tries == 1
        };
        async move {
            let status = if busy {
                429
            } else if path == "/" {
                200
            } else {
                404
            };
            Response::builder()
                .status(StatusCode::from_u16(status).unwrap())
                .header("retry-after", "0")
                .content_type("text/html")
                .body("<title>T")
        }
    });
    let address = serve(endpoint).await;
    let (_, outcome) = crawl(&address, json!({})).await;
    assert_eq!(outcome.unwrap()["total_pages"], 1);
}

#[tokio::test]
async fn a_slow_page_is_a_broken_link_and_a_slow_start_an_error() {
    let endpoint = make(|request: Request| async move {
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        if request.uri().path() == "/robots.txt" {
            return Response::builder().status(StatusCode::NOT_FOUND).finish();
        }
        Response::builder().content_type("text/html").body("<a href=/slow>s</a>")
    });
    let address = serve(endpoint).await;
    let (_, outcome) = crawl(&address, json!({"timeout": "300ms"})).await;
    let report = outcome.unwrap();
    assert!(report["broken_links"][0]["error"].as_str().unwrap().contains("0.3 s"), "{report}");
    let (world, outcome) = crawl(&address, json!({"timeout": "300ms", "url": format!("http://{address}/slow")})).await;
    assert_eq!(outcome.unwrap_err().code, "timeout");
    assert_eq!(world.calls()[0].1.status, CallStatus::Timeout);
}

#[tokio::test]
async fn cancelling_stops_the_crawl() {
    let asked = Arc::new(tokio::sync::Notify::new());
    let seen = Arc::clone(&asked);
    let endpoint = make(move |_| {
        seen.notify_one();
        std::future::pending::<Response>()
    });
    let address = serve(endpoint).await;
    let world = World::allowing(&[&address]);
    let (outcome, ()) = tokio::join!(world.run(&WebCrawler, json!({"url": format!("http://{address}/")})), async {
        asked.notified().await;
        world.cancel.cancel();
    });
    assert_eq!(outcome.unwrap_err().retry, Retry::Stop);
    assert_eq!(world.calls().len(), 1);
}

#[tokio::test]
async fn bad_config_names_the_key() {
    let mut world = World::allowing(&[]);
    for (config, field) in [
        (json!({}), "config.url"),
        (json!({"url": "example.com"}), "config.url"),
        (json!({"url": "http://x.example", "max_pages": 0}), "config.max_pages"),
        (json!({"url": "http://x.example", "max_depth": "deep"}), "config.max_depth"),
        (json!({"url": "http://x.example", "timeout": "1h"}), "config.timeout"),
        (json!({"url": "http://x.example", "user_agent": "a\nb"}), "config.user_agent"),
        (json!({"url": "http://x.example", "foo": 1}), "config.foo"),
    ] {
        let error = world.run(&WebCrawler, config).await.unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), ("invalid_config", Some(field)), "{error}");
        assert!(error.message.contains(field), "{error}");
    }
    world.inputs.insert("website_url".into(), json!("not a url"));
    let error = world.run(&WebCrawler, json!({})).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("config.url"));
}

/// `/slow` links to `/x` directly, `/quick` by a detour that is done first.
#[tokio::test]
async fn every_page_is_found_by_its_shortest_way() {
    let endpoint = make(|request: Request| async move {
        let links = match request.uri().path() {
            "/" => "<a href=/slow>s</a><a href=/quick>q</a>",
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "<a href=/x>x</a>"
            }
            "/quick" => "<a href=/detour>d</a>",
            "/detour" => "<a href=/x>x</a>",
            "/x" => "<p>here</p>",
            _ => return Response::builder().status(StatusCode::NOT_FOUND).finish(),
        };
        Response::builder().content_type("text/html").body(links)
    });
    let address = serve(endpoint).await;
    let (_, outcome) = crawl(&address, json!({"max_depth": 2})).await;
    let report = outcome.unwrap();
    assert_eq!(paths(&report["pages"], &address), ["/", "/quick", "/slow", "/detour", "/x"], "{report}");
    assert_eq!(report["pages"][4]["depth"], 2);
}

#[tokio::test]
async fn a_thousand_pages_are_quick() {
    let endpoint = make(|request: Request| async move {
        let path = request.uri().path().to_owned();
        let Ok(n) = path.trim_start_matches('/').parse::<u32>() else {
            return Response::builder()
                .status(if path == "/" { StatusCode::OK } else { StatusCode::NOT_FOUND })
                .content_type("text/html")
                .body("<a href=/1>1</a>");
        };
        let links: String = (1..=10).map(|k| format!("<a href=/{}>x</a>", n * 10 + k)).filter(|_| n < 1000).collect();
        Response::builder()
            .content_type("text/html")
            .body(format!("<title>{n}</title>{links}{}", "<p>some text here</p>".repeat(200)))
    });
    let address = serve(endpoint).await;
    let started = std::time::Instant::now();
    let (_, outcome) = crawl(&address, json!({"max_pages": 1000, "max_depth": 20})).await;
    assert_eq!(outcome.unwrap()["total_pages"], 1000);
    eprintln!("1,000 pages in {:?}", started.elapsed());
}
