//! A load generator that costs little: it shares the machine with what it measures.
//!
//! One thread, one request in flight on each keep-alive connection, and of an
//! answer only the status is read.

use std::{
    cell::Cell,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures::future::try_join_all;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// A prepared HTTP/1.1 request, as bytes.
#[derive(Debug, Clone)]
pub struct Prepared(Vec<u8>);

impl Prepared {
    /// `path` begins with a slash. An empty `body` is sent as none.
    #[must_use]
    pub fn new(method: &str, path: &str, token: &str, body: &str) -> Self {
        Self(
            format!(
                "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
        )
    }
}

/// One keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    /// # Errors
    /// Nobody listens there.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), line: Vec::new(), body: Vec::new() })
    }

    /// Sends a request and reads the whole answer; gives its status and body.
    ///
    /// # Errors
    /// The connection ends, or the answer has no length.
    pub async fn call(&mut self, request: &Prepared) -> anyhow::Result<(u16, &[u8])> {
        self.stream.get_mut().write_all(&request.0).await?;
        let status = self.header().await?.and_then(|line| line.get(9..12)?.parse().ok()).context("no status line")?;
        let mut length = None;
        while let Some(line) = self.header().await? {
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            }
        }
        self.body.resize(length.context("an answer without content-length")?, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok((status, &self.body))
    }

    /// The next line of the head; `None` at its end.
    async fn header(&mut self) -> anyhow::Result<Option<&str>> {
        self.line.clear();
        let read = self.stream.read_until(b'\n', &mut self.line).await?;
        ensure!(read > 0, "the server closed the connection");
        let line = std::str::from_utf8(&self.line)?.trim_end();
        Ok((!line.is_empty()).then_some(line))
    }
}

/// When the load ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    Elapsed(Duration),
    /// So many requests in all.
    Sent(usize),
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Load {
    /// Of each request, sorted.
    pub latencies: Vec<Duration>,
    pub elapsed: Duration,
}

impl Load {
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sends the same request over `clients` connections, each waiting for its answer
/// before the next. Every answer must have the status `expected`.
///
/// # Errors
/// The server refuses, or ends a connection.
pub async fn drive(
    address: SocketAddr,
    request: Prepared,
    expected: u16,
    clients: usize,
    until: Until,
) -> anyhow::Result<Load> {
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(closed_loops(address, &request, expected, clients, until))
    };
    tokio::task::spawn_blocking(work).await?
}

async fn closed_loops(
    address: SocketAddr,
    request: &Prepared,
    expected: u16,
    clients: usize,
    until: Until,
) -> anyhow::Result<Load> {
    let connections = try_join_all((0..clients).map(|_| Connection::open(address))).await?;
    let sent = Cell::new(0);
    let started = Instant::now();
    let goes_on = || match until {
        Until::Elapsed(limit) => started.elapsed() < limit,
        Until::Sent(count) => sent.replace(sent.get() + 1) < count,
    };
    let loops = connections.into_iter().map(|mut connection| async move {
        let mut latencies = Vec::new();
        while goes_on() {
            let asked = Instant::now();
            let (status, body) = connection.call(request).await?;
            if status != expected {
                bail!("the server answered {status}: {}", String::from_utf8_lossy(body));
            }
            latencies.push(asked.elapsed());
        }
        Ok(latencies)
    });
    let mut latencies = try_join_all(loops).await?.concat();
    let elapsed = started.elapsed();
    latencies.sort_unstable();
    Ok(Load { latencies, elapsed })
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Answers every request on every connection with these bytes.
    async fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_count_is_kept_exactly_over_all_connections() {
        let address = server("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}").await;
        let load = drive(address, Prepared::new("POST", "/", "t", "{}"), 202, 4, Until::Sent(11)).await.unwrap();
        assert_eq!(load.latencies.len(), 11);
        assert!(load.per_second() > 0.0 && load.latencies.is_sorted());
    }

    #[tokio::test]
    async fn another_status_ends_the_load_with_the_server_s_words() {
        let address = server("HTTP/1.1 422 Unprocessable\r\ncontent-length: 6\r\n\r\nbudget").await;
        let error = drive(address, Prepared::new("GET", "/", "t", ""), 202, 2, Until::Sent(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "the server answered 422: budget");
    }
}
