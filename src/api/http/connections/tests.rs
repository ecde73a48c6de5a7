//! Whole servers over pipes, on a clock that is moved on.

use std::{net::SocketAddr, time::Duration};

use futures::StreamExt;
use ipnet::IpNet;
use poem::{
    Addr, EndpointExt, Request, Response, Server,
    endpoint::make,
    http::uri::Scheme,
    listener::Acceptor,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::open::Connections;

const PEER: &str = "192.0.2.7";

/// Brings connections that are pipes.
struct Pipes(mpsc::Receiver<(DuplexStream, SocketAddr)>);

impl Acceptor for Pipes {
    type Io = DuplexStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        Vec::new()
    }

    async fn accept(&mut self) -> std::io::Result<(DuplexStream, LocalAddr, RemoteAddr, Scheme)> {
        match self.0.recv().await {
            Some((pipe, peer)) => Ok((pipe, LocalAddr::default(), RemoteAddr(Addr::from(peer)), Scheme::HTTP)),
            None => std::future::pending().await,
        }
    }
}

/// A server with four places, two for each, that reads a body, answers after as many seconds as
/// the query says, or streams.
struct Served(mpsc::Sender<(DuplexStream, SocketAddr)>);

async fn answer(request: Request) -> Response {
    let (query, path) = (request.uri().query().map(str::to_owned), request.uri().path().to_owned());
    if path == "/stream" {
        let ticks = futures::stream::unfold((), |()| async {
            sleep(Duration::from_secs(15)).await;
            Some((Ok::<_, std::io::Error>("tick\n"), ()))
        });
        return Response::from(poem::Body::from_bytes_stream(ticks.boxed()));
    }
    if path == "/large" {
        return Response::from(vec![b'x'; 24 * 1024 * 1024]);
    }
    if let Some(seconds) = query.and_then(|query| query.parse().ok()) {
        sleep(Duration::from_secs(seconds)).await;
    }
    match request.into_body().into_bytes_limit(1000).await {
        Ok(body) => Response::from(format!("{} bytes", body.len())),
        Err(poem::error::ReadBodyError::Io(error)) => Response::from(format!("{:?}", error.kind())),
        Err(error) => Response::from(error.to_string()),
    }
}

impl Served {
    fn start(trusted: &[&str]) -> Self {
        let (sender, receiver) = mpsc::channel(10);
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let connections = Connections::of(4, 2, trusted.into());
        let acceptor = connections.accepted_by(Pipes(receiver));
        let endpoint = connections
            .answered_by(make(|request| async { Ok::<_, poem::Error>(answer(request).await) }).map_to_response());
        tokio::spawn(Server::new_with_acceptor(acceptor).run(endpoint));
        Self(sender)
    }

    async fn connect(&self, peer: &str) -> DuplexStream {
        static PORT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(1000);
        let port = PORT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (ours, theirs) = duplex(4096);
        self.0.send((theirs, SocketAddr::new(peer.parse().unwrap(), port))).await.unwrap();
        ours
    }
}

/// What comes until the connection is closed, and after how many seconds it is.
async fn closed(pipe: &mut DuplexStream) -> (String, u64) {
    let (started, mut all) = (Instant::now(), Vec::new());
    timeout(Duration::from_mins(10), pipe.read_to_end(&mut all)).await.expect("the connection stays open").ok();
    (String::from_utf8_lossy(&all).into_owned(), started.elapsed().as_secs())
}

async fn ask(pipe: &mut DuplexStream, request: &str) -> String {
    pipe.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 4096];
    let length = timeout(Duration::from_mins(10), pipe.read(&mut buffer)).await.expect("there is no answer").unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_head_has_ten_seconds_whatever_it_looks_like() {
    let served = Served::start(&[]);
    for half in ["", "G", "PR", "POST", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: x\r\nx-a: "] {
        let mut pipe = served.connect(PEER).await;
        pipe.write_all(half.as_bytes()).await.unwrap();
        let (_, seconds) = closed(&mut pipe).await;
        assert!((9..=11).contains(&seconds), "{half:?} was open for {seconds} s");
    }
    // A byte a second does not help; nor does a good request before it.
    for before in ["", GET] {
        let mut pipe = served.connect(PEER).await;
        if !before.is_empty() {
            assert!(ask(&mut pipe, before).await.contains("0 bytes"));
        }
        let started = Instant::now();
        for byte in "GET / HTTP/1.1\r\nx-long: ".bytes().chain(std::iter::repeat(b'a')) {
            if pipe.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
            assert!(started.elapsed().as_secs() < 60, "a slow head stays open");
        }
        assert!((9..=13).contains(&started.elapsed().as_secs()), "after {:?}", started.elapsed());
    }
}

/// One connection of it would be any number of requests, whose answers wait for the client.
#[tokio::test(start_paused = true)]
async fn http_2_is_not_spoken() {
    let served = Served::start(&[]);
    for pieces in [vec!["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], vec!["P", "R", "I", " *"]] {
        let mut pipe = served.connect(PEER).await;
        for piece in &pieces {
            if pipe.write_all(piece.as_bytes()).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let (answer, seconds) = closed(&mut pipe).await;
        assert!(answer.is_empty() && seconds == 0, "{pieces:?} was open for {seconds} s: {answer:?}");
    }
}

/// Answers that nobody reads take no more than a share; small ones are always given.
#[tokio::test(start_paused = true)]
async fn large_answers_that_are_not_read_have_a_share() {
    let served = Served::start(&[]);
    let large = GET.replace("GET /", "GET /large");
    let mut unread = served.connect(PEER).await;
    unread.write_all(large.as_bytes()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let mut pipe = served.connect(PEER).await;
    assert!(ask(&mut pipe, &large).await.contains("answers_unread"), "the share is taken");
    assert!(ask(&mut pipe, GET).await.contains("0 bytes"), "a small one is given");
    drop(unread);
    sleep(Duration::from_secs(1)).await;
    let answer = ask(&mut pipe, &large).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("content-length: 25165824"), "{answer:.200}");
}

#[tokio::test(start_paused = true)]
async fn a_body_has_thirty_seconds() {
    let served = Served::start(&[]);
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";
    let mut whole = served.connect(PEER).await;
    assert!(ask(&mut whole, &format!("{head}0123456789")).await.contains("10 bytes"));
    for begun in ["", "012"] {
        let mut pipe = served.connect(PEER).await;
        let started = Instant::now();
        let answer = ask(&mut pipe, &format!("{head}{begun}")).await;
        assert!(answer.contains("TimedOut") && answer.contains("content-length: 8"), "{answer}");
        assert!((29..=31).contains(&started.elapsed().as_secs()), "after {:?}", started.elapsed());
        closed(&mut pipe).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_answer_is_left_alone_and_who_is_idle_is_not() {
    let served = Served::start(&[]);
    let mut pipe = served.connect(PEER).await;
    for pause in [0, 20, 60] {
        sleep(Duration::from_secs(pause)).await;
        assert!(ask(&mut pipe, GET).await.contains("0 bytes"), "after {pause} s");
    }
    let (_, seconds) = closed(&mut pipe).await;
    assert!((74..=76).contains(&seconds), "open for {seconds} s");
    let mut slow = served.connect(PEER).await;
    assert!(ask(&mut slow, &GET.replace("GET /", "GET /?300")).await.contains("0 bytes"));
    let mut stream = served.connect(PEER).await;
    stream.write_all(GET.replace("GET /", "GET /stream").as_bytes()).await.unwrap();
    let mut buffer = [0; 4096];
    let started = Instant::now();
    while started.elapsed().as_secs() < 300 {
        assert!(stream.read(&mut buffer).await.unwrap() > 0, "a stream was cut");
    }
    // Nothing is read of it any more.
    sleep(Duration::from_secs(20_000)).await;
    let (text, seconds) = closed(&mut stream).await;
    assert!(seconds < 90 && text.len() < 10_000, "a stream that nobody reads stays open");
}

#[tokio::test(start_paused = true)]
async fn an_address_has_a_share_and_a_trusted_proxy_has_all() {
    let served = Served::start(&["10.0.0.0/8"]);
    let mut held = vec![served.connect(PEER).await, served.connect(&format!("::ffff:{PEER}")).await];
    for spelling in [PEER, "::ffff:192.0.2.7"] {
        assert_eq!(closed(&mut served.connect(spelling).await).await, (String::new(), 0), "{spelling}");
    }
    let mut other = served.connect("192.0.2.8").await;
    assert!(ask(&mut other, GET).await.contains("0 bytes"));
    // A place comes back with the end of a connection.
    assert!((9..=11).contains(&closed(&mut held[0]).await.1));
    let mut again = served.connect(PEER).await;
    assert!(ask(&mut again, GET).await.contains("0 bytes"));
    drop((again, other, held));
    sleep(Duration::from_secs(1)).await;
    let mut proxied = Vec::new();
    for _ in 0..4 {
        proxied.push(served.connect("10.0.0.1").await);
    }
    for pipe in &mut proxied {
        assert!(ask(pipe, GET).await.contains("0 bytes"));
    }
    assert_eq!(closed(&mut served.connect("10.0.0.1").await).await.1, 0, "there are four in all");
}
