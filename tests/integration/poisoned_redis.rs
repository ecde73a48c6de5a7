//! A Redis that holds other things under our keys: they are dropped, and work goes on from Postgres.

use serde_json::json;
use sqlx::PgPool;
use teamai::{
    config::Limits,
    limits::{Access, Limiter},
    queue,
};
use uuid::Uuid;

use crate::{
    customer::{Customer, step},
    fixture::id,
    stack::{Redis, Stack, eventually},
};

const RECIPE: &str = r#"
recipe:
  id: small
  name: Small
  version: "1.0"
  inputs: [{ name: topic, type: string }]
  workflow:
    nodes:
      - { id: only, component: Transform, cache: { ttl: 1h }, config: { value: "About {{ inputs.topic }}" } }
"#;

/// Every key of the queue, with the type that it has to have. `*` stands for a worker that is there.
const KEYS: &[(&str, &str)] = &[
    ("{teamai}:active", "list"),
    ("{teamai}:data", "hash"),
    ("{teamai}:done", "set"),
    ("{teamai}:dead", "set"),
    ("{teamai}:workers", "zset"),
    ("{teamai}:scheduled", "zset"),
    ("{teamai}:signal", "list"),
    ("{teamai}:inflight:*", "set"),
    ("{teamai}:workers:metadata:*", "hash"),
    ("{teamai}:window", "string"),
    ("{teamai}:memory", "string"),
    ("core:apalis:queues:list", "zset"),
];

/// Puts something of each other type under a key, at once.
const POISONS: &[(&str, &str)] = &[
    ("string", "redis.call('SET', KEYS[1], 'x')"),
    ("hash", "redis.call('DEL', KEYS[1]) redis.call('HSET', KEYS[1], 'x', 'x')"),
    ("list", "redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], 'x')"),
    ("set", "redis.call('DEL', KEYS[1]) redis.call('SADD', KEYS[1], 'x')"),
    ("zset", "redis.call('DEL', KEYS[1]) redis.call('ZADD', KEYS[1], 1, 'x')"),
    ("stream", "redis.call('DEL', KEYS[1]) redis.call('XADD', KEYS[1], '*', 'x', 'x')"),
];

async fn connection(redis: &Redis) -> redis::aio::MultiplexedConnection {
    redis::Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// The key with the name of the newest worker that Redis knows.
async fn named(redis: &Redis, key: &str) -> String {
    let Some(prefix) = key.strip_suffix('*') else { return key.to_owned() };
    let worker = eventually("a worker is there", async || {
        let newest = redis::cmd("ZREVRANGE").arg("{teamai}:workers").arg(0).arg(0).clone();
        let names: redis::RedisResult<Vec<String>> = newest.query_async(&mut connection(redis).await).await;
        names.ok()?.pop().filter(|name| name != "x")
    })
    .await;
    format!("{prefix}{worker}")
}

async fn poison(redis: &Redis, key: &str, script: &str) {
    redis.command(&["EVAL", script, "1", key]).await;
}

async fn type_of(redis: &Redis, key: &str) -> String {
    redis::cmd("TYPE").arg(key).query_async(&mut connection(redis).await).await.unwrap()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_key_of_another_type_is_made_again_and_work_goes_on(root: PgPool) {
    let stack = Stack::start(&root, &[("TEAMAI_LIMITS__USER_PER_MINUTE", "100000")]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let mut nth = 0;
    let mut runs = async |what: &str| {
        nth += 1;
        let task = acme.submit(acme.task("small", json!({"topic": format!("{what} {nth}")}))).await;
        assert_eq!(acme.finished(&task).await["status"], "completed", "{what}");
    };
    runs("nothing").await;
    // One key at a time, with the first and another type that it must not have.
    for (key, kind) in KEYS {
        for (other, script) in POISONS.iter().filter(|(other, _)| other != kind).take(2) {
            let key = named(&stack.redis, key).await;
            poison(&stack.redis, &key, script).await;
            runs(&format!("{key} as a {other}")).await;
        }
    }
    // All at once, with each type.
    for (other, script) in POISONS {
        for (key, _) in KEYS.iter().filter(|(key, kind)| kind != other && !key.ends_with('*')) {
            poison(&stack.redis, key, script).await;
        }
        runs(&format!("all as a {other}")).await;
    }
    for (key, kind) in KEYS.iter().filter(|(key, _)| !key.ends_with('*')) {
        eventually(&format!("{key} is a {kind} again"), async || {
            ["none", kind].contains(&type_of(&stack.redis, key).await.as_str()).then_some(())
        })
        .await;
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn tickets_that_are_none_stop_nobody(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let own = "11111111111111111111111111111111";
    let meta = format!("{{teamai}}:meta:{own}");
    let ticket = format!(r#"{{"task_id":"{}","dispatch_id":"{}"}}"#, id(), id());
    let laid = |data: &str, status: &str| {
        format!(
            "redis.call('DEL', '{meta}')
             redis.call('HSET', '{{teamai}}:data', '{own}', '{data}')
             redis.call('HSET', '{meta}', 'attempts', '{status}', 'max_attempts', 1, 'status', 'Pending')
             redis.call('LPUSH', KEYS[1], '{own}')"
        )
    };
    let many = "for i = 1, 300 do redis.call('LPUSH', KEYS[1], 'junk ' .. i) end";
    let scheduled = "for i = 1, 9000 do redis.call('ZADD', '{teamai}:scheduled', i, i) end";
    let old_worker = "redis.call('ZADD', '{teamai}:workers', 1, 'old') redis.call('SET', '{teamai}:inflight:old', 'x')";
    let another_meta = format!("redis.call('SET', '{meta}', 'x') redis.call('LPUSH', KEYS[1], '{own}')");
    for (what, script) in [
        ("ids of no ticket", many.to_owned()),
        ("an id that is no text", r"redis.call('LPUSH', KEYS[1], '\255\254')".to_owned()),
        ("more than can be taken at once", scheduled.to_owned()),
        ("a worker of long ago whose tickets are none", old_worker.to_owned()),
        ("a ticket whose state is another type", another_meta),
        ("a ticket that is no JSON", laid("{", "0")),
        ("a ticket of no task", laid(&ticket, "0")),
        ("a ticket whose attempts are no number", laid(&ticket, "many")),
        ("a window that is no number", "redis.call('SET', '{teamai}:window', 'wide')".to_owned()),
        ("a window without end", "redis.call('SET', '{teamai}:window', '1e300')".to_owned()),
        (
            "too many that wait",
            "local some = {} for i = 1, 1000 do some[i] = i end
             for i = 1, 101 do redis.call('LPUSH', KEYS[1], unpack(some)) end"
                .to_owned(),
        ),
    ] {
        poison(&stack.redis, "{teamai}:active", &script).await;
        for _ in 0..2 {
            let task = acme.submit(acme.task("small", json!({"topic": what}))).await;
            assert_eq!(acme.finished(&task).await["status"], "completed", "{what}");
        }
        // Nor does it come back once its worker counts as gone.
        eventually(&format!("{what} is nowhere"), async || {
            let held = stack.redis.dump().await;
            (!held.contains("junk") && !held.contains(own)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_bucket_that_holds_something_else_is_full_and_counts_again() {
    let dir = tempfile::tempdir().unwrap();
    let redis = Redis::start(dir.path()).await;
    let each = 4;
    let limits = Limits {
        user_per_minute: each,
        agency_per_minute: 1_000_000,
        address_per_minute: 1_000,
        agency_open_tasks: 1_000,
    };
    let limiter = Limiter::new(limits, queue::connect(&redis.url()).unwrap().1);
    let values = ["'many'", "'nan'", "'inf'", "'-inf'", "'1e300'", "'9999999999999999'", "''"];
    let scripts = POISONS.iter().filter(|(kind, _)| *kind != "string").map(|(_, script)| (*script).to_owned());
    for script in scripts.chain(values.map(|value| format!("redis.call('SET', KEYS[1], {value})"))) {
        let caller = id();
        poison(&redis, &format!("{{teamai}}:limit:caller:{}", caller.simple()), &script).await;
        // A process by itself would pass a quarter.
        for _ in 0..each {
            assert!(limiter.admit(Uuid::nil(), caller, Access::Write, 1).await.is_ok(), "{script}");
        }
        assert!(limiter.admit(Uuid::nil(), caller, Access::Write, 1).await.is_err(), "{script}: not counted");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_kept_result_that_is_none_is_a_miss_and_is_kept_anew(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let cached = async || {
        let task = acme.submit(acme.task("small", json!({"topic": "tea"}))).await;
        let task = acme.finished(&task).await;
        assert_eq!(task["output"], "About tea");
        step(&acme.steps(task["id"].as_str().unwrap()).await, "only")["cached"] == true
    };
    assert!(!cached().await);
    assert!(cached().await);
    let find = redis::cmd("KEYS").arg("{teamai}:cache:*").clone();
    let keys: Vec<String> = find.query_async(&mut connection(&stack.redis).await).await.unwrap();
    let [key] = &keys[..] else { panic!("{keys:?}") };
    let strings = [r#"{"x": "forged"}"#, r#""forged""#, "{", "", r#"{"result": "forged", "more": 1}"#];
    let types = POISONS.iter().filter(|(kind, _)| *kind != "string").map(|(_, script)| (*script).to_owned());
    for script in types.chain(strings.map(|text| format!("redis.call('SET', KEYS[1], '{text}')"))) {
        poison(&stack.redis, key, &script).await;
        assert!(!cached().await, "{script}");
        assert!(cached().await, "{script}: not kept anew");
    }
}
