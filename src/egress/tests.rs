//! The client against real local servers.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use poem::{Endpoint, Route, Server, get, handler, listener::TcpAcceptor};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::*;

mod hostile;
mod inside;

/// Serves on a free port and gives its `host:port`.
async fn serve(app: impl Endpoint + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(app));
    address
}

/// Accepts connections and answers each with raw bytes, then calls `then`.
async fn raw<F, Fut>(answer: &'static [u8], then: F) -> String
where
    F: Fn(tokio::net::TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
            tokio::spawn(then(stream));
        }
    });
    address
}

fn client(allow: &[&str]) -> Client {
    Client::new(Policy::new(allow).unwrap()).unwrap()
}

fn url(text: impl AsRef<str>) -> Url {
    Url::parse(text.as_ref()).unwrap()
}

async fn send(client: &Client, request: Request) -> Result<Response, Error> {
    client.send(request, &CancellationToken::new()).await
}

/// Gives fixed answers and counts the questions.
#[derive(Debug, Default)]
struct Fixed {
    answers: HashMap<&'static str, Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Lookup for Fixed {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        self.answers.get(host).cloned().ok_or_else(|| io::Error::other("no such host"))
    }
}

#[handler]
fn hello(headers: &poem::http::HeaderMap) -> String {
    let shown = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    format!(
        "auth={} key={} agent={} host={}",
        shown("authorization"),
        shown("x-key"),
        shown("user-agent"),
        shown("host")
    )
}

#[handler]
fn hop(poem::web::Path(n): poem::web::Path<u32>) -> poem::Response {
    let to = if n == 0 { "/".to_owned() } else { format!("/hop/{}", n - 1) };
    poem::Response::builder().status(StatusCode::FOUND).header("location", to).finish()
}

#[tokio::test]
async fn answers_and_keeps_the_connection() {
    let address = serve(Route::new().at("/", get(hello))).await;
    let client = client(&[&address]);
    let response = send(&client, Request::get(url(format!("http://{address}/")))).await.unwrap();
    assert_eq!(response.status, 200);
    let text = std::str::from_utf8(&response.body).unwrap().to_owned();
    assert!(text.contains(&format!("agent={USER_AGENT} host={address}")), "{text}");
}

#[tokio::test]
async fn refuses_what_is_not_public() {
    let address = serve(Route::new().at("/", get(hello))).await;
    let guarded = client(&[]);
    let error = send(&guarded, Request::get(url(format!("http://{address}/")))).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Refused(_)), "{error}");
    assert!(!error.sent);
    assert!(error.to_string().contains("TEAMAI_EGRESS__ALLOW"), "{error}");
    // A name is resolved by the machine and refused by its address.
    let error = send(&guarded, Request::get(url("http://localhost/"))).await.unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::Refused(why) if why.contains("loopback")), "{error}");
    assert!(!error.sent);
}

#[tokio::test]
async fn one_private_answer_among_public_ones_refuses() {
    let mut fixed = Fixed::default();
    fixed.answers.insert("mixed.example", vec!["8.8.8.8".parse().unwrap(), "10.0.0.1".parse().unwrap()]);
    fixed.answers.insert("none.example", vec![]);
    let fixed = Arc::new(fixed);
    let client = Client::with_lookup(Policy::default(), Arc::clone(&fixed) as Arc<dyn Lookup>).unwrap();
    for (host, expected) in
        [("mixed.example", "private"), ("none.example", "no address"), ("gone.example", "no such host")]
    {
        let error = send(&client, Request::get(url(format!("http://{host}/?key=s3cret")))).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.sent && !error.to_string().contains("s3cret"), "{error}");
    }
    assert_eq!(
        *fixed.asked.lock().unwrap(),
        ["mixed.example", "none.example", "gone.example"],
        "each is resolved once"
    );
}

#[tokio::test]
async fn dials_the_resolved_address_and_keeps_the_host_header() {
    let address = serve(Route::new().at("/", get(hello))).await;
    let port = address.rsplit_once(':').unwrap().1.to_owned();
    let mut fixed = Fixed::default();
    fixed.answers.insert("site.example", vec!["127.0.0.1".parse().unwrap()]);
    let pair = format!("site.example:{port}");
    let client = Client::with_lookup(Policy::new([&pair]).unwrap(), Arc::new(fixed)).unwrap();
    let response = send(&client, Request::get(url(format!("http://{pair}/")))).await.unwrap();
    assert!(std::str::from_utf8(&response.body).unwrap().contains(&format!("host={pair}")));
    // The same name on a port that was not named stays guarded.
    let error = send(&client, Request::get(url("http://site.example/"))).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Refused(_)), "{error}");
}

#[tokio::test]
async fn follows_redirects_up_to_the_limit() {
    let address = serve(Route::new().at("/", get(hello)).at("/hop/:n", get(hop))).await;
    let client = client(&[&address]);
    let response = send(&client, Request::get(url(format!("http://{address}/hop/4")))).await.unwrap();
    assert_eq!((response.status.as_u16(), response.redirects.len()), (200, 5));
    assert_eq!(response.final_url.path(), "/");
    let error = send(&client, Request::get(url(format!("http://{address}/hop/5")))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooManyRedirects(5));
    assert!(error.sent);
    let mut request = Request::get(url(format!("http://{address}/hop/1")));
    request.limits.redirects = 0;
    let response = send(&client, request).await.unwrap();
    assert_eq!(response.status, 302);
    assert_eq!(response.location().unwrap().path(), "/hop/0");
}

#[tokio::test]
async fn a_redirect_is_checked_and_takes_no_credentials_along() {
    let second = serve(Route::new().at("/", get(hello))).await;
    let to = format!("http://{second}/");
    let first = serve(Route::new().at(
        "/",
        poem::endpoint::make_sync(move |_| {
            poem::Response::builder().status(StatusCode::TEMPORARY_REDIRECT).header("location", &to).finish()
        }),
    ))
    .await;
    let mut request = Request::get(url(format!("http://{first}/")));
    request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
    let mut key = HeaderValue::from_static("s3cret");
    key.set_sensitive(true);
    request.headers.insert("x-key", key);
    let response = send(&client(&[&first, &second]), request.clone()).await.unwrap();
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    assert!(text.starts_with("auth=- key=-"), "{text}");
    // Where the target is not allowed the redirect is refused, and the first request had left.
    let error = send(&client(&[&first]), request).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Refused(_)), "{error}");
    assert!(error.sent);
    assert!(error.url.contains(&second), "names the hop at fault: {error}");
}

/// Answers with zeros in the encoding that the path names.
async fn serve_zeros(count: usize) -> String {
    serve(Route::new().at(
        "/:encoding",
        poem::endpoint::make(move |request: poem::Request| async move {
            let encoding = request.uri().path().trim_start_matches('/').to_owned();
            let mut packed = Vec::new();
            let zeros = vec![0_u8; count];
            macro_rules! pack {
                ($encoder:ident) => {{
                    let mut encoder = async_compression::tokio::write::$encoder::new(&mut packed);
                    encoder.write_all(&zeros).await.unwrap();
                    encoder.shutdown().await.unwrap();
                }};
            }
            match encoding.as_str() {
                "gzip" => pack!(GzipEncoder),
                "br" => pack!(BrotliEncoder),
                "deflate" => pack!(ZlibEncoder),
                _ => pack!(ZstdEncoder),
            }
            poem::Response::builder().header("content-encoding", encoding).body(packed)
        }),
    ))
    .await
}

#[tokio::test]
async fn a_bomb_is_cut_off_while_it_streams() {
    let (fits, bomb) = (serve_zeros(100_000).await, serve_zeros(8 * 1024 * 1024).await);
    let client = client(&[&fits, &bomb]);
    for encoding in ["gzip", "br", "deflate", "zstd"] {
        let response = send(&client, Request::get(url(format!("http://{fits}/{encoding}")))).await.unwrap();
        assert_eq!(response.body.len(), 100_000, "{encoding}");
        let error = send(&client, Request::get(url(format!("http://{bomb}/{encoding}")))).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooLarge(5 * 1024 * 1024), "{encoding}");
        assert!(error.sent);
    }
}

#[tokio::test]
async fn an_announced_length_above_the_limit_is_not_read() {
    let address = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n", |stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let error = send(&client(&[&address]), Request::get(url(format!("http://{address}/")))).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::TooLarge(_)), "{error}");
}

#[tokio::test]
async fn a_body_that_drips_ends_at_the_total() {
    let address = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", |mut stream| async move {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let mut request = Request::get(url(format!("http://{address}/")));
    request.limits.total = Duration::from_millis(300);
    let started = Instant::now();
    let error = send(&client(&[&address]), request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout(Duration::from_millis(300)));
    assert!(error.sent);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_closed_port_was_not_sent_and_a_broken_answer_was() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = send(&client(&[&closed]), Request::get(url(format!("http://{closed}/")))).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Unreachable(_)), "{error}");
    assert!(!error.sent);

    for answer in [&b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"[..], b"not http at all\r\n\r\n", b""] {
        let address = raw(answer, |stream| async move { drop(stream) }).await;
        let error = send(&client(&[&address]), Request::get(url(format!("http://{address}/")))).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Broken(_) | ErrorKind::Undecodable(_)), "{error}");
        assert!(error.sent, "{error}");
    }
}

#[tokio::test]
async fn cancelling_ends_the_request_at_once() {
    let arrived = Arc::new(Notify::new());
    let seen = Arc::clone(&arrived);
    let address = raw(b"", move |stream| {
        seen.notify_one();
        async move {
            std::future::pending::<()>().await;
            drop(stream);
        }
    })
    .await;
    let cancel = CancellationToken::new();
    let client = client(&[&address]);
    let call = client.send(Request::get(url(format!("http://{address}/"))), &cancel);
    let (outcome, ()) = tokio::join!(call, async {
        arrived.notified().await;
        cancel.cancel();
    });
    assert_eq!(outcome.unwrap_err().kind, ErrorKind::Cancelled);
}

#[tokio::test]
async fn an_unwanted_body_is_not_read() {
    let address =
        raw(b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: 999999999\r\n\r\n", |stream| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await;
    let mut request = Request::get(url(format!("http://{address}/")));
    request.wanted = |_, headers| headers["content-type"] != "video/mp4";
    let response = send(&client(&[&address]), request).await.unwrap();
    assert!(response.body.is_empty());
}
