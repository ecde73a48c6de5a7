//! Calls over real sockets that never leave, or never end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{ErrorKind, Heard, Provider, Registry, Request};
use crate::config;

fn at(name: &str, url: String) -> Arc<dyn Provider> {
    let setting = config::Provider { base_url: Some(url), ..config::Provider::default() };
    let registry = Registry::new(&BTreeMap::from([(name.to_owned(), setting)]), Vec::new()).expect("a registry");
    registry.get(name).expect("a provider")
}

fn ask(model: &str) -> Request {
    Request { model: model.into(), prompt: "Hello".into(), timeout: Duration::from_secs(10), ..Request::default() }
}

#[tokio::test]
async fn what_never_left_says_so() {
    // A port that was free a moment ago: nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    for url in [format!("http://127.0.0.1:{port}"), "https://no-such-host.invalid".to_owned()] {
        let error =
            at("openai", url).complete(&ask("m"), Some(&"k".into()), &Heard::default()).await.expect_err("an error");
        assert_eq!(error.kind, ErrorKind::NotSent, "{error}");
        assert!(error.message.contains("check providers.openai.base_url"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    use poem::{Body, Response, endpoint::make_sync, listener::TcpAcceptor};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let endpoint = make_sync(|_| {
        let chunk = || Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 1 << 20]));
        let endless = futures::stream::repeat_with(chunk);
        Response::builder().content_type("application/json").body(Body::from_bytes_stream(endless))
    });
    let acceptor = TcpAcceptor::from_tokio(listener).expect("an acceptor");
    let server = tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(endpoint));
    let error =
        at("openai", url).complete(&ask("m"), Some(&"k".into()), &Heard::default()).await.expect_err("an error");
    assert_eq!(error.kind, ErrorKind::Unknown);
    assert!(error.message.contains("longer than 8388608 bytes"), "{error}");
    server.abort();
}
