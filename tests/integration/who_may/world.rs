//! Two agencies with everything in the first that a path or body can name, and a
//! new valid request for each operation.

use std::cell::RefCell;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{days_from_now, text},
    fixture::id,
    stack::{Stack, eventually},
    support::{PASSWORD, Reply},
};

/// A request that the right caller gets done.
#[derive(Default)]
pub struct Request {
    ids: Vec<String>,
    body: Value,
}

impl Request {
    /// The operation's path, its parameters filled in from the left.
    pub fn path(&self, template: &str) -> String {
        self.ids.iter().fold(template.to_owned(), |path, id| {
            let (from, to) = (path.find('{').expect(template), path.find('}').expect(template));
            format!("{}{id}{}", &path[..from], &path[to + 1..])
        })
    }

    /// Whether the caller named it: then it may well be in the answer.
    pub fn sent(&self, text: &str) -> bool {
        self.ids.iter().any(|id| id == text) || self.body.to_string().contains(text)
    }
}

pub struct World {
    http: reqwest::Client,
    root: PgPool,
    base: String,
    admin: Value,
    member: Value,
    neighbour: Value,
    stranger: Value,
    role: String,
    team: String,
    agent: String,
    recipe: String,
    /// Run to its end, with an output and a line in the ledger.
    task: String,
    secret: String,
    /// Waits for people.
    waiting: String,
    /// Its open questions.
    questions: RefCell<Vec<String>>,
    count: RefCell<u32>,
}

impl World {
    pub async fn new(stack: &Stack) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let empty = || Value::Null;
        let mut world = Self {
            http,
            root: stack.root.clone(),
            base: stack.base.clone(),
            admin: empty(),
            member: empty(),
            neighbour: empty(),
            stranger: empty(),
            role: String::new(),
            team: String::new(),
            agent: String::new(),
            recipe: "of-acme".to_owned(),
            task: String::new(),
            secret: String::new(),
            waiting: String::new(),
            questions: RefCell::default(),
            count: RefCell::new(0),
        };
        world.admin = world.make("POST", "/auth/register", world.registration()).await;
        world.stranger = world.post_open("/auth/register", world.registration()).await;
        world.team = world.team().await;
        let other = world.team().await;
        world.member = world.joined(&world.team.clone()).await;
        world.neighbour = world.joined(&other).await;
        let roles = world.make("GET", "/agent-roles?status=available&limit=1", Value::Null).await;
        world.role = text(&roles["items"][0]["id"]);
        world.make("POST", "/subscriptions", world.seats()).await;
        world.agent = world.hired().await;
        world.make("POST", "/recipes", recipe(&world.recipe)).await;
        world.secret = world.stored().await;
        let task = world.make("POST", "/tasks", world.task_body()).await;
        world.task = text(&task["id"]);
        eventually("the task is completed", async || {
            let task = world.make("GET", &format!("/tasks/{}", world.task), Value::Null).await;
            (task["status"] == "completed").then_some(())
        })
        .await;
        world.ask().await;
        world
    }

    /// A task with a question for each caller of the table.
    async fn ask(&mut self) {
        let config = json!({"message": "Go on?"});
        let node = json!({"id": "ask", "component": "Approval", "for_each": "range(8) | list", "max_parallel": 8, "config": config});
        let recipe = json!({"id": "asks", "name": "asks", "version": "1.0.0", "workflow": {"nodes": [node]}});
        self.make("POST", "/recipes", json!({"recipe": recipe})).await;
        let task = self.make("POST", "/tasks", json!({"agent_instance_id": self.agent, "recipe": "asks"})).await;
        self.waiting = text(&task["id"]);
        let path = format!("/tasks/{}", self.waiting);
        eventually("the task waits", async || {
            (self.make("GET", &path, Value::Null).await["status"] == "waiting").then_some(())
        })
        .await;
        let open = self.make("GET", "/approvals?status=open&limit=200", Value::Null).await;
        *self.questions.borrow_mut() = open["items"].as_array().unwrap().iter().map(|one| text(&one["id"])).collect();
    }

    /// The token with which a caller of the table comes; none for nobody.
    pub async fn token(&self, caller: &str, scope: &str) -> Option<String> {
        let every = || teamai::auth::Scope::ALL.iter().map(|scope| scope.as_str());
        // Where keys are refused, even every scope does not help.
        let of_its_own = every().filter(|s| *s == scope || ["open", "people"].contains(&scope)).collect::<Vec<_>>();
        let scopes = match caller {
            "nobody" => return None,
            "stranger" => return Some(text(&self.stranger["access_token"])),
            "neighbour" => return Some(text(&self.neighbour["access_token"])),
            "member" => return Some(text(&self.member["access_token"])),
            "admin" => return Some(text(&self.admin["access_token"])),
            "bare key" => every().filter(|s| *s != scope).collect(),
            _ => of_its_own,
        };
        let body = json!({"name": self.fresh("key"), "scopes": scopes});
        Some(text(&self.make("POST", "/api-keys", body).await["key"]))
    }

    /// What nobody of another agency is to see.
    pub fn of_the_agency(&self) -> Vec<String> {
        let people = [&self.admin, &self.member, &self.neighbour];
        let mut ids: Vec<String> = people.iter().map(|who| text(&who["user"]["id"])).collect();
        ids.extend([text(&self.admin["agency"]["id"]), self.recipe.clone(), self.secret.clone()]);
        ids.extend(self.of_the_team());
        ids
    }

    /// What a member of another team is not to see.
    pub fn of_the_team(&self) -> Vec<String> {
        vec![self.team.clone(), self.agent.clone(), self.task.clone(), self.waiting.clone()]
    }

    /// A valid request, on objects of the agency and its team that are new where it uses them up.
    pub async fn request(&self, operation: &str) -> Request {
        let on = |id: String| Request { ids: vec![id], ..Request::default() };
        let with = |body: Value| Request { body, ..Request::default() };
        let both = |id: String, body: Value| Request { ids: vec![id], body };
        let user = text(&self.member["user"]["id"]);
        match operation {
            "register" => with(self.registration()),
            "login" => with(credentials(&self.admin)),
            "refresh" | "logout" => with(json!({"refresh_token": self.signed_in(&self.admin).await["refresh_token"]})),
            "accept_invite" => with(json!({"token": self.invited(&self.team).await["token"], "password": PASSWORD})),
            "start_oidc" | "finish_oidc" => on("small".to_owned()),
            "exchange_oidc_code" => with(json!({"code": "no such code"})),
            "link_oidc" => both("small".to_owned(), json!({})),
            "change_password" => with(json!({"current_password": PASSWORD, "new_password": PASSWORD})),
            "end_own_session" => on(self.session_of(&self.admin).await),
            "unlink_own_identity" => on(self.identity().await),
            "create_api_key" => {
                with(json!({"name": self.fresh("key"), "scopes": ["tasks:read"], "team_id": self.team}))
            }
            "revoke_api_key" => {
                let body = json!({"name": self.fresh("key"), "scopes": ["tasks:read"]});
                on(text(&self.make("POST", "/api-keys", body).await["api_key"]["id"]))
            }
            "change_agency" => with(json!({"name": self.fresh("Acme")})),
            "create_team" => with(json!({"name": self.fresh("team")})),
            "get_team" => on(self.team.clone()),
            "change_team" => both(self.team.clone(), json!({"name": self.fresh("team")})),
            "delete_team" => on(self.team().await),
            "get_user" | "list_sessions" => on(user),
            "change_user" => both(user, json!({"full_name": self.fresh("Mia")})),
            "end_session" => Request { ids: vec![user, self.session_of(&self.member).await], body: Value::Null },
            "invite" => with(self.invite_body(&self.team)),
            "revoke_invite" => on(text(&self.invited(&self.team).await["invite"]["id"])),
            "buy_seats" => with(self.seats()),
            "hire_agent" => with(self.agent_body()),
            "get_agent" => on(self.agent.clone()),
            "change_agent" => both(self.agent.clone(), json!({"custom_name": self.fresh("Ada")})),
            "retire_agent" => on(self.hired().await),
            "get_agent_role" => on(self.role.clone()),
            "get_recipe" => on(self.recipe_id().await),
            "publish_recipe" => with(recipe(&self.fresh("recipe"))),
            "validate_recipe" => with(recipe("valid")),
            "get_secret" | "list_recipes_needing_secret" => on(self.secret.clone()),
            "put_secret" => both(format!("{}?team_id={}", self.fresh("key"), self.team), json!({"value": "x"})),
            "delete_secret" => on(self.stored().await),
            "rotate_secret" => both(self.stored().await, json!({"value": "y"})),
            "check_secret" => on(self.unchecked_key().await),
            "run_recipe" => with(self.task_body()),
            "run_recipes" => with(json!({"tasks": [self.task_body()]})),
            "get_task" | "list_steps" | "get_output" | "follow_task" | "requeue_task" => on(self.task.clone()),
            "retry_task" => both(self.task.clone(), json!({"from_node": "end"})),
            "decide_approval" => both(
                self.questions.borrow_mut().pop().expect("a question that is open"),
                json!({"decision": "approve"}),
            ),
            "create_webhook" => with(self.webhook_body()),
            "get_webhook" | "delete_webhook" | "rotate_webhook_secret" | "test_webhook" | "list_deliveries" => {
                on(self.webhook().await)
            }
            "change_webhook" => both(self.webhook().await, json!({"description": self.fresh("hook")})),
            "replay_delivery" => {
                let webhook = self.webhook().await;
                let delivery = self.make("POST", &format!("/webhooks/{webhook}/test"), Value::Null).await;
                let ids = vec![webhook, text(&delivery["id"])];
                Request { ids, body: Value::Null }
            }
            "give_feedback" => both(self.task.clone(), json!({"quality_score": 0.5})),
            "create_schedule" => with(self.schedule_body()),
            "get_schedule" | "delete_schedule" => on(self.schedule().await),
            "change_schedule" => both(self.schedule().await, json!({"cron": "0 0 * * *"})),
            "cancel_task" => {
                let mut later = self.task_body();
                later["run_at"] = days_from_now(300);
                on(text(&self.make("POST", "/tasks", later).await["id"]))
            }
            "pause_queue" => with(pause_of(&self.team)),
            "resume_queue" => {
                let pause = pause_of(&self.team().await);
                self.make("POST", "/queue/pause", pause.clone()).await;
                with(pause)
            }
            _ => Request::default(),
        }
    }

    pub async fn send(&self, method: &str, path: &str, token: Option<&str>, request: &Request) -> Reply {
        let mut sent =
            self.http.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.base));
        if let Some(token) = token {
            sent = sent.bearer_auth(token);
        }
        if !request.body.is_null() {
            sent = sent.json(&request.body);
        }
        let answer = sent.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }

    /// As the admin; as nobody before there is one.
    async fn make(&self, method: &str, path: &str, body: Value) -> Value {
        let token = self.admin["access_token"].as_str();
        let reply = self.send(method, path, token, &Request { ids: Vec::new(), body }).await;
        assert!(reply.status < 300, "{method} {path}: {}", reply.text);
        reply.body
    }

    async fn post_open(&self, path: &str, body: Value) -> Value {
        let reply = self.send("POST", path, None, &Request { ids: Vec::new(), body }).await;
        assert!(reply.status < 300, "{path}: {}", reply.text);
        reply.body
    }

    /// A name that was not used before.
    fn fresh(&self, what: &str) -> String {
        let mut count = self.count.borrow_mut();
        *count += 1;
        format!("{what}-{count}")
    }

    fn registration(&self) -> Value {
        let name = self.fresh("agency");
        json!({"agency_name": name, "email": format!("admin@{name}.example"), "password": PASSWORD})
    }

    async fn signed_in(&self, who: &Value) -> Value {
        self.post_open("/auth/login", credentials(who)).await
    }

    /// A further session of somebody.
    async fn session_of(&self, who: &Value) -> String {
        let token = text(&self.signed_in(who).await["access_token"]);
        let listed = self.send("GET", "/auth/sessions", Some(&token), &Request::default()).await.expect(200);
        let own = listed["items"].as_array().unwrap().iter().find(|session| session["current"] == true);
        text(&own.unwrap()["id"])
    }

    async fn team(&self) -> String {
        text(&self.make("POST", "/teams", json!({"name": self.fresh("team")})).await["id"])
    }

    /// An account at a provider that is linked to the admin.
    async fn identity(&self) -> String {
        let id = id();
        sqlx::query(
            "insert into oidc_identities (id, agency_id, user_id, issuer, subject)
             select $1, agency_id, id, 'https://idp.example/' || $1, 'admin' from users where id = $2::uuid",
        )
        .bind(id)
        .bind(text(&self.admin["user"]["id"]))
        .execute(&self.root)
        .await
        .unwrap();
        id.to_string()
    }

    fn invite_body(&self, team: &str) -> Value {
        json!({"email": format!("{}@acme.example", self.fresh("mia")), "role": "team_member", "team_id": team})
    }

    async fn invited(&self, team: &str) -> Value {
        self.make("POST", "/invites", self.invite_body(team)).await
    }

    async fn joined(&self, team: &str) -> Value {
        let token = self.invited(team).await["token"].clone();
        self.post_open("/invites/accept", json!({"token": token, "password": PASSWORD})).await
    }

    fn seats(&self) -> Value {
        json!({"agent_role_id": self.role, "purchased_count": 50})
    }

    fn agent_body(&self) -> Value {
        json!({"agent_role_id": self.role, "team_id": self.team, "custom_name": self.fresh("Ada")})
    }

    async fn hired(&self) -> String {
        text(&self.make("POST", "/agents", self.agent_body()).await["id"])
    }

    async fn stored(&self) -> String {
        let name = self.fresh("secret-of-acme");
        self.make("PUT", &format!("/secrets/{name}"), json!({"value": "x"})).await;
        name
    }

    /// A provider's key that may be tried at once.
    async fn unchecked_key(&self) -> String {
        let name = "openai_api_key";
        for (method, body) in [("PUT", json!({"value": "x"})), ("DELETE", Value::Null), ("PUT", json!({"value": "x"}))]
        {
            self.make(method, &format!("/secrets/{name}"), body).await;
        }
        name.to_owned()
    }

    fn webhook_body(&self) -> Value {
        json!({"url": format!("https://hooks.example.com/{}", self.fresh("hook")), "events": ["task.completed"]})
    }

    /// A new one: an agency has few, and each caller's is used up.
    async fn webhook(&self) -> String {
        let all = self.make("GET", "/webhooks?limit=200", Value::Null).await;
        for old in all["items"].as_array().unwrap() {
            self.make("DELETE", &format!("/webhooks/{}", text(&old["id"])), Value::Null).await;
        }
        text(&self.make("POST", "/webhooks", self.webhook_body()).await["id"])
    }

    async fn recipe_id(&self) -> String {
        let recipes = self.make("GET", "/recipes?limit=200", Value::Null).await;
        let own = recipes["items"].as_array().unwrap().iter().find(|recipe| recipe["slug"] == self.recipe.as_str());
        text(&own.expect("the agency's recipe")["id"])
    }

    fn schedule_body(&self) -> Value {
        json!({"agent_instance_id": self.agent, "recipe": self.recipe, "cron": "0 0 1 1 *", "time_zone": "UTC"})
    }

    async fn schedule(&self) -> String {
        text(&self.make("POST", "/schedules", self.schedule_body()).await["id"])
    }

    fn task_body(&self) -> Value {
        json!({"agent_instance_id": self.agent, "recipe": self.recipe})
    }
}

fn pause_of(team: &str) -> Value {
    json!({"scope": "team", "scope_id": team})
}

fn credentials(who: &Value) -> Value {
    json!({"email": who["user"]["email"], "password": PASSWORD})
}

fn recipe(slug: &str) -> Value {
    let node = json!({"id": "end", "component": "Transform", "config": {"value": {"topic": "tea"}}});
    json!({"recipe": {"id": slug, "name": slug, "version": "1.0.0", "workflow": {"nodes": [node]},
                      "compliance": {"cost_per_unit": 0.01}}})
}
