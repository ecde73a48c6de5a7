//! Signing in through an OpenID Connect provider: who comes in, and who does not.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use poem::{Request, http::Method};
use serde_json::{Value, json};
use sqlx::PgPool;
use teamai::{
    base::{SystemClock, clock::ManualClock},
    config::OidcProvider,
};

use crate::{
    identity_provider::{self, CLIENT_ID, CLIENT_SECRET, IdentityProvider},
    stack::Stack,
    support::{Api, PASSWORD, PUBLIC_URL, Person, Reply, person, redis_url},
};

/// An installation with one provider, `small`.
pub struct Place {
    pub api: Api,
    pub idp: IdentityProvider,
}

/// A browser that is on its way: where it goes, and its cookie.
#[derive(Debug, Clone)]
pub struct Underway {
    pub to: String,
    pub cookie: String,
}

impl Place {
    pub async fn new(root: &PgPool) -> Self {
        Self::with(root, false).await
    }

    async fn with(root: &PgPool, trust_email: bool) -> Self {
        let clock = ManualClock::at("2027-03-15T12:00:00Z".parse().unwrap());
        let idp = IdentityProvider::start(clock.clone()).await;
        let provider = OidcProvider {
            issuer: idp.issuer(),
            client_id: CLIENT_ID.into(),
            client_secret: CLIENT_SECRET.into(),
            scopes: vec!["openid".into(), "email".into(), "profile".into()],
            trust_email,
        };
        let providers = BTreeMap::from([("small".to_owned(), provider.clone()), ("other".to_owned(), provider)]);
        let api = Api::with_clock(root, clock, &redis_url(), &providers, &[idp.allowed()]);
        Self { api, idp }
    }

    /// An agency whose admin invites the provider's person; gives the invite's id.
    pub async fn invited(&self) -> (Person, String) {
        let admin = self.api.agency("acme").await;
        let body = json!({"email": "mia@acme.example", "role": "team_member"});
        let made = self.api.post(&admin, "/invites", body).await.expect(201);
        (admin, made["invite"]["id"].as_str().unwrap().to_owned())
    }

    pub async fn start(&self, query: &str) -> Reply {
        self.api.get_open(&format!("/auth/oidc/small/start{query}")).await
    }

    /// To the provider and back, up to the callback's own address.
    pub async fn back(&self) -> Underway {
        let begun = underway(&self.start("").await);
        let back = self.idp.agree(&begun.to).await;
        assert_eq!(&format!("{}://{}/", back.scheme(), back.authority()), PUBLIC_URL);
        Underway { to: format!("{}?{}", back.path(), back.query().unwrap()), cookie: begun.cookie }
    }

    pub async fn callback(&self, browser: &Underway) -> Reply {
        self.with_cookie(Method::GET, &browser.to, &browser.cookie, None).await
    }

    pub async fn exchange(&self, code: &str, cookie: &str) -> Reply {
        self.with_cookie(Method::POST, "/auth/oidc/exchange", cookie, Some(json!({"code": code}))).await
    }

    /// All the way to the callback's answer.
    pub async fn arrive(&self) -> Reply {
        self.callback(&self.back().await).await
    }

    /// All the way to the tokens.
    pub async fn sign_in(&self) -> Reply {
        let arrived = underway(&self.arrive().await);
        self.exchange(code(&arrived), &arrived.cookie).await
    }

    async fn with_cookie(&self, method: Method, path: &str, cookie: &str, body: Option<Value>) -> Reply {
        let request = Request::builder().method(method).uri_str(path).header("cookie", format!("a=b; {cookie}"));
        let request = match body {
            Some(body) => request.content_type("application/json").body(body.to_string()),
            None => request.finish(),
        };
        self.api.send(request).await
    }

    /// Rows that a sign-in that is refused must not make.
    pub async fn made(&self) -> (i64, i64, i64, i64) {
        sqlx::query_as(
            "select (select count(*) from users), (select count(*) from oidc_identities),
                    (select count(*) from oidc_codes), (select count(*) from invites where accepted_at is not null)",
        )
        .fetch_one(&self.api.root)
        .await
        .unwrap()
    }
}

/// Where a 302 sends the browser, and the cookie it has then.
#[track_caller]
pub fn underway(reply: &Reply) -> Underway {
    assert_eq!(reply.status, 302, "{}", reply.text);
    let cookie = reply.header("set-cookie").unwrap();
    Underway { to: reply.header("location").unwrap().to_owned(), cookie: cookie.split_once(';').unwrap().0.to_owned() }
}

#[track_caller]
pub fn code(arrived: &Underway) -> &str {
    arrived.to.split_once("#code=").unwrap().1
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_invited_person_comes_in_and_comes_back_as_the_same_user(root: PgPool) {
    let place = Place::new(&root).await;
    let (admin, _) = place.invited().await;
    assert_eq!(
        place.api.get_open("/auth/oidc").await.expect(200)["items"],
        json!([{"name": "other"}, {"name": "small"}])
    );

    let begun = place.start("?return_to=/console%3Ftab=1").await;
    let cookie = begun.header("set-cookie").unwrap();
    assert!(cookie.starts_with("teamai_oidc=") && cookie.contains("; Max-Age=600; HttpOnly; SameSite=Lax"), "{cookie}");
    let begun = underway(&begun);
    let back = place.idp.agree(&begun.to).await;
    let browser = Underway { to: format!("{}?{}", back.path(), back.query().unwrap()), cookie: begun.cookie };
    let arrived = underway(&place.callback(&browser).await);
    assert!(arrived.to.starts_with("http://teamai.test/console?tab=1#code="), "{}", arrived.to);
    assert_ne!(arrived.cookie, browser.cookie);
    assert_eq!(place.made().await, (2, 1, 1, 1));

    let reply = place.exchange(code(&arrived), &arrived.cookie).await;
    assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"), "{reply:?}");
    let body = reply.expect(200);
    assert_eq!((&body["user"]["email"], &body["user"]["full_name"]), (&json!("mia@acme.example"), &json!("Mia")));
    assert_eq!((&body["user"]["role"], &body["agency"]["id"]), (&json!("team_member"), &json!(admin.agency_id)));
    let mia = person(&body);
    // An ordinary session: listed, renewed, ended.
    assert_eq!(place.api.get(&mia, "/auth/sessions").await.expect(200)["items"].as_array().unwrap().len(), 1);
    let refresh = json!({"refresh_token": mia.refresh_token});
    let mia = person(&place.api.post_open("/auth/refresh", refresh).await.expect(200));

    // Another address at the provider, the same person.
    place.idp.person("subject-1", "mia.new@acme.example");
    let again = person(&place.sign_in().await.expect(200));
    assert_eq!((again.user_id, again.email.as_str()), (mia.user_id.clone(), "mia@acme.example"));
    place.api.post_open("/auth/logout", json!({"refresh_token": mia.refresh_token})).await.expect(204);
    place.api.get(&mia, "/auth/me").await.problem(401, "invalid_token");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn who_came_in_by_a_provider_has_no_password_to_guess(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    let mia = person(&place.sign_in().await.expect(200));
    let login = |email: &str| json!({"email": email, "password": PASSWORD});
    let without = place.api.post_open("/auth/login", login(&mia.email)).await.problem(401, "invalid_credentials");
    let unknown = place.api.post_open("/auth/login", login("x@acme.example")).await.problem(401, "invalid_credentials");
    assert_eq!(without, unknown);
    let change = json!({"current_password": PASSWORD, "new_password": "another long secret"});
    place.api.post(&mia, "/auth/password", change).await.problem(401, "invalid_credentials");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_user_of_an_accepted_invite_is_linked_and_whoever_merely_registered_is_not(root: PgPool) {
    let place = Place::new(&root).await;
    let admin = place.api.agency("acme").await;
    let body = json!({"email": "mia@acme.example", "role": "team_member"});
    let invite = place.api.post(&admin, "/invites", body).await.expect(201);
    let accept = json!({"token": invite["token"], "password": PASSWORD});
    let mia = person(&place.api.post_open("/invites/accept", accept).await.expect(201));
    assert_eq!(person(&place.sign_in().await.expect(200)).user_id, mia.user_id);
    assert_eq!(place.api.login(&mia.email).await.user_id, mia.user_id);

    // The address goes to somebody else at the provider: another subject.
    place.idp.person("subject-2", "mia@acme.example");
    place.arrive().await.problem(409, "link_required");

    // Anybody can register with any address, and would have its owner as a guest.
    place.idp.person("subject-3", &admin.email);
    place.arrive().await.problem(409, "link_required");
    assert_eq!(place.made().await.1, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_account_that_another_agency_invites_too_is_not_linked_unasked(root: PgPool) {
    let place = Place::new(&root).await;
    let (first, second) = (place.api.agency("acme").await, place.api.agency("bolt").await);
    let body = json!({"email": "mia@acme.example", "role": "team_member"});
    let invite = place.api.post(&first, "/invites", body.clone()).await.expect(201);
    place.api.post(&second, "/invites", body).await.expect(201);
    place.arrive().await.problem(409, "several_invitations");
    let accept = json!({"token": invite["token"], "password": PASSWORD});
    place.api.post_open("/invites/accept", accept).await.expect(201);
    place.arrive().await.problem(409, "link_required");
    assert_eq!(place.made().await, (3, 0, 0, 1));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_signed_in_user_links_an_account_of_the_provider(root: PgPool) {
    let place = Place::new(&root).await;
    let admin = place.api.agency("acme").await;
    let link = async |who: &Person| {
        let reply = place.api.post(who, "/auth/oidc/small/link", json!({"return_to": "/console/me"})).await;
        let cookie = reply.header("set-cookie").unwrap().split_once(';').unwrap().0.to_owned();
        let back = place.idp.agree(reply.expect(200)["url"].as_str().unwrap()).await;
        Underway { to: format!("{}?{}", back.path(), back.query().unwrap()), cookie }
    };
    let arrived = underway(&place.callback(&link(&admin).await).await);
    assert_eq!(arrived.to, "http://teamai.test/console/me");
    // Whatever the address.
    assert_eq!(person(&place.sign_in().await.expect(200)).user_id, admin.user_id);
    // Again changes nothing.
    underway(&place.callback(&link(&admin).await).await);
    assert_eq!(place.made().await.1, 1);

    let other = place.api.agency("bolt").await;
    place.callback(&link(&other).await).await.problem(409, "identity_taken");
    place.idp.person("subject-2", "x@acme.example");
    place.callback(&link(&admin).await).await.problem(409, "already_linked");
    // A session that ended meanwhile links nobody.
    let late = link(&other).await;
    place.api.post_open("/auth/logout", json!({"refresh_token": other.refresh_token})).await.expect(204);
    place.callback(&late).await.problem(401, "invalid_token");
    assert_eq!(place.made().await.1, 1);
    let open = place.api.post_open("/auth/oidc/small/link", json!({})).await;
    open.problem(401, "not_signed_in");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn nobody_comes_in_without_an_invite_that_is_in_force(root: PgPool) {
    let place = Place::new(&root).await;
    let (admin, id) = place.invited().await;
    place.idp.person("subject-9", "stranger@acme.example");
    place.arrive().await.problem(403, "invitation_required");

    place.idp.person("subject-1", "mia@acme.example");
    place.api.delete(&admin, &format!("/invites/{id}")).await.expect(204);
    place.arrive().await.problem(403, "invitation_required");
    let body = json!({"email": "mia@acme.example", "role": "team_member"});
    place.api.post(&admin, "/invites", body).await.expect(201);
    place.api.advance(TimeDelta::days(7));
    place.arrive().await.problem(403, "invitation_required");
    assert_eq!(place.made().await, (1, 0, 0, 0));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn who_is_deactivated_or_of_a_suspended_agency_does_not_come_in(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    let suspend = "update agencies set status = 'suspended'";
    sqlx::query(suspend).execute(&root).await.unwrap();
    place.arrive().await.problem(403, "agency_suspended");
    assert_eq!(place.made().await, (1, 0, 0, 0));
    sqlx::query("update agencies set status = 'active'").execute(&root).await.unwrap();

    let arrived = underway(&place.arrive().await);
    sqlx::query("update users set status = 'deactivated'").execute(&root).await.unwrap();
    place.exchange(code(&arrived), &arrived.cookie).await.problem(403, "account_deactivated");
    place.arrive().await.problem(403, "account_deactivated");
    sqlx::query("update users set status = 'active'").execute(&root).await.unwrap();
    sqlx::query(suspend).execute(&root).await.unwrap();
    place.arrive().await.problem(403, "agency_suspended");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_code_is_good_once_for_a_minute_and_in_its_browser(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    let (a, b) = (underway(&place.arrive().await), underway(&place.arrive().await));
    place.exchange(code(&a), &b.cookie).await.problem(401, "invalid_code");
    place.exchange(code(&a), "").await.problem(401, "invalid_code");
    place.exchange("no such code", &a.cookie).await.problem(401, "invalid_code");
    place.exchange(code(&a), &a.cookie).await.expect(200);
    place.exchange(code(&a), &a.cookie).await.problem(401, "invalid_code");
    place.api.advance(TimeDelta::seconds(60));
    place.exchange(code(&b), &b.cookie).await.problem(401, "invalid_code");

    let c = underway(&place.arrive().await);
    let tries = futures::future::join_all((0..6).map(|_| place.exchange(code(&c), &c.cookie))).await;
    assert_eq!(tries.iter().filter(|reply| reply.status == 200).count(), 1);
    let kept: String =
        sqlx::query_scalar("select string_agg(oidc_codes::text, '') from oidc_codes").fetch_one(&root).await.unwrap();
    assert!(!kept.contains(code(&c)), "{kept}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_address_that_the_provider_does_not_verify_needs_the_operators_word(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    for value in [json!(false), json!("false"), Value::Null] {
        place.idp.claim("email_verified", value);
        place.arrive().await.problem(403, "email_not_verified");
    }
    assert_eq!(place.made().await, (1, 0, 0, 0));
    let trusting = Place::with(&root, true).await;
    trusting.idp.claim("email_verified", json!(false));
    trusting.arrive().await.problem(403, "email_not_verified");
    trusting.idp.claim("email_verified", Value::Null);
    trusting.sign_in().await.expect(200);
}

/// The real processes: settings from the environment, the guarded client, and the log.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_running_installation_signs_in_and_its_log_holds_no_secret(root: PgPool) {
    let idp = IdentityProvider::start(SystemClock::shared()).await;
    let (issuer, allowed) = (idp.issuer(), idp.allowed());
    let mut settings = identity_provider::settings(&issuer, &allowed).to_vec();
    settings.push(("RUST_LOG", "debug"));
    let stack = Stack::start(&root, &settings).await;
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let post = |path: &str, body: Value| http.post(format!("{}{path}", stack.base)).json(&body);
    let registered: Value =
        post("/auth/register", json!({"agency_name": "Acme", "email": "ana@acme.example", "password": PASSWORD}))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
    let invite = json!({"email": "mia@acme.example", "role": "team_member"});
    let token = registered["access_token"].as_str().unwrap();
    assert_eq!(post("/invites", invite).bearer_auth(token).send().await.unwrap().status(), 201);

    let get = |url: String| http.get(url);
    let header = |response: &reqwest::Response, name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let begun = get(format!("{}/auth/oidc/small/start", stack.base)).send().await.unwrap();
    let cookie = header(&begun, "set-cookie");
    assert!(cookie.starts_with("__Host-teamai_oidc=") && cookie.ends_with("; Secure"), "{cookie}");
    let cookie = cookie.split_once(';').unwrap().0.to_owned();
    let back = idp.agree(&header(&begun, "location")).await;
    assert!(back.as_str().starts_with("https://teamai.example.com/auth/oidc/small/callback?"), "{back}");
    let callback = format!("{}{}?{}", stack.base, back.path(), back.query().unwrap());
    let arrived = get(callback).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(arrived.status(), 302, "{}", stack.api.log());
    let (to, next) = (header(&arrived, "location"), header(&arrived, "set-cookie"));
    let next = next.split_once(';').unwrap().0.to_owned();
    let code = to.strip_prefix("https://teamai.example.com/console#code=").unwrap();
    let reply = post("/auth/oidc/exchange", json!({"code": code})).header("cookie", &next).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let tokens: Value = reply.json().await.unwrap();
    assert_eq!(tokens["user"]["email"], "mia@acme.example");

    let log = stack.api.log();
    let state = back.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let secrets = [
        code,
        &cookie[cookie.len() - 40..],
        &next[next.len() - 40..],
        &state,
        CLIENT_SECRET,
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    ];
    for secret in secrets {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
    assert!(log.contains("/auth/oidc/small/callback"), "the log is not the one that would hold them");
}
