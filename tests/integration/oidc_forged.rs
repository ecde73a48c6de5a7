//! Sign-ins through a provider that were tampered with: in the browser, on the way, at the provider.

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    identity_provider::Signed,
    oidc::{Place, Underway, underway},
};

const NOTHING: (i64, i64, i64, i64) = (1, 0, 0, 0);

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_answer_counts_in_the_browser_that_asked_for_it_and_once(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    let browser = place.back().await;
    let another = place.back().await;
    let changed = |to: String| Underway { to, ..browser.clone() };
    let refused = [
        // No cookie, another browser's, one that was not made here.
        Underway { cookie: String::new(), ..browser.clone() },
        Underway { cookie: another.cookie.clone(), ..browser.clone() },
        Underway { cookie: "teamai_oidc=AAAA".into(), ..browser.clone() },
        // No state, another one, a part of it.
        changed(browser.to.split_once("&state=").unwrap().0.to_owned()),
        changed(another.to.clone()),
        changed(browser.to[..browser.to.len() - 1].to_owned()),
        // At another provider's callback; from another issuer.
        changed(browser.to.replace("/small/", "/other/")),
        changed(format!("{}&iss=https://evil.example", browser.to)),
    ];
    let mut taken = Vec::new();
    for (n, browser) in refused.iter().enumerate() {
        let reply = place.callback(browser).await;
        if reply.body["code"] != "sign_in_not_begun" {
            taken.push(format!("{n}: {} {}", reply.status, reply.text));
        }
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
    assert_eq!((place.made().await, place.idp.visits("/token")), (NOTHING, 0));

    let iss = changed(format!("{}&iss={}", browser.to, place.idp.issuer()));
    underway(&place.callback(&iss).await);
    // Replayed, by whoever has both the address and the cookie: not even asked for at the provider.
    place.callback(&iss).await.problem(401, "sign_in_not_begun");
    assert_eq!(place.idp.visits("/token"), 1);

    place.api.advance(TimeDelta::minutes(10));
    place.callback(&another).await.problem(401, "sign_in_not_begun");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_refusal_at_the_provider_is_told_and_ends_the_sign_in(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    let browser = place.back().await;
    let state = browser.to.split_once("&state=").unwrap().1;
    let denied =
        Underway { to: format!("/auth/oidc/small/callback?error=access_denied&state={state}"), ..browser.clone() };
    place.callback(&denied).await.problem(403, "provider_denied");
    place.callback(&browser).await.problem(401, "sign_in_not_begun");
    let browser = place.back().await;
    let state = browser.to.split_once("&state=").unwrap().1.to_owned();
    let empty = Underway { to: format!("/auth/oidc/small/callback?state={state}"), ..browser };
    place.callback(&empty).await.problem(401, "sign_in_not_begun");
    // A code that the provider did not give out.
    let browser = place.back().await;
    let state = browser.to.split_once("&state=").unwrap().1.to_owned();
    let invented = Underway { to: format!("/auth/oidc/small/callback?code=made-up&state={state}"), ..browser };
    place.callback(&invented).await.problem(401, "provider_answer_refused");
    assert_eq!(place.made().await, NOTHING);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_code_of_another_sign_in_is_refused_by_its_challenge(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    let (mine, stolen) = (place.back().await, place.back().await);
    let (path, _) = mine.to.split_once("code=").unwrap();
    let state = mine.to.split_once("&state=").unwrap().1;
    let code = stolen.to.split_once("code=").unwrap().1.split_once('&').unwrap().0;
    let injected = Underway { to: format!("{path}code={code}&state={state}"), cookie: mine.cookie.clone() };
    place.callback(&injected).await.problem(401, "provider_answer_refused");
    // By the provider, for the challenge: the nonce would only be wrong after that.
    assert_eq!((place.made().await, place.idp.exchanged()), (NOTHING, 0));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_id_token_must_be_signed_by_a_key_of_its_issuer(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    let mut taken = Vec::new();
    for signed in [Signed::Forged, Signed::UnknownKey, Signed::NotAtAll, Signed::WithTheSecret, Signed::Critical] {
        place.idp.sign(signed);
        let reply = place.arrive().await;
        if reply.body["code"] != "provider_answer_refused" || place.made().await != NOTHING {
            taken.push(format!("{signed:?}: {} {}", reply.status, reply.text));
        }
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        place.idp.sign(Signed::With(algorithm));
        place.sign_in().await.expect(200);
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_id_token_must_be_for_us_for_now_and_for_this_sign_in(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    let now = place.api.state.clock.now().timestamp();
    let wrong: [(&'static str, Value); 12] = [
        ("nonce", json!("another")),
        ("nonce", Value::Null),
        ("aud", json!("another-client")),
        ("aud", json!(["teamai-client", "another-client"])),
        ("iss", json!("https://evil.example")),
        ("iss", json!(format!("{}/", place.idp.issuer()))),
        ("exp", json!(now - 31)),
        ("exp", Value::Null),
        ("iat", json!(now + 31)),
        ("sub", json!("")),
        ("email", Value::Null),
        // The Kelvin sign becomes a k in lower case.
        ("email", json!("\u{212a}mia@acme.example")),
    ];
    let mut taken = Vec::new();
    for (name, value) in wrong {
        place.idp.claim(name, value.clone());
        let reply = place.arrive().await;
        // A token that cannot be read at all is an answer that is none.
        let codes = [(401, "provider_answer_refused"), (503, "provider_unavailable")];
        let fits = codes.iter().any(|(status, code)| reply.status == *status && reply.body["code"] == *code);
        if !fits || (reply.status == 503 && !value.is_null()) || place.made().await != NOTHING {
            taken.push(format!("{name} {value}: {} {}", reply.status, reply.text));
        }
        place.idp.behave();
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
    place.idp.claim("exp", json!(now - 29));
    place.sign_in().await.expect(200);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn new_keys_are_fetched_when_they_are_met_and_not_for_every_forgery(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    place.sign_in().await.expect(200);
    place.sign_in().await.expect(200);
    assert_eq!((place.idp.visits("/keys"), place.idp.visits("/.well-known/openid-configuration")), (1, 1));
    place.idp.rotate("key-of-tomorrow");
    place.sign_in().await.expect(200);
    assert_eq!(place.idp.visits("/keys"), 2);
    place.idp.sign(Signed::UnknownKey);
    for _ in 0..4 {
        place.arrive().await.problem(401, "provider_answer_refused");
    }
    assert_eq!(place.idp.visits("/keys"), 2);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_sign_in_returns_to_this_installation_only(root: PgPool) {
    let place = Place::new(&root).await;
    for path in [
        "//evil.example",
        "/%5Cevil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "console",
        "",
        "https://teamai.test@evil.example/",
        "/a%23code=mine",
        "http://teamai.test.evil.example/",
    ] {
        place.start(&format!("?return_to={path}")).await.invalid(&["return_to"]);
    }
    underway(&place.start("?return_to=http://teamai.test/console").await);
    place.api.get_open("/auth/oidc/nobody/start").await.problem(404, "not_found");
    place.api.get_open("/auth/oidc/nobody/callback").await.problem(404, "not_found");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_provider_that_is_away_or_not_itself_is_503_and_asked_again_later(root: PgPool) {
    let place = Place::new(&root).await;
    place.idp.down(true);
    let reply = place.start("").await;
    assert_eq!(reply.header("retry-after"), Some("10"));
    reply.problem(503, "provider_unavailable");
    let asked = place.idp.visits("/.well-known/openid-configuration");
    place.start("").await.problem(503, "provider_unavailable");
    assert_eq!(place.idp.visits("/.well-known/openid-configuration"), asked);

    for (name, value) in [("issuer", "https://evil.example"), ("token_endpoint", "ftp://evil.example/token")] {
        let place = Place::new(&root).await;
        place.idp.describe(name, json!(value));
        place.start("").await.problem(503, "provider_unavailable");
    }
    // Away between the start and the callback: the browser begins again.
    let place = Place::new(&root).await;
    place.invited().await;
    let browser = place.back().await;
    place.idp.down(true);
    place.callback(&browser).await.problem(503, "provider_unavailable");
    assert_eq!(place.made().await, NOTHING);
}
