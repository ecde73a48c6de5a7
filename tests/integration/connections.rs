//! Connections to a real process: what one address can hold, and for how long.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::stack::Stack;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

async fn connect(from: &str, base: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(base.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()).await.unwrap()
}

/// What comes until the server closes the connection.
async fn closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    timeout(Duration::from_mins(1), stream.read_to_end(&mut all)).await.expect("the connection stays open").ok();
    String::from_utf8_lossy(&all).into_owned()
}

async fn is_healthy(from: &str, base: &str) -> bool {
    let mut stream = connect(from, base).await;
    stream.write_all(HEALTH.as_bytes()).await.ok();
    closed(&mut stream).await.starts_with("HTTP/1.1 200")
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn half_requests_end_and_an_address_cannot_keep_the_others_out(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let started = Instant::now();
    let mut held = Vec::new();
    for n in 0..400 {
        let mut stream = connect("127.0.0.1", &stack.base).await;
        let half = ["", "GET /healthz HTTP/1.1\r\nhost: x\r\n"][n % 2];
        // Those that are too many are closed at once.
        stream.write_all(half.as_bytes()).await.ok();
        held.push(stream);
    }
    let mut slow = connect("127.0.0.3", &stack.base).await;
    let head = "POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    assert!(!is_healthy("127.0.0.1", &stack.base).await, "one address held 400 connections");
    assert!(is_healthy("127.0.0.2", &stack.base).await, "another address is kept out");
    for stream in &mut held {
        assert_eq!(closed(stream).await, "");
    }
    assert!(started.elapsed() < Duration::from_secs(25), "half requests stay for {:?}", started.elapsed());
    assert!(is_healthy("127.0.0.1", &stack.base).await, "places are not given back");
    let answer = closed(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_too_slow"), "{answer}");
}
