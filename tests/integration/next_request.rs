//! Logging out, deactivating, demoting and revoking act on the very next request,
//! through whichever API process: two real ones, each change through the first.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::text,
    stack::Stack,
    support::{PASSWORD, Reply},
};

/// Two processes of one installation.
struct Two {
    http: reqwest::Client,
    bases: [String; 2],
}

impl Two {
    async fn send(&self, through: usize, method: Method, path: &str, token: &str, body: Value) -> Reply {
        let url = format!("{}{path}", self.bases[through]);
        let mut request = self.http.request(method, url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    async fn get(&self, through: usize, path: &str, token: &str) -> Reply {
        self.send(through, Method::GET, path, token, Value::Null).await
    }

    /// Through the first.
    async fn post(&self, path: &str, token: &str, body: Value) -> Value {
        let reply = self.send(0, Method::POST, path, token, body).await;
        assert!(reply.status < 300, "{path}: {}", reply.text);
        reply.body
    }

    async fn patch(&self, path: &str, token: &str, body: Value) {
        self.send(0, Method::PATCH, path, token, body).await.expect(200);
    }

    /// Seen as good by both, so that whatever they may remember is there.
    async fn warm(&self, path: &str, token: &str) {
        for through in [0, 1, 1] {
            self.get(through, path, token).await.expect(200);
        }
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_change_acts_on_the_next_request_through_another_process(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let (other, base) = stack.another_api().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let two = Two { http, bases: [stack.base.clone(), base] };
    let sign_up = json!({"agency_name": "Acme", "email": "ana@acme.example", "password": PASSWORD});
    let ana = two.post("/auth/register", "", sign_up).await;
    let (token, refresh) = (text(&ana["access_token"]), text(&ana["refresh_token"]));
    let teams: Vec<String> = [
        two.post("/teams", &token, json!({"name": "north"})).await,
        two.post("/teams", &token, json!({"name": "south"})).await,
    ]
    .iter()
    .map(|team| text(&team["id"]))
    .collect();
    let invite = json!({"email": "mia@acme.example", "role": "agency_admin", "team_id": teams[0]});
    let invite = two.post("/invites", &token, invite).await;
    let mia = two.post("/invites/accept", "", json!({"token": invite["token"], "password": PASSWORD})).await;
    let (mias, path) = (text(&mia["access_token"]), format!("/users/{}", text(&mia["user"]["id"])));

    // Demoting; and moving to another team, whose rows alone are seen then.
    two.warm("/users", &mias).await;
    two.patch(&path, &token, json!({"role": "team_member"})).await;
    two.get(1, "/users", &mias).await.problem(403, "role_too_low");
    two.warm(&format!("/teams/{}", teams[0]), &mias).await;
    two.patch(&path, &token, json!({"team_id": teams[1]})).await;
    two.get(1, &format!("/teams/{}", teams[0]), &mias).await.problem(404, "not_found");
    two.get(1, &format!("/teams/{}", teams[1]), &mias).await.expect(200);

    // Deactivating.
    two.patch(&path, &token, json!({"status": "deactivated"})).await;
    two.get(1, "/auth/me", &mias).await.problem(401, "invalid_token");

    // Revoking a key.
    let key = two.post("/api-keys", &token, json!({"name": "a machine", "scopes": ["teams:read"]})).await;
    let secret = text(&key["key"]);
    two.warm("/teams", &secret).await;
    let id = text(&key["api_key"]["id"]);
    two.send(0, Method::DELETE, &format!("/api-keys/{id}"), &token, Value::Null).await.expect(204);
    two.get(1, "/teams", &secret).await.problem(401, "invalid_token");

    // Ending a session elsewhere, and logging out.
    let login = json!({"email": "ana@acme.example", "password": PASSWORD});
    let phone = text(&two.post("/auth/login", "", login).await["access_token"]);
    two.warm("/auth/me", &phone).await;
    let sessions = two.get(0, "/auth/sessions", &phone).await.expect(200);
    let own = sessions["items"].as_array().unwrap().iter().find(|session| session["current"] == true).unwrap();
    let path = format!("/auth/sessions/{}", text(&own["id"]));
    two.send(0, Method::DELETE, &path, &token, Value::Null).await.expect(204);
    two.get(1, "/auth/me", &phone).await.problem(401, "invalid_token");
    two.warm("/auth/me", &token).await;
    two.send(0, Method::POST, "/auth/logout", "", json!({"refresh_token": refresh})).await.expect(204);
    two.get(1, "/auth/me", &token).await.problem(401, "invalid_token");

    // Tokens of invites and keys are not for logs.
    let log = format!("{}{}", stack.api.log(), other.log());
    for secret in [text(&invite["token"]), secret, token, refresh, PASSWORD.to_owned()] {
        assert!(!log.contains(&secret), "a secret stands in a log");
    }
}
