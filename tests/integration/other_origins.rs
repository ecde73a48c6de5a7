//! Pages of other origins, as a browser sends their requests to a real API.

use reqwest::{Method, Response, header::HeaderMap};
use sqlx::PgPool;

use crate::stack::Stack;

const APP: &str = "https://app.acme.example";

async fn send(stack: &Stack, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.request(method, format!("{}{path}", stack.base));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

fn allowed(headers: &HeaderMap) -> Option<&str> {
    headers.get("access-control-allow-origin").map(|origin| origin.to_str().unwrap())
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn pages_of_the_operators_origins_alone_may_call_and_read(root: PgPool) {
    let settings = [("TEAMAI_HTTP__CORS_ORIGINS", APP), ("TEAMAI_HTTP__PUBLIC_URL", "https://api.acme.example")];
    let stack = Stack::start(&root, &settings).await;
    let asks = [("origin", APP), ("access-control-request-method", "POST")];
    let may = send(&stack, Method::OPTIONS, "/tasks", &asks).await;
    assert_eq!((may.status().as_u16(), allowed(may.headers())), (204, Some(APP)));
    assert!(may.headers()["access-control-allow-headers"].to_str().unwrap().contains("Authorization"));
    // An answer that refuses is to be read as well.
    let refused = send(&stack, Method::GET, "/tasks", &[("origin", APP)]).await;
    assert_eq!((refused.status().as_u16(), allowed(refused.headers())), (401, Some(APP)));
    assert_eq!(refused.headers()["strict-transport-security"], "max-age=31536000");

    for origin in ["https://evil.example", "null", "http://app.acme.example"] {
        let asks = [("origin", origin), ("access-control-request-method", "POST")];
        let may = send(&stack, Method::OPTIONS, "/tasks", &asks).await;
        assert_eq!((may.status().as_u16(), allowed(may.headers())), (405, None), "{origin}");
        let unread = send(&stack, Method::GET, "/healthz", &[("origin", origin)]).await;
        assert_eq!((unread.status().as_u16(), allowed(unread.headers())), (200, None), "{origin}");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_installation_is_closed_to_other_origins_unless_it_is_told(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let asks = [("origin", APP), ("access-control-request-method", "GET")];
    let may = send(&stack, Method::OPTIONS, "/healthz", &asks).await;
    assert_eq!((may.status().as_u16(), allowed(may.headers())), (405, None));
    let unread = send(&stack, Method::GET, "/healthz", &[("origin", APP)]).await;
    assert_eq!((unread.status().as_u16(), allowed(unread.headers())), (200, None));
    // Without TLS in front there is nothing to insist on.
    assert!(!unread.headers().contains_key("strict-transport-security"));
}
