//! Servers that misbehave, each row one way of doing it.

use super::*;

/// What the client may spend on a server of these tests.
const PATIENCE: Duration = Duration::from_millis(400);
/// The client has to let go within this, on a machine that is busy with something else.
const LETS_GO: Duration = Duration::from_secs(10);

/// Sends `before` and then `again` for as long as the client takes it, with a pause between.
async fn endless(before: &'static [u8], again: &'static [u8], pause: Duration) -> String {
    raw(before, move |mut stream| async move {
        while stream.write_all(again).await.is_ok() {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    })
    .await
}

/// Sends `answer` and then nothing, with the connection open.
async fn stalls(answer: &'static [u8]) -> String {
    raw(answer, |stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
}

async fn ask(address: &str) -> Result<Response, Error> {
    let mut request = Request::get(url(format!("http://{address}/")));
    request.limits.total = PATIENCE;
    send(&client(&[address]), request).await
}

async fn fails(what: &str, address: &str) -> ErrorKind {
    let started = Instant::now();
    let error = ask(address).await.expect_err(what);
    assert!(started.elapsed() < LETS_GO, "{what} held the client for {:?}", started.elapsed());
    assert!(error.sent, "{what}: {error}");
    error.kind
}

#[tokio::test]
async fn what_never_ends_ends_at_the_total() {
    let (drip, none) = (Duration::from_millis(20), Duration::ZERO);
    for (what, address) in [
        ("no answer", stalls(b"").await),
        ("half a status line", stalls(b"HTTP/1.1 2").await),
        ("headers that drip", endless(b"HTTP/1.1 200 OK\r\nx-slow: ", b"a", drip).await),
        ("headers without an end", stalls(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n").await),
        ("a body that drips", endless(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"x", drip).await),
        ("a body that stops", stalls(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").await),
        ("a body until the end that never comes", stalls(b"HTTP/1.1 200 OK\r\n\r\nhalf").await),
        ("a chunk without an end", stalls(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffff\r\nhalf").await),
        ("no last chunk", stalls(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n").await),
        ("continue for ever", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", none).await),
    ] {
        assert_eq!(fails(what, &address).await, ErrorKind::Timeout(PATIENCE), "{what}");
    }
}

#[tokio::test]
async fn what_is_too_much_is_cut_off() {
    let none = Duration::ZERO;
    let mut patient = Request::get(url("http://x/"));
    // Less than by default: a debug build reads tiny chunks slowly.
    patient.limits.body_bytes = 64 * 1024;
    for (what, address) in [
        ("a body without an end", endless(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 8_192], none).await),
        ("chunks without an end", endless(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", CHUNK, none).await),
    ] {
        let request = Request { url: url(format!("http://{address}/")), ..patient.clone() };
        let error = send(&client(&[&address]), request).await.expect_err(what);
        assert_eq!(error.kind, ErrorKind::TooLarge(64 * 1024), "{what}");
    }
    for (what, address) in [
        ("headers without number", endless(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n", none).await),
        ("one header without an end", endless(b"HTTP/1.1 200 OK\r\nx-long: ", &[b'x'; 8_192], none).await),
        ("a reason without an end", endless(b"HTTP/1.1 200 ", &[b'x'; 8_192], none).await),
        (
            "a chunk's extension without an end",
            endless(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;a=", &[b'x'; 8_192], none).await,
        ),
        (
            "trailers without number",
            endless(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x-a: b\r\n", none).await,
        ),
    ] {
        let request = Request { url: url(format!("http://{address}/")), ..patient.clone() };
        let started = Instant::now();
        let error = send(&client(&[&address]), request).await.expect_err(what);
        assert!(matches!(error.kind, ErrorKind::Broken(_) | ErrorKind::Undecodable(_)), "{what}: {error}");
        assert!(started.elapsed() < LETS_GO, "{what} held the client for {:?}", started.elapsed());
    }
}

const CHUNK: &[u8] =
    b"1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n10\r\n0123456789abcdef\r\n";

#[tokio::test]
async fn lengths_that_contradict_are_no_answer() {
    for (what, answer) in [
        ("two lengths", &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc"[..]),
        ("a length that is none", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nabc"),
        ("a length beyond all numbers", b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nabc"),
        ("a chunk of no size", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n"),
        (
            "a chunk beyond all numbers",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\nabc\r\n",
        ),
        ("a body that is shorter", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc"),
    ] {
        let address = raw(answer, |stream| async move { drop(stream) }).await;
        let kind = fails(what, &address).await;
        assert!(matches!(kind, ErrorKind::Broken(_) | ErrorKind::Undecodable(_)), "{what}: {kind}");
    }
}

/// What stands behind the end of an answer is not the answer to the next request.
#[tokio::test]
async fn an_answer_cannot_bring_the_next_one_along() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    let address = stalls(answer).await;
    let client = client(&[&address]);
    for _ in 0..3 {
        let response = send(&client, Request::get(url(format!("http://{address}/")))).await.unwrap();
        assert_eq!(response.body, "ok");
    }
}

#[tokio::test]
async fn bombs_of_other_kinds_are_cut_off_too() {
    // A frame that asks for a window of 2 GiB, which is never made.
    let window =
        b"HTTP/1.1 200 OK\r\ncontent-encoding: zstd\r\ncontent-length: 10\r\n\r\n\x28\xb5\x2f\xfd\x00\xa8\x09\x00\x00x";
    let address = raw(window, |stream| async move { drop(stream) }).await;
    assert!(matches!(fails("a window of 2 GiB", &address).await, ErrorKind::Undecodable(_)));
    for encoding in ["gzip", "br", "zstd", "deflate"] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 7\r\n\r\nnot any");
        let address = raw(answer.leak().as_bytes(), |stream| async move { drop(stream) }).await;
        let kind = fails(encoding, &address).await;
        assert!(matches!(kind, ErrorKind::Undecodable(_)), "{encoding}: {kind}");
    }
    // Several small members, one after the other.
    let mut member = Vec::new();
    let mut encoder = async_compression::tokio::write::GzipEncoder::new(&mut member);
    encoder.write_all(&vec![0; 1024 * 1024]).await.unwrap();
    encoder.shutdown().await.unwrap();
    let packed = member.repeat(8);
    let mut answer =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len()).into_bytes();
    answer.extend(packed);
    let address = raw(answer.leak(), |stream| async move { drop(stream) }).await;
    let response = ask(&address).await;
    // Whether or not the members are read as one, no more than the limit comes out.
    match response {
        Ok(response) => assert!(response.body.len() <= 5 * 1024 * 1024, "{} bytes", response.body.len()),
        Err(error) => {
            assert!(matches!(error.kind, ErrorKind::TooLarge(_) | ErrorKind::Undecodable(_)), "{error}");
        }
    }
}
