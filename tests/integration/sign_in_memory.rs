//! What sign-ins leave behind in the memory of a process: nothing.

use std::time::Instant;

use futures::{StreamExt, stream};
use serde_json::json;
use sqlx::PgPool;

use crate::{fixture::id, stack::Stack, support::PASSWORD};

const TRIES: usize = 300;
/// Two buffers for hashing, and what connections, threads and a first use of everything take.
const MAY_GROW_MIB: u64 = 80;

/// Half of them are for accounts that are there, half for none.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn three_hundred_wrong_logins_leave_the_process_where_it_was(root: PgPool) {
    let settings = [("TEAMAI_LIMITS__ADDRESS_PER_MINUTE", "100000"), ("TEAMAI_HTTP__TRUSTED_PROXIES", "127.0.0.0/8")];
    let stack = Stack::start(&root, &settings).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let before = stack.api.memory_mib("VmRSS:").unwrap();
    for n in 0..=TRIES / 8 {
        let body = json!({"agency_name": "Acme", "email": format!("known-{n}@example.com"), "password": PASSWORD});
        let made = http.post(format!("{}/auth/register", stack.base)).json(&body).send().await.unwrap();
        assert_eq!(made.status(), 201);
    }
    let started = Instant::now();
    let statuses: Vec<u16> = stream::iter(0..TRIES)
        .map(|n| {
            // From many addresses: each has a share of the queue.
            let request = http.post(format!("{}/auth/login", stack.base));
            let request = request.header("x-forwarded-for", format!("192.0.2.{}", n % 60));
            // Of each account no more tries than are free.
            let email =
                format!("{}@example.com", if n % 2 == 0 { id().to_string() } else { format!("known-{}", n / 8) });
            async move {
                let body = json!({"email": email, "password": "not the password"});
                request.json(&body).send().await.unwrap().status().as_u16()
            }
        })
        .buffer_unordered(30)
        .collect()
        .await;
    assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
    let after = stack.api.memory_mib("VmRSS:").unwrap();
    assert!(after < before + MAY_GROW_MIB, "{before} MiB before and {after} MiB after, in {:?}", started.elapsed());
}
