//! The whole API on a real Postgres, under row-level security, without a socket.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use poem::{
    Endpoint, EndpointExt, Request,
    endpoint::BoxEndpoint,
    http::{HeaderMap, Method},
};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde_json::{Value, json};
use sqlx::PgPool;
use teamai::{
    api::{self, ApiState},
    auth::{
        Auth, keys,
        oidc::{self, Oidc},
    },
    base::{AgentRoleId, SecretHost, UserId, apart::Apart, clock::ManualClock},
    config::{Limits, OidcProvider},
    egress,
    events::Streams,
    limits::Limiter,
    locker::{KeyProbe, Locker, Probed},
    queue::{self, Tickets},
    tasks::{TaskReader, submit::Submitter, workers::Standstill},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Where a browser would reach the API.
pub const PUBLIC_URL: &str = "http://teamai.test/";
pub const PASSWORD: &str = "plenty of daylight";

/// An API of its own for one test.
pub struct Api {
    endpoint: BoxEndpoint<'static>,
    /// As a superuser, for looking behind the API and for what it does not offer.
    pub root: PgPool,
    pub clock: Arc<ManualClock>,
    pub state: ApiState,
    /// Lets go of the database, which Postgres else waits 5 s for before it drops it.
    _until: DropGuard,
}

/// A person who signed in.
pub struct Person {
    pub token: String,
    pub refresh_token: String,
    pub user_id: String,
    pub agency_id: String,
    pub email: String,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Reply {
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.body
    }

    /// Asserts an RFC 9457 problem, and gives it.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.body["status"], status);
        assert!(self.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        self.body
    }

    /// Asserts a 422 that names exactly these places, in any order.
    #[track_caller]
    pub fn invalid(self, paths: &[&str]) -> Value {
        let body = self.problem(422, "invalid_request");
        let mut named: Vec<&str> =
            body["errors"].as_array().unwrap().iter().map(|error| error["path"].as_str().unwrap()).collect();
        let mut paths = paths.to_vec();
        named.sort_unstable();
        paths.sort_unstable();
        assert_eq!(named, paths, "{body}");
        body
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The pool's database as another role, so that its rights and row-level security are in force.
pub fn pool_as(root: &PgPool, role: &str) -> PgPool {
    let options = root.connect_options().as_ref().clone().options([("role", role)]);
    sqlx::postgres::PgPoolOptions::new().max_connections(8).connect_lazy_with(options)
}

#[expect(clippy::disallowed_methods, reason = "the test's own configuration")]
pub fn redis_url() -> String {
    std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned())
}

/// Stands in for the providers: their answer is in the key.
#[derive(Debug)]
struct Probe;

#[async_trait::async_trait]
impl KeyProbe for Probe {
    fn provider(&self, key_name: &str) -> Option<String> {
        key_name.strip_suffix("_api_key").filter(|provider| ["openai", "groq"].contains(provider)).map(str::to_owned)
    }

    fn host(&self, provider: &str) -> Option<SecretHost> {
        SecretHost::parse(&format!("api.{provider}.example")).ok()
    }

    fn key_names(&self) -> Vec<String> {
        ["groq_api_key", "openai_api_key"].map(str::to_owned).into()
    }

    async fn probe(&self, provider: &str, key: &SecretString) -> Probed {
        match key.expose_secret() {
            "bad-key" => Probed::Refused(format!("{provider} refused the key")),
            "no-answer" => Probed::Untold(format!("{provider} did not answer")),
            _ => Probed::Works(format!("{provider} took the key")),
        }
    }
}

const LIMITS: Limits =
    Limits { user_per_minute: 6000, agency_per_minute: 60_000, address_per_minute: 300, agency_open_tasks: 100_000 };

fn start_of_the_day() -> Arc<ManualClock> {
    let now: DateTime<Utc> = "2027-03-15T12:00:00Z".parse().unwrap();
    ManualClock::at(now)
}

impl Api {
    pub fn start(root: &PgPool) -> Self {
        Self::with_redis(root, &redis_url())
    }

    pub fn with_redis(root: &PgPool, redis_url: &str) -> Self {
        Self::with_limits(root, redis_url, LIMITS)
    }

    pub fn with_limits(root: &PgPool, redis_url: &str, limits: Limits) -> Self {
        Self::build(root, start_of_the_day(), redis_url, limits, &BTreeMap::new(), &[])
    }

    /// People may sign in through the providers; `allowed` are the `host:port` where these answer.
    pub fn with_clock(
        root: &PgPool,
        clock: Arc<ManualClock>,
        redis_url: &str,
        providers: &BTreeMap<String, OidcProvider>,
        allowed: &[String],
    ) -> Self {
        Self::build(root, clock, redis_url, LIMITS, providers, allowed)
    }

    fn build(
        root: &PgPool,
        clock: Arc<ManualClock>,
        redis_url: &str,
        limits: Limits,
        providers: &BTreeMap<String, OidcProvider>,
        allowed: &[String],
    ) -> Self {
        let pool = pool_as(root, "teamai_api");
        let signing_key = keys::generate_pem().unwrap();
        let auth = Arc::new(Auth::new(pool.clone(), clock.clone(), &signing_key).unwrap());
        let settings = oidc::Settings {
            providers,
            public_url: Some(&PUBLIC_URL.parse().unwrap()),
            return_origins: &[],
            signing_key: &signing_key,
        };
        let client = egress::Client::new(egress::Policy::new(allowed).unwrap()).unwrap();
        let oidc = Oidc::new(Arc::clone(&auth), &settings, &teamai::cli::oidc::fetch(client.clone())).unwrap();
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
        let redis = queue::connect(redis_url).unwrap().1;
        let tickets = Tickets::new(redis.clone());
        let until = CancellationToken::new();
        let state = ApiState {
            pool: pool.clone(),
            clock: clock.clone(),
            auth,
            oidc: Arc::new(oidc),
            registration_open: true,
            locker: Arc::new(Locker::new(Arc::new(SecretBox::new(Box::new([7; 32]))))),
            key_probe: Arc::new(Probe),
            submitter: Submitter::start(pool.clone(), tickets.clone(), clock.clone(), limits.agency_open_tasks),
            tasks: TaskReader::new(pool.clone()),
            tickets,
            standstill: Standstill::default(),
            streams: Streams::start(pool.clone(), until.clone()),
            apart: Arc::new(Apart::start().unwrap()),
            egress: client.clone(),
            limiter: Limiter::new(limits, redis),
            trusted_proxies: Arc::new([]),
            browsers: api::Browsers::default(),
            providers: ["groq", "openai", "scripted"].map(str::to_owned).into(),
            metrics,
            recipe_schema: r#"{"type":"object"}"#.into(),
        };
        let endpoint = api::routes(state.clone()).boxed();
        Self { endpoint, root: root.clone(), clock, state, _until: until.drop_guard() }
    }

    pub async fn send(&self, request: Request) -> Reply {
        let response = self.endpoint.call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = body.into_string().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Reply { status: parts.status.as_u16(), headers: parts.headers, body, text }
    }

    async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Reply {
        let mut request = Request::builder().method(method).uri_str(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = match body {
            Some(body) => request.content_type("application/json").body(body.to_string()),
            None => request.finish(),
        };
        self.send(request).await
    }

    /// Without a token.
    pub async fn post_open(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, None, Some(body)).await
    }

    pub async fn get_open(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None, None).await
    }

    pub async fn get(&self, who: &Person, path: &str) -> Reply {
        self.call(Method::GET, path, Some(&who.token), None).await
    }

    pub async fn post(&self, who: &Person, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, Some(&who.token), Some(body)).await
    }

    pub async fn put(&self, who: &Person, path: &str, body: Value) -> Reply {
        self.call(Method::PUT, path, Some(&who.token), Some(body)).await
    }

    pub async fn patch(&self, who: &Person, path: &str, body: Value) -> Reply {
        self.call(Method::PATCH, path, Some(&who.token), Some(body)).await
    }

    pub async fn delete(&self, who: &Person, path: &str) -> Reply {
        self.call(Method::DELETE, path, Some(&who.token), None).await
    }

    /// A new agency; gives its admin, `admin@NAME.example`.
    pub async fn agency(&self, name: &str) -> Person {
        let email = format!("admin@{name}.example");
        let body = json!({"agency_name": name, "email": email, "password": PASSWORD});
        person(&self.post_open("/auth/register", body).await.expect(201))
    }

    pub async fn login(&self, email: &str) -> Person {
        person(&self.post_open("/auth/login", json!({"email": email, "password": PASSWORD})).await.expect(200))
    }

    /// A `team_member` of the admin's agency, with the admin's password.
    pub async fn member(&self, admin: &Person, team: Option<&str>) -> Person {
        let id = UserId::at(self.state.clock.now());
        let email = format!("member-{}@example.com", id.0.simple());
        sqlx::query(
            "insert into users (id, agency_id, team_id, email, password_hash, role)
             select $1, agency_id, $2::uuid, $3, password_hash, 'team_member' from users where id = $4::uuid",
        )
        .bind(id.0)
        .bind(team)
        .bind(&email)
        .bind(&admin.user_id)
        .execute(&self.root)
        .await
        .unwrap();
        self.login(&email).await
    }

    pub async fn team(&self, admin: &Person, name: &str) -> String {
        let team = self.post(admin, "/teams", json!({"name": name})).await.expect(201);
        team["id"].as_str().unwrap().to_owned()
    }

    /// An API key with these scopes, as somebody to send requests as.
    pub async fn key(&self, admin: &Person, team: Option<&str>, scopes: &[&str]) -> Person {
        let body = json!({"name": "a machine", "scopes": scopes, "team_id": team});
        let made = self.post(admin, "/api-keys", body).await.expect(201);
        Person {
            token: made["key"].as_str().unwrap().to_owned(),
            refresh_token: String::new(),
            user_id: made["api_key"]["id"].as_str().unwrap().to_owned(),
            agency_id: admin.agency_id.clone(),
            email: String::new(),
        }
    }

    /// A role of the platform's catalogue.
    pub async fn role(&self, name: &str, status: &str) -> String {
        let id = AgentRoleId::at(self.state.clock.now());
        sqlx::query("insert into agent_roles (id, name, status, base_price) values ($1, $2, $3, 49.5)")
            .bind(id.0)
            .bind(name)
            .bind(status)
            .execute(&self.root)
            .await
            .unwrap();
        id.to_string()
    }

    pub fn advance(&self, by: TimeDelta) {
        self.clock.advance(by);
    }
}

pub fn person(signed_in: &Value) -> Person {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Person {
        token: text(&signed_in["access_token"]),
        refresh_token: text(&signed_in["refresh_token"]),
        user_id: text(&signed_in["user"]["id"]),
        agency_id: text(&signed_in["agency"]["id"]),
        email: text(&signed_in["user"]["email"]),
    }
}
