//! Events that are sent out: signed, at least once, whatever dies, and nowhere they must not go.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use poem::{
    Request, Response, Server,
    endpoint::make,
    http::{HeaderMap, StatusCode},
    listener::TcpAcceptor,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    customer::{Customer, items, text},
    stack::{Stack, eventually},
    support::Api,
};

const RECIPE: &str = r#"
recipe:
  id: small
  name: Small
  version: "1.0"
  inputs: [{ name: word, type: string }]
  workflow:
    nodes: [{ id: only, component: Transform, config: { value: "{{ inputs.word }}" } }]
"#;

/// What came to the endpoint.
#[derive(Debug, Clone)]
struct Sent {
    headers: HeaderMap,
    body: String,
}

impl Sent {
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn id(&self) -> &str {
        self.header("webhook-id")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// As a receiver would verify it, with another implementation of HMAC: how many of the signatures are good.
    fn signed_by(&self, secret: &str) -> usize {
        let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let content = format!("{}.{}.{}", self.id(), self.header("webhook-timestamp"), self.body);
        let good = |signature: &&str| {
            let bytes = BASE64_STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
            hmac::verify(&key, content.as_bytes(), &bytes).is_ok()
        };
        self.header("webhook-signature").split(' ').filter(good).count()
    }
}

/// Never answers.
const HANG: u16 = 0;

/// An agency's endpoint, which answers with what it is told to.
struct Endpoint {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    sent: Arc<Mutex<Vec<Sent>>>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Endpoint {
    async fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (status, sent) = (Arc::new(AtomicU16::new(status)), Arc::<Mutex<Vec<Sent>>>::default());
        let (answer, seen) = (Arc::clone(&status), Arc::clone(&sent));
        let endpoint = make(move |mut request: Request| {
            let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
            async move {
                let body = request.take_body().into_string().await.unwrap();
                let headers = request.headers().clone();
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(Sent { headers, body });
                let status = answer.load(Ordering::SeqCst);
                if status == HANG {
                    std::future::pending::<()>().await;
                }
                let status = StatusCode::from_u16(status).unwrap();
                Ok::<_, std::convert::Infallible>(
                    Response::builder().status(status).header("location", "http://127.0.0.1:1/").finish(),
                )
            }
        });
        let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap());
        Self { address, status, sent, server: tokio::spawn(server.run(endpoint)) }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn after(&self, number: usize) -> Vec<Sent> {
        eventually("a delivery comes", async || (self.sent().len() >= number).then(|| self.sent())).await
    }

    /// A webhook of the customer's that leads here.
    async fn webhook(&self, customer: &Customer, kinds: &[&str]) -> Value {
        let body = json!({"url": format!("http://{}/in", self.address), "events": kinds});
        customer.post("/webhooks", body).await.expect(201)
    }
}

fn path(webhook: &Value, rest: &str) -> String {
    format!("/webhooks/{}{rest}", text(&webhook["id"]))
}

async fn deliveries(customer: &Customer, webhook: &Value) -> Vec<Value> {
    items(&customer.get(&path(webhook, "/deliveries?limit=200")).await.expect(200))
}

/// What waits for its next attempt is due now.
async fn hurry(stack: &Stack) {
    sqlx::query("update webhook_deliveries set next_attempt_at = now() where status = 'pending'")
        .execute(&stack.root)
        .await
        .unwrap();
}

async fn settled(customer: &Customer, webhook: &Value, status: &str) -> Vec<Value> {
    eventually("the deliveries are settled", async || {
        let all = deliveries(customer, webhook).await;
        (!all.is_empty() && all.iter().all(|delivery| delivery["status"] == status)).then_some(all)
    })
    .await
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_happens_arrives_once_signed_and_without_what_it_worked_on(root: PgPool) {
    let (all, ends) = (Endpoint::answering(204).await, Endpoint::answering(200).await);
    let allowed = format!("{},{}", all.address, ends.address);
    let stack = Stack::start(&root, &[("TEAMAI_EGRESS__ALLOW", &allowed)]).await;
    let _worker = stack.worker();
    let (acme, other) = (Customer::new(&stack, "acme").await, Customer::new(&stack, "other").await);
    for customer in [&acme, &other] {
        customer.publish(RECIPE).await;
    }
    let kinds = ["task.queued", "task.started", "step.completed", "task.completed"];
    let webhook = all.webhook(&acme, &kinds).await;
    let only_ends = ends.webhook(&acme, &["task.completed", "task.failed"]).await;
    // Who has a webhook too, and does not share.
    ends.webhook(&other, &["task.failed"]).await;
    let secret = text(&webhook["secret"]);
    for listed in [acme.get(&path(&webhook, "")).await.expect(200), acme.get("/webhooks").await.expect(200)] {
        assert!(!listed.to_string().contains("whsec_"), "{listed}");
    }
    other.complete(other.task("small", json!({"word": "of-another-agency"}))).await;
    let task = acme.complete(acme.task("small", json!({"word": "not-for-the-road"}))).await;
    all.after(kinds.len()).await;
    let listed = settled(&acme, &webhook, "delivered").await;
    let sent = all.sent();
    assert_eq!((sent.len(), listed.len()), (kinds.len(), kinds.len()), "each once: {listed:#?}");
    for one in &sent {
        assert_eq!((one.signed_by(&secret), one.header("content-type")), (1, "application/json"));
        assert!(!one.body.contains("not-for-the-road") && !one.body.contains("of-another-agency"), "{}", one.body);
        let body = one.json();
        assert_eq!(body["data"]["task_id"], task["id"], "{body}");
        assert_eq!(body["data"]["recipe"], "small");
        assert!(body["timestamp"].as_str().unwrap().ends_with('Z'), "{body}");
        let delivery = listed.iter().find(|delivery| delivery["event_id"] == one.id()).expect("it is listed");
        assert_eq!((&delivery["type"], &delivery["attempts"]), (&body["type"], &json!(1)));
        assert_eq!(delivery["next_attempt_at"], Value::Null);
    }
    let mut told: Vec<String> = sent.iter().map(|one| text(&one.json()["type"])).collect();
    told.sort_unstable();
    assert_eq!(told, ["step.completed", "task.completed", "task.queued", "task.started"]);
    let end = ends.after(1).await;
    assert_eq!(end.len(), 1);
    assert_eq!(end[0].json()["data"]["status"], "completed");
    assert_eq!((end[0].signed_by(&text(&only_ends["secret"])), end[0].signed_by(&secret)), (1, 0));
    // At rest the secret is sealed, and no name of the locker leads to it.
    let stored: String = sqlx::query_scalar(
        "select string_agg(s::text, '') || (select string_agg(w::text, '') from webhooks w) from secret_locker s",
    )
    .fetch_one(&stack.root)
    .await
    .unwrap();
    assert!(!stored.contains(secret.strip_prefix("whsec_").unwrap()));
    assert_eq!(items(&acme.get("/secrets").await.expect(200)), Vec::<Value>::new());
    acme.get("/secrets/signing.1").await.problem(404, "not_found");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_killed_workers_delivery_is_made_by_another_and_a_slow_endpoint_holds_nobody_up(root: PgPool) {
    let (slow, quick) = (Endpoint::answering(HANG).await, Endpoint::answering(200).await);
    let allowed = format!("{},{}", slow.address, quick.address);
    let stack = Stack::start(&root, &[("TEAMAI_EGRESS__ALLOW", &allowed)]).await;
    let acme = Customer::new(&stack, "acme").await;
    let held = slow.webhook(&acme, &["task.completed"]).await;
    let free = quick.webhook(&acme, &["task.completed"]).await;
    for webhook in [&held, &free] {
        for _ in 0..12 {
            acme.post(&path(webhook, "/test"), Value::Null).await.expect(202);
        }
    }
    let worker = stack.worker();
    // All of the one's, while the other keeps every request that it gets.
    quick.after(12).await;
    assert_eq!(settled(&acme, &free, "delivered").await.len(), 12);
    let first = slow.after(1).await[0].clone();
    let all_wait = deliveries(&acme, &held).await.iter().all(|delivery| delivery["status"] == "pending");
    assert!(all_wait && slow.sent().len() <= 8, "{} requests at once", slow.sent().len());
    worker.kill();

    slow.answers(200);
    let before = slow.sent().len();
    let _another = stack.worker();
    hurry(&stack).await;
    slow.after(before + 12).await;
    let delivered = settled(&acme, &held, "delivered").await;
    assert_eq!(delivered.len(), 12);
    let again = slow.sent()[before..].iter().any(|sent| sent.id() == first.id() && sent.body == first.body);
    assert!(again, "what was cut off comes again under its id");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn it_is_tried_again_replayed_and_signed_with_both_secrets_after_a_rotation(root: PgPool) {
    let endpoint = Endpoint::answering(500).await;
    let stack = Stack::start(&root, &[("TEAMAI_EGRESS__ALLOW", &endpoint.address.to_string())]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    let webhook = endpoint.webhook(&acme, &["task.completed"]).await;
    let first = text(&webhook["secret"]);
    let made = acme.post(&path(&webhook, "/test"), Value::Null).await.expect(202);
    assert_eq!((&made["type"], &made["status"]), (&json!("webhook.test"), &json!("pending")));
    endpoint.after(1).await;
    let failed = eventually("the answer is noted", async || {
        let all = deliveries(&acme, &webhook).await;
        (all[0]["response_status"] == 500).then(|| all[0].clone())
    })
    .await;
    assert_eq!((&failed["status"], &failed["attempts"]), (&json!("pending"), &json!(1)));
    assert!(failed["next_attempt_at"].is_string() && failed["error"].as_str().unwrap().contains("500"), "{failed}");
    assert!(acme.get(&path(&webhook, "")).await.expect(200)["failing_since"].is_string());

    // A redirect leads nowhere: 127.0.0.1:1 is not asked.
    endpoint.answers(302);
    hurry(&stack).await;
    eventually("the redirect is noted", async || {
        let error = deliveries(&acme, &webhook).await[0]["error"].to_string();
        error.contains("redirects are not followed").then_some(())
    })
    .await;

    let rotated = acme.post(&path(&webhook, "/rotate-secret"), Value::Null).await.expect(200);
    let second = text(&rotated["secret"]);
    assert_ne!(first, second);
    assert!(rotated["previous_secret_expires_at"].is_string(), "{rotated}");
    endpoint.answers(200);
    hurry(&stack).await;
    settled(&acme, &webhook, "delivered").await;
    let sent = endpoint.after(3).await;
    assert!(sent.iter().all(|one| one.id() == sent[0].id() && one.body == sent[0].body), "{sent:#?}");
    assert_eq!((sent[0].signed_by(&first), sent[0].signed_by(&second)), (1, 0));
    assert_eq!((sent[2].signed_by(&first), sent[2].signed_by(&second)), (1, 1));
    assert_eq!(acme.get(&path(&webhook, "")).await.expect(200)["failing_since"], Value::Null);

    // Once more after the overlap, and by replay.
    sqlx::query("update webhooks set previous_secret_expires_at = now()").execute(&stack.root).await.unwrap();
    let replay = path(&webhook, &format!("/deliveries/{}/replay", text(&made["id"])));
    assert_eq!(acme.post(&replay, Value::Null).await.expect(202)["status"], "pending");
    let sent = endpoint.after(4).await;
    assert_eq!((sent[3].id(), sent[3].signed_by(&first), sent[3].signed_by(&second)), (sent[0].id(), 0, 1));
    settled(&acme, &webhook, "delivered").await;

    // An endpoint that is gone is not asked any more.
    endpoint.answers(410);
    acme.post(&replay, Value::Null).await.expect(202);
    settled(&acme, &webhook, "failed").await;
    let off = acme.get(&path(&webhook, "")).await.expect(200);
    assert_eq!((&off["enabled"], &off["disabled_reason"]), (&json!(false), &json!("endpoint_gone")));
    acme.post(&replay, Value::Null).await.problem(409, "webhook_disabled");
    acme.post(&path(&webhook, "/test"), Value::Null).await.problem(409, "webhook_disabled");
    let on = acme.patch(&path(&webhook, ""), json!({"enabled": true})).await.expect(200);
    assert_eq!((&on["enabled"], &on["disabled_reason"]), (&json!(true), &Value::Null));
    endpoint.answers(200);
    acme.post(&replay, Value::Null).await.expect(202);
    settled(&acme, &webhook, "delivered").await;
    acme.delete(&path(&webhook, "")).await.expect(204);
    assert_eq!(stack.count("select count(*) from secret_locker").await, 0, "its secrets went with it");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn nothing_is_sent_to_the_inside(root: PgPool) {
    let inside = Endpoint::answering(200).await;
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    let url = |url: &str| json!({"url": url, "events": ["task.completed"]});
    for refused in [
        format!("http://{}/in", inside.address),
        "https://127.0.0.1/".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://[::ffff:10.0.0.1]/".to_owned(),
        "http://hooks.example.com/".to_owned(),
        "https://me:pass@hooks.example.com/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ] {
        acme.post("/webhooks", url(&refused)).await.invalid(&["url"]);
    }
    // A name that only tells when it is looked up where it leads.
    let webhook = acme.post("/webhooks", url("https://localhost/in")).await.expect(201);
    acme.patch(&path(&webhook, ""), url(&format!("http://{}/", inside.address))).await.invalid(&["url"]);
    acme.post(&path(&webhook, "/test"), Value::Null).await.expect(202);
    eventually("the attempt is refused", async || {
        let delivery = deliveries(&acme, &webhook).await.remove(0);
        let refused = delivery["error"].as_str().is_some_and(|error| error.contains("only public addresses"));
        refused.then(|| assert_eq!(delivery["response_status"], Value::Null))
    })
    .await;
    assert!(inside.sent().is_empty());
}

/// What was in order when a webhook was made need not be any more.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_address_is_held_against_the_rules_at_every_delivery(root: PgPool) {
    let inside = Endpoint::answering(200).await;
    let stack = Stack::start(&root, &[("TEAMAI_EGRESS__ALLOW", &inside.address.to_string())]).await;
    let acme = Customer::new(&stack, "acme").await;
    let [plain, private] =
        [inside.webhook(&acme, &["task.completed"]).await, inside.webhook(&acme, &["task.failed"]).await];
    sqlx::query("update webhooks set url = 'https://10.0.0.1/in' where events = '{task.failed}'")
        .execute(&root)
        .await
        .unwrap();
    let _worker = stack.worker_with(&[("TEAMAI_EGRESS__ALLOW", "")]);
    for (webhook, why) in [(&plain, "not https://"), (&private, "only public addresses")] {
        acme.post(&path(webhook, "/test"), Value::Null).await.expect(202);
        eventually("the attempt is refused", async || {
            let delivery = deliveries(&acme, webhook).await.remove(0);
            let error = delivery["error"].as_str()?.to_owned();
            assert!(error.contains(why) && delivery["response_status"].is_null(), "{delivery}");
            Some(())
        })
        .await;
    }
    assert!(inside.sent().is_empty());
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_webhook_that_is_wrong_says_where(root: PgPool) {
    let api = Api::start(&root);
    let (admin, stranger) = (api.agency("acme").await, api.agency("other").await);
    let good = json!({"url": "https://hooks.example.com/", "events": ["task.completed"]});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let cases = [
        (with("url", json!("nowhere")), "url"),
        (with("events", json!([])), "events"),
        (with("events", json!(["task.done"])), "events[0]"),
        (with("description", json!("")), "description"),
        (with("secret", json!("whsec_mine")), "secret"),
    ];
    for (body, path) in cases {
        api.post(&admin, "/webhooks", body).await.invalid(&[path]);
    }
    let team = api.team(&stranger, "Theirs").await;
    api.post(&admin, "/webhooks", with("team_id", json!(team))).await.problem(404, "not_found");
    let made = api.post(&admin, "/webhooks", good.clone()).await;
    assert!(made.header("location").unwrap().starts_with("/webhooks/"));
    for n in 1..50 {
        api.post(&admin, "/webhooks", with("description", json!(format!("Number {n}")))).await.expect(201);
    }
    api.post(&admin, "/webhooks", good.clone()).await.problem(409, "too_many_webhooks");
    api.post(&stranger, "/webhooks", good).await.expect(201);
}

/// Rotating the locker's key of an agency takes the signing secrets along.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_signing_secret_survives_the_rotation_of_the_agencys_key(root: PgPool) {
    let endpoint = Endpoint::answering(200).await;
    let stack = Stack::start(&root, &[("TEAMAI_EGRESS__ALLOW", &endpoint.address.to_string())]).await;
    let acme = Customer::new(&stack, "acme").await;
    let webhook = endpoint.webhook(&acme, &["task.completed"]).await;
    let done = stack.command(&["admin", "rotate-agency", &acme.agency], &[]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(stack.count("select count(*) from secret_locker where key_version = 2").await, 1);
    let _worker = stack.worker();
    acme.post(&path(&webhook, "/test"), Value::Null).await.expect(202);
    assert_eq!(endpoint.after(1).await[0].signed_by(&text(&webhook["secret"])), 1);
}
