//! Requests are counted: by user, by agency, by address, over all processes, and with Redis away.

use std::time::{Duration, Instant};

use poem::Request;
use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;
use teamai::{
    config::Limits,
    limits::{Access, Limiter},
    queue::{self, Tickets},
};
use uuid::Uuid;

use crate::{
    fixture::id,
    stack::Stack,
    support::{Api, PASSWORD, Person, redis_url},
};

const MANY: u32 = 1_000_000;

fn limits(user: u32, agency: u32, address: u32) -> Limits {
    Limits { user_per_minute: user, agency_per_minute: agency, address_per_minute: address, agency_open_tasks: 1_000 }
}

/// One process' limiter, its connection made.
async fn limiter(limits: Limits, url: &str) -> Limiter {
    let redis = queue::connect(url).unwrap().1;
    Tickets::new(redis.clone()).ping().await.ok();
    Limiter::new(limits, redis)
}

/// How many of `tries` requests pass.
async fn passed(limiter: &Limiter, agency: Uuid, caller: Uuid, access: Access, tries: usize) -> usize {
    let mut passed = 0;
    for _ in 0..tries {
        passed += usize::from(limiter.admit(agency, caller, access, 1).await.is_ok());
    }
    passed
}

/// Sends until it is refused, and gives how many passed and the seconds to wait.
async fn until_refused(api: &Api, who: &Person) -> (usize, u64) {
    // Its connection to Redis is made.
    api.get_open("/readyz").await.expect(200);
    for passed in 0..500 {
        let reply = api.get(who, "/auth/me").await;
        if reply.status != 200 {
            let wait = reply.header("retry-after").unwrap().parse().unwrap();
            let problem = reply.problem(429, "rate_limited");
            assert!(problem["detail"].as_str().unwrap().contains("try again in"), "{problem}");
            return (passed, wait);
        }
    }
    panic!("nobody was refused");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_user_that_asks_too_often_waits_and_the_others_do_not(root: PgPool) {
    let api = Api::with_limits(&root, &redis_url(), limits(60, MANY, MANY));
    let admin = api.agency("acme").await;
    let member = api.member(&admin, None).await;
    let (passed, wait) = until_refused(&api, &admin).await;
    // One comes back each second.
    assert!((60..120).contains(&passed), "{passed} passed");
    assert!((1..=2).contains(&wait), "Retry-After: {wait}");
    api.post(&admin, "/teams", json!({"name": "Search"})).await.problem(429, "rate_limited");
    api.get(&member, "/auth/me").await.expect(200);
    api.get(&api.agency("rival").await, "/auth/me").await.expect(200);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_agency_shares_its_limit(root: PgPool) {
    let api = Api::with_limits(&root, &redis_url(), limits(MANY, 60, MANY));
    let admin = api.agency("acme").await;
    let member = api.member(&admin, None).await;
    let (first, _) = until_refused(&api, &admin).await;
    let (second, _) = until_refused(&api, &member).await;
    assert!((60..120).contains(&first) && second < 20, "{first} and {second} passed");
    api.get(&api.agency("rival").await, "/auth/me").await.expect(200);
}

#[tokio::test]
async fn processes_count_together_and_nobody_gets_more_by_asking_at_once() {
    let (agency, caller) = (id(), id());
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(limiter(limits(200, 300, 1), &redis_url()).await);
    }
    let started = Instant::now();
    let crowd = processes.iter().flat_map(|one| std::iter::repeat_n(one, 10));
    let each = futures::future::join_all(crowd.map(|one| passed(one, agency, caller, Access::Write, 20))).await;
    let all: usize = each.iter().sum();
    // Slices that one process has not used up are given up: four of them at most.
    let refilled = usize::try_from(started.elapsed().as_secs()).unwrap() * 200 / 60 + 4;
    assert!((185..=200 + refilled).contains(&all), "{all} of 200 passed");
    // A colleague has what is left of the agency's.
    let other = passed(&processes[0], agency, id(), Access::Write, 200).await;
    assert!((60..=120 + 2 * refilled).contains(&other), "{other} passed");
}

#[tokio::test]
async fn a_batch_counts_for_as_many_as_it_holds() {
    let limiter = limiter(limits(100, MANY, 1), &redis_url()).await;
    let (agency, caller) = (id(), id());
    assert!(limiter.admit(agency, caller, Access::Write, 90).await.is_ok());
    let refused = limiter.admit(agency, caller, Access::Write, 50).await.unwrap_err();
    // Forty are missing, and 100 come back in a minute.
    assert!((20..=24).contains(&refused.retry_after.as_secs()), "{refused}");
    assert!(limiter.admit(agency, caller, Access::Write, 1).await.is_ok(), "a small one still fits");
}

/// Reads pass, writes are counted by each process for itself; nothing waits for Redis.
#[tokio::test]
async fn without_redis_reads_pass_and_writes_are_counted_here() {
    let limiter = limiter(limits(400, MANY, 40), "redis://127.0.0.1:1").await;
    let (agency, caller) = (id(), id());
    let started = Instant::now();
    assert_eq!(passed(&limiter, agency, caller, Access::Read, 1000).await, 1000);
    let writes = passed(&limiter, agency, caller, Access::Write, 300).await;
    assert!((100..130).contains(&writes), "{writes} passed of a quarter of 400");
    let mut knocks = 0;
    while limiter.admit_address("192.0.2.1".parse().unwrap()).await.is_ok() {
        knocks += 1;
        assert!(knocks < 40, "sign-in is never open to everyone");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "took {:?}", started.elapsed());
}

async fn log_in(base: &str, path: &str, forwarded_for: &[&str]) -> (StatusCode, Option<u64>) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.request(Method::POST, format!("{base}{path}"));
    for value in forwarded_for {
        request = request.header("x-forwarded-for", *value);
    }
    // Nobody's address, so that the throttle of failures does not answer first.
    let email = format!("{}@example.com", id());
    let answer = request.json(&json!({"email": email, "password": PASSWORD})).send().await.unwrap();
    let wait = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    (answer.status(), wait)
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn who_does_not_sign_in_is_counted_by_address(root: PgPool) {
    let settings = [("TEAMAI_LIMITS__ADDRESS_PER_MINUTE", "2"), ("TEAMAI_HTTP__TRUSTED_PROXIES", "127.0.0.0/8")];
    let stack = Stack::start(&root, &settings).await;
    let mut tried = 0;
    let wait = loop {
        let (status, wait) = log_in(&stack.base, "/auth/login", &["192.0.2.1"]).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            break wait.unwrap();
        }
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        tried += 1;
        assert!(tried < 12, "nobody was refused");
    };
    assert!(tried >= 2 && (1..=30).contains(&wait), "{tried} passed, Retry-After: {wait}");
    // Made-up entries, another spelling of the path or the address: the same client.
    for (path, forwarded_for) in [
        ("/auth/login", &["1.2.3.4, 192.0.2.1"][..]),
        ("/auth/login", &["1.2.3.4", "192.0.2.1:1234, 127.0.0.1"]),
        ("/auth/login", &["::ffff:192.0.2.1"]),
        ("/auth/login/", &["192.0.2.1"]),
        ("//auth//login", &["192.0.2.1"]),
        ("/auth/register", &["192.0.2.1"]),
        ("/auth/refresh", &["192.0.2.1"]),
    ] {
        let (status, _) = log_in(&stack.base, path, forwarded_for).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{path} {forwarded_for:?}");
    }
    let (status, _) = log_in(&stack.base, "/auth/%6Cogin", &["192.0.2.1"]).await;
    assert!([StatusCode::NOT_FOUND, StatusCode::TOO_MANY_REQUESTS].contains(&status), "{status}");
    // Another client, and one that signed in: not affected.
    let (status, _) = log_in(&stack.base, "/auth/login", &["192.0.2.2"]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let api = Api::with_redis(&root, &stack.redis.url());
    let request = Request::builder().uri_str("/healthz").finish();
    assert_eq!(api.send(request).await.status, 200);
}
