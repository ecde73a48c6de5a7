//! A stranger who takes all that one address and one agency can have: connections with half a
//! request or none, and event streams.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::timeout,
};

use super::load::Load;
use crate::{
    customer::{Customer, text},
    stack::Stack,
};

/// Somewhat more than an address may have.
const CONNECTIONS: usize = 280;
/// More than a caller may have.
const STREAMS: usize = 70;
/// From where: the bench itself is at the first.
const HALVES_FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
const STREAMS_FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 78);
const PAUSE: Duration = Duration::from_secs(1);
/// Before a stream that was refused or ended is asked for again: the bench has no limit of
/// requests in a minute, which would hold this caller to fewer.
const STREAM_PAUSE: Duration = Duration::from_secs(10);

const WAITS: &str = r#"
recipe:
  id: waits
  name: Waits for somebody who never comes
  version: "1.0"
  inputs: [{ name: n, type: string }]
  workflow:
    nodes: [{ id: ask, component: Approval, config: { message: Well? } }]
"#;

pub struct Stranger {
    customer: Customer,
    base: String,
    /// A task that does not end, to follow.
    task: String,
}

impl Stranger {
    pub async fn new(stack: &Stack, load: &Load) -> Self {
        let mut customer = Customer::new(stack, "stranger").await;
        customer.publish(WAITS).await;
        let task = customer.submit(customer.task("waits", json!({"n": "stranger"}))).await;
        load.also_accepted(&task);
        let key = json!({"name": "a machine", "scopes": ["tasks:write", "tasks:read"]});
        customer.token = text(&customer.post("/api-keys", key).await.expect(201)["key"]);
        Self { customer, base: stack.base.clone(), task }
    }

    /// Goes on until told to stop, and leaves no task open.
    pub async fn keep_going(self, stop: Arc<AtomicU64>) {
        let end = async {
            while stop.load(Ordering::Relaxed) == 0 {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let halves = futures::future::join_all((0..CONNECTIONS).map(|nth| self.half_requests(nth)));
        let streams = futures::future::join_all((0..STREAMS).map(|_| self.streams()));
        tokio::select! {
            () = end => {}
            _ = halves => {}
            _ = streams => {}
        }
        self.customer.cancel(&self.task).await;
    }

    /// One connection after the other, each for as long as the server waits for its request.
    async fn half_requests(&self, nth: usize) {
        let half = [
            "",
            "GET /healthz HTTP/1.1\r\nhost: x\r\n",
            "POST /auth/login HTTP/1.1\r\nhost: x\r\n\
                    content-type: application/json\r\ncontent-length: 99\r\n\r\n{",
        ][nth % 3];
        loop {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((HALVES_FROM, 0).into()).unwrap();
            if let Ok(mut stream) = socket.connect(self.base.trim_start_matches("http://").parse().unwrap()).await {
                stream.write_all(half.as_bytes()).await.ok();
                // A connection that died without a word is left alone.
                timeout(Duration::from_mins(1), stream.read_to_end(&mut Vec::new())).await.ok();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn streams(&self) {
        let http = reqwest::Client::builder().no_proxy().local_address(Some(STREAMS_FROM.into())).build().unwrap();
        loop {
            let request = http.get(format!("{}/tasks/{}/events", self.base, self.task));
            if let Ok(mut answer) = request.bearer_auth(&self.customer.token).send().await {
                while let Ok(Some(_)) = answer.chunk().await {}
            }
            tokio::time::sleep(STREAM_PAUSE).await;
        }
    }
}
