//! Pace and health, in a time of the test's own.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{Completion, ErrorKind, Heard, Provider, ProviderError, Request},
    Patience, Permit, Traffic,
};

#[derive(Debug)]
struct Far(&'static str, Option<u32>);

#[async_trait]
impl Provider for Far {
    fn name(&self) -> &'static str {
        self.0
    }

    fn origin(&self) -> Option<&str> {
        Some(self.0)
    }

    fn max_in_flight(&self) -> Option<u32> {
        self.1
    }

    async fn complete(&self, _: &Request, _: Option<&SecretString>, _: &Heard) -> Result<Completion, ProviderError> {
        std::future::pending().await
    }

    async fn check_key(&self, _: &SecretString) -> Result<(), ProviderError> {
        Ok(())
    }
}

const FAR: Far = Far("far", None);

fn answer(kind: ErrorKind, status: Option<u16>) -> Result<(), ProviderError> {
    Err(ProviderError { kind, message: String::new(), status, request_id: None, metered: None })
}

fn limited(seconds: u64) -> Result<(), ProviderError> {
    answer(ErrorKind::Retry { after: Some(Duration::from_secs(seconds)) }, Some(429))
}

fn down() -> Result<(), ProviderError> {
    answer(ErrorKind::NotSent, None)
}

fn patience(for_limits: bool) -> Patience {
    Patience { longest: Duration::from_mins(1), for_limits }
}

async fn admit(traffic: &Traffic, key: &str) -> Permit {
    traffic.admit(&FAR, Some(&key.into()), patience(true)).await.expect("a permit")
}

async fn refusal(traffic: &Traffic, patient: bool) -> Option<(ErrorKind, String)> {
    let refused = traffic.admit(&FAR, Some(&"a".into()), patience(patient)).await.err()?;
    assert_eq!(refused.status, None, "nothing was asked");
    Some((refused.kind, refused.message))
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_limited_waits_and_no_other_does() {
    let traffic = Traffic::default();
    admit(&traffic, "a").await.done(&limited(7));
    let start = Instant::now();
    admit(&traffic, "b").await.done(&Ok(()));
    assert_eq!(start.elapsed(), Duration::ZERO, "another key");
    let (kind, message) = refusal(&traffic, false).await.expect("a refusal, as another model can be asked");
    assert_eq!(kind, ErrorKind::Slowed { after: Duration::from_secs(7) });
    assert!(message.contains("limits the rate of this key"), "{message}");
    admit(&traffic, "a").await.done(&Ok(()));
    assert_eq!(start.elapsed(), Duration::from_secs(7));
    admit(&traffic, "a").await.done(&limited(3_600));
    assert!(refusal(&traffic, true).await.is_some(), "too long to wait for");
}

#[tokio::test(start_paused = true)]
async fn after_a_limit_calls_come_back_a_few_at_a_time() {
    let traffic = Arc::new(Traffic::default());
    let all = futures::future::join_all((0..8).map(|_| admit(&traffic, "a"))).await;
    for permit in all {
        permit.done(&limited(1));
    }
    let mut first = Vec::new();
    while let Ok(permit) = timeout(Duration::from_secs(5), admit(&traffic, "a")).await {
        first.push(permit);
    }
    assert_eq!(first.len(), 4, "half of those that were too many");
    first.pop().expect("one").done(&Ok(()));
    let more = futures::future::join_all([admit(&traffic, "a"), admit(&traffic, "a")]);
    assert_eq!(timeout(Duration::from_secs(5), more).await.expect("one freed, one more").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_operators_number_of_calls_holds_and_a_waiter_that_leaves_wakes_the_next() {
    let traffic = Arc::new(Traffic::default());
    let few = Far("few", Some(1));
    let key = SecretString::from("a");
    let held = traffic.admit(&few, Some(&key), patience(false)).await.expect("a permit");
    let waiting = |seconds: u64| {
        let (traffic, few, key) = (Arc::clone(&traffic), &few, &key);
        async move {
            timeout(Duration::from_secs(seconds), traffic.admit(few, Some(key), patience(false)))
                .await
                .is_ok_and(|p| p.is_ok())
        }
    };
    let free = async {
        sleep(Duration::from_secs(5)).await;
        drop(held);
    };
    assert_eq!(tokio::join!(waiting(1), waiting(9), waiting(9), free), (false, true, true, ()));
    let _held = traffic.admit(&few, Some(&key), patience(false)).await.expect("a permit");
    let start = Instant::now();
    let full = traffic.admit(&few, Some(&key), patience(false)).await.expect_err("a refusal");
    assert_eq!(
        (start.elapsed(), full.kind),
        (Duration::from_mins(1), ErrorKind::Slowed { after: Duration::from_secs(1) })
    );
    assert!(full.message.contains("all of the 1 calls") && full.message.contains("FEW__MAX_IN_FLIGHT"), "{full}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_host_is_left_alone_until_one_call_finds_it_back() {
    let traffic = Traffic::default();
    for _ in 0..4 {
        admit(&traffic, "a").await.done(&down());
    }
    admit(&traffic, "a").await.done(&answer(ErrorKind::Rejected, Some(401)));
    for _ in 0..5 {
        assert!(refusal(&traffic, true).await.is_none(), "an answer between them: not in a row");
        admit(&traffic, "a").await.done(&answer(ErrorKind::Retry { after: None }, Some(503)));
    }
    let (kind, message) = refusal(&traffic, true).await.expect("it is open");
    assert!(matches!(kind, ErrorKind::Retry { after: Some(_) }) && message.contains("left alone"), "{message}");
    sleep(Duration::from_secs(2)).await;
    let probe = admit(&traffic, "b").await;
    assert!(refusal(&traffic, true).await.is_some(), "one tries at a time");
    drop(probe);
    admit(&traffic, "b").await.done(&down());
    sleep(Duration::from_secs(3)).await;
    assert!(refusal(&traffic, true).await.is_some(), "the rest doubles");
    sleep(Duration::from_secs(1)).await;
    admit(&traffic, "a").await.done(&Ok(()));
    let both = [admit(&traffic, "a").await, admit(&traffic, "a").await];
    assert_eq!(both.len(), 2, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_silence_opens_nothing() {
    let traffic = Traffic::default();
    for _ in 0..20 {
        admit(&traffic, "a").await.done(&answer(ErrorKind::Timeout, None));
    }
    assert!(refusal(&traffic, true).await.is_none(), "a recipe with a short time limit stops nobody else");
}
