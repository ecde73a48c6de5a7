//! `HttpRequest` and `DataFetcher` against a local server.

use std::time::Duration;

use poem::{Endpoint, EndpointExt, Request, Response, Route, endpoint::make, http::StatusCode};
use serde_json::{Value, json};

use super::HttpRequest;
use crate::{
    base::SecretHost,
    components::{
        Bound, CallStatus, Component, Retry,
        data_fetcher::DataFetcher,
        testing::{World, nowhere, serve},
    },
};

/// Says what it was asked.
async fn echo(mut request: Request) -> Response {
    let shown = |name: &str| request.header(name).map(str::to_owned);
    let (authorization, key, kind) = (shown("authorization"), shown("x-key"), shown("content-type"));
    let query = request.uri().query().unwrap_or_default().to_owned();
    let method = request.method().to_string();
    let body = request.take_body().into_string().await.unwrap();
    let told = json!({"method": method, "query": query, "body": body, "authorization": authorization, "key": key, "type": kind});
    Response::builder().content_type("application/json").header("set-cookie", "a=b").body(told.to_string())
}

fn fixed(status: u16, kind: &'static str, body: &'static [u8]) -> impl Endpoint {
    make(move |_| async move {
        let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
        if !kind.is_empty() {
            response = response.content_type(kind);
        }
        if status == 429 {
            response = response.header("retry-after", "7");
        }
        response.body(body)
    })
    .boxed()
}

async fn server() -> String {
    let app = Route::new()
        .at("/echo", make(echo))
        .at("/text", fixed(200, "text/csv; charset=iso-8859-1", b"caf\xe9"))
        .at("/plain", fixed(200, "text/plain", b"{\"a\": 1}"))
        .at("/number", fixed(200, "text/plain", b"42"))
        .at("/png", fixed(200, "image/png", b"\x89PNG\x00"))
        .at("/notjson", fixed(200, "application/json", b"<html>"))
        .at("/error", fixed(500, "text/html", b"<h1>Oops</h1>"))
        .at("/busy", fixed(429, "application/json", b"{}"))
        .at("/denied", fixed(403, "application/json", b"{\"no\": 1}"))
        .at(
            "/slow",
            make(|_| async {
                tokio::time::sleep(Duration::from_secs(30)).await;
                Response::builder().finish()
            }),
        );
    serve(app).await
}

#[tokio::test]
async fn sends_what_the_config_says() {
    let address = server().await;
    let world = World::allowing(&[&address]);
    let url = format!("http://{address}/echo?first=1");
    let config = json!({"method": "post", "url": url, "query": {"q": "a b", "n": 2, "skip": null}, "json": {"x": [1]}, "headers": {"X-Key": "plain"}});
    let output = world.run(&HttpRequest, config).await.unwrap();
    assert_eq!(output["status_code"], 200);
    let told = &output["json"];
    assert_eq!((told["method"].as_str(), told["query"].as_str()), (Some("POST"), Some("first=1&n=2&q=a+b")));
    assert_eq!((told["body"].as_str(), told["type"].as_str()), (Some("{\"x\":[1]}"), Some("application/json")));
    assert_eq!(told["key"], "plain");
    assert!(output["headers"]["content-type"] == "application/json" && output["headers"].get("set-cookie").is_none());
    let output = world.run(&HttpRequest, json!({"method": "PUT", "url": url, "body": "raw"})).await.unwrap();
    assert_eq!(output["json"]["body"], "raw");
    assert_eq!(world.calls().len(), 2);
}

#[tokio::test]
async fn headers_of_the_connection_and_of_the_way_are_refused() {
    let address = server().await;
    let world = World::allowing(&[&address]);
    let url = format!("http://{address}/echo");
    for name in [
        "Connection",
        "keep-alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "transfer_encoding",
        "Upgrade",
        "Host",
        "HTTP2-Settings",
        "Content-Length",
        "Content_Length",
        "Expect",
        "Via",
        "Max-Forwards",
        "Proxy-Authorization",
        "Proxy-Connection",
        "proxy_connection",
        "Forwarded",
        "X-Forwarded-For",
        "X-FORWARDED-HOST",
        "x_forwarded_proto",
        "X-Real-IP",
        "X-Original-URL",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Client-IP",
        "X-Cluster-Client-IP",
        "Fastly-Client-IP",
        "X-Azure-ClientIP",
        "X-Envoy-External-Address",
        "X-Forwarded",
        "Forwarded-For",
        "X-ProxyUser-Ip",
        "X-Rewrite-URL",
        "Via_",
        "Metadata-Flavor",
        "X-aws-ec2-metadata-token",
    ] {
        let headers = json!({ name: "x" });
        let error = world.run(&HttpRequest, json!({"url": url, "headers": headers})).await.unwrap_err();
        assert_eq!(error.field, Some(format!("config.headers.{name}")), "{error}");
        let error = world.run(&DataFetcher, json!({"url": url, "headers": headers})).await.unwrap_err();
        assert_eq!(error.field, Some(format!("config.headers.{name}")), "{error}");
    }
    assert_eq!(world.calls().len(), 0);
    for name in ["X-Forward", "X-Proxy", "Accept", "X-Host", "CF-Access-Client-Id"] {
        assert!(world.run(&HttpRequest, json!({"url": url, "headers": { name: "x" }})).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn secrets_are_put_in_and_never_shown() {
    let address = server().await;
    let url = format!("http://{address}/echo");
    let world = World::allowing(&[&address]).secret("api_key", "s3cret").secret("other", "0ther");
    let output = world.run(&HttpRequest, json!({"url": url})).await.unwrap();
    assert_eq!(output["json"]["authorization"], "Bearer s3cret");
    let placed = json!({"url": url, "headers": {"X-Key": "secret:api_key"}, "query": {"k": "secret:other"}});
    let output = world.run(&HttpRequest, placed).await.unwrap();
    assert_eq!((output["json"]["key"].as_str(), output["json"]["query"].as_str()), (Some("s3cret"), Some("k=0ther")));
    assert_eq!(output["json"]["authorization"], Value::Null, "a key that is placed goes nowhere else");
    for (call, _) in world.calls() {
        assert!(!call.fingerprint.contains("s3cret") && !call.fingerprint.contains("0ther"), "{}", call.fingerprint);
    }
    let missing = json!({"url": url, "headers": {"X-Key": "secret:nope"}});
    let error = world.run(&HttpRequest, missing).await.unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), ("secret_missing", Some("secrets.nope")));
    // In the clear only where the operator allows the host.
    let error = world.run(&HttpRequest, json!({"url": "http://example.com/"})).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("config.url"));
    assert!(error.message.contains("https"), "{error}");
}

/// What a template made up is text, and an address that it made up gets no secret.
#[tokio::test]
async fn inputs_and_pages_choose_neither_the_secret_nor_its_host() {
    let (address, elsewhere) = (server().await, server().await);
    let mut world = World::allowing(&[&address, &elsewhere]).secret("api_key", "s3cret").secret("other", "0ther");
    let config = json!({"url": format!("http://{address}/{{{{ inputs.path }}}}"),
                        "headers": {"X-Key": "{{ page.title }}"}, "query": "{{ page.query }}"});
    world.node = serde_json::from_value(json!({"id": "n", "component": "HttpRequest", "config": config})).unwrap();
    let rendered = json!({"url": format!("http://{address}/echo"),
                          "headers": {"X-Key": "secret:other"}, "query": {"q": "secret:other"}});
    let told = &world.run(&HttpRequest, rendered).await.unwrap()["json"];
    assert_eq!((told["key"].as_str(), told["query"].as_str()), (Some("secret:other"), Some("q=secret%3Aother")));
    assert_eq!(told["authorization"], "Bearer s3cret");

    let other = json!({"url": format!("http://{elsewhere}/echo")});
    let error = world.run(&HttpRequest, other.clone()).await.unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), ("secret_host", Some("config.url")), "{error}");
    assert_eq!(world.calls().len(), 1, "nothing left");
    world.node.secret_hosts = serde_json::from_value(json!([elsewhere])).unwrap();
    assert_eq!(world.run(&DataFetcher, other).await.unwrap()["json"]["authorization"], "Bearer s3cret");
}

/// Whatever the author wrote: where a secret may go is bound to the secret.
#[tokio::test]
async fn a_secret_is_sent_to_the_hosts_that_it_is_bound_to() {
    let (address, elsewhere) = (server().await, server().await);
    let to = |host: &str| Bound::To(vec![SecretHost::parse(host).unwrap()]);
    let world = World::allowing(&[&address, &elsewhere]);
    let world =
        world.bound_secret("key", "s3cret", to(&elsewhere)).bound_secret("none", "0ther", Bound::To(Vec::new()));
    let world = world.bound_secret("fits", "f1ts", to(&address));
    let url = format!("http://{address}/echo");
    for (part, name) in [("headers", "key"), ("query", "key"), ("headers", "none"), ("query", "none")] {
        // One that may go does not help another.
        let config = json!({"url": url, part: {"x-one": format!("secret:{name}"), "x-two": "secret:fits"}});
        for component in [&HttpRequest as &dyn Component, &DataFetcher] {
            let error = world.run(component, config.clone()).await.unwrap_err();
            assert_eq!((error.code, error.field), ("secret_host", Some(format!("secrets.{name}"))));
            assert!(error.message.contains(&address) && error.message.contains("PUT /secrets/"), "{}", error.message);
        }
    }
    assert_eq!(world.calls().len(), 0, "nothing left");
    let placed = json!({"url": url, "query": {"k": "secret:fits"}});
    assert_eq!(world.run(&HttpRequest, placed).await.unwrap()["json"]["query"], "k=f1ts");
    for name in ["api_key", "bearer_token"] {
        let world = World::allowing(&[&address]).bound_secret(name, "s3cret", to(&elsewhere));
        let error = world.run(&HttpRequest, json!({"url": url})).await.unwrap_err();
        assert_eq!((error.code, world.calls().len()), ("secret_host", 0), "{name}");
    }
}

#[tokio::test]
async fn answers_by_kind() {
    let address = server().await;
    let world = World::allowing(&[&address]);
    let url = |path: &str| json!({"url": format!("http://{address}{path}")});
    for (path, key, value) in
        [("/text", "text", json!("café")), ("/plain", "json", json!({"a": 1})), ("/number", "text", json!("42"))]
    {
        assert_eq!(world.run(&HttpRequest, url(path)).await.unwrap()[key], value, "{path}");
        let fetched = world.run(&DataFetcher, url(path)).await.unwrap();
        assert_eq!((&fetched[key], &fetched["data"], fetched["status_code"].as_u64()), (&value, &value, Some(200)));
    }
    assert_eq!(world.run(&HttpRequest, url("/png")).await.unwrap()["bytes"], 5);
    assert_eq!(world.run(&HttpRequest, url("/notjson")).await.unwrap()["text"], "<html>");
    let error = world.run(&DataFetcher, url("/png")).await.unwrap_err();
    assert!(error.code == "content_type" && error.message.contains("image/png"), "{error}");
    assert_eq!(world.run(&DataFetcher, url("/notjson")).await.unwrap_err().code, "broken_answer");
}

#[tokio::test]
async fn a_bad_status_is_data_for_one_and_an_error_for_the_other() {
    let address = server().await;
    let world = World::allowing(&[&address]);
    let url = |path: &str| json!({"url": format!("http://{address}{path}")});
    let output = world.run(&HttpRequest, url("/error")).await.unwrap();
    assert_eq!((output["status_code"].as_u64(), output["text"].as_str()), (Some(500), Some("<h1>Oops</h1>")));
    assert_eq!(world.calls()[0].1.status, CallStatus::Failed);
    for (path, words, retry) in [
        ("/error", "HTTP 500 Internal Server Error with a body of type text/html", Retry::May { after: None }),
        ("/busy", "HTTP 429", Retry::May { after: Some(Duration::from_secs(7)) }),
        ("/denied", "HTTP 403", Retry::Never),
        ("/none", "HTTP 404", Retry::Never),
    ] {
        let error = world.run(&DataFetcher, url(path)).await.unwrap_err();
        assert_eq!((error.code, error.retry), ("http_status", retry), "{path}: {error}");
        assert!(error.message.contains(words) && error.message.contains(path), "{error}");
    }
}

#[tokio::test]
async fn failures_say_what_may_have_happened() {
    let (address, closed) = (server().await, nowhere().await);
    let world = World::allowing(&[&address, &closed]);
    let slow = |method: &str| json!({"method": method, "timeout": "200ms", "url": format!("http://{address}/slow")});
    let error = world.run(&HttpRequest, slow("GET")).await.unwrap_err();
    assert_eq!((error.code, error.retry), ("timeout", Retry::May { after: None }));
    let error = world.run(&HttpRequest, slow("POST")).await.unwrap_err();
    assert_eq!((error.code, error.retry), ("timeout", Retry::Never));
    assert!(error.message.contains("may have been carried out"), "{error}");
    let error =
        world.run(&HttpRequest, json!({"method": "POST", "url": format!("http://{closed}/")})).await.unwrap_err();
    assert_eq!((error.code, error.retry), ("unreachable", Retry::May { after: None }));
    let statuses: Vec<_> = world.calls().iter().map(|(_, outcome)| outcome.status).collect();
    assert_eq!(statuses, [CallStatus::Timeout, CallStatus::Timeout, CallStatus::Failed]);
}

#[tokio::test]
async fn bad_config_names_the_key() {
    let world = World::allowing(&[]);
    for (config, field) in [
        (json!({}), "config.url"),
        (json!({"url": "https://x.example", "method": "BREW"}), "config.method"),
        (json!({"url": "https://x.example", "method": "GET", "json": {}}), "config.method"),
        (json!({"url": "https://x.example", "method": "POST", "json": {}, "body": "x"}), "config.body"),
        (json!({"url": "https://x.example", "headers": {"bad name": "x"}}), "config.headers.bad name"),
        (json!({"url": "https://x.example", "headers": {"x": "a\nb"}}), "config.headers.x"),
        (json!({"url": "https://x.example", "headers": {"Host": "y"}}), "config.headers.Host"),
        (json!({"url": "https://x.example", "headers": ["x"]}), "config.headers"),
        (json!({"url": "https://x.example", "query": {"a": []}}), "config.query.a"),
        (json!({"url": "https://x.example", "data": 1}), "config.data"),
    ] {
        let error = world.run(&HttpRequest, config).await.unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), ("invalid_config", Some(field)), "{error}");
    }
    assert!(world.calls().is_empty());
}
