//! One's accounts at providers: seen, and taken away again.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::items,
    oidc::{Place, Underway, code, underway},
    stack::eventually,
    support::{Person, person},
};

async fn link(place: &Place, who: &Person, provider: &str) {
    let reply = place.api.post(who, &format!("/auth/oidc/{provider}/link"), json!({})).await;
    let cookie = reply.header("set-cookie").unwrap().split_once(';').unwrap().0.to_owned();
    let back = place.idp.agree(reply.expect(200)["url"].as_str().unwrap()).await;
    underway(&place.callback(&Underway { to: format!("{}?{}", back.path(), back.query().unwrap()), cookie }).await);
}

async fn linked(place: &Place, who: &Person) -> Vec<Value> {
    items(&place.api.get(who, "/auth/identities").await.expect(200))
}

fn path(identity: &Value) -> String {
    format!("/auth/identities/{}", identity["id"].as_str().unwrap())
}

/// Somebody had a session for a moment, and linked an account of their own.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_account_that_was_unlinked_signs_nobody_in(root: PgPool) {
    let place = Place::new(&root).await;
    let (admin, other) = (place.api.agency("acme").await, place.api.agency("bolt").await);
    assert!(linked(&place, &admin).await.is_empty());
    place.idp.person("the-thief", "thief@evil.example");
    link(&place, &admin, "small").await;
    assert_eq!(person(&place.sign_in().await.expect(200)).user_id, admin.user_id);

    let identity = linked(&place, &admin).await.remove(0);
    assert_eq!((&identity["issuer"], &identity["subject"]), (&json!(place.idp.issuer()), &json!("the-thief")));
    // Another person's, of the same agency or not, is not there.
    let colleague = place.api.member(&admin, None).await;
    for stranger in [&other, &colleague] {
        assert!(linked(&place, stranger).await.is_empty());
        place.api.delete(stranger, &path(&identity)).await.problem(404, "not_found");
    }
    // A code that is on its way is worth nothing any more.
    let arrived = underway(&place.arrive().await);
    place.api.delete(&admin, &path(&identity)).await.expect(204);
    place.exchange(code(&arrived), &arrived.cookie).await.problem(401, "invalid_code");
    place.arrive().await.problem(403, "invitation_required");
    place.api.delete(&admin, &path(&identity)).await.problem(404, "not_found");
    assert!(linked(&place, &admin).await.is_empty());
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_last_way_in_stays(root: PgPool) {
    let place = Place::new(&root).await;
    place.invited().await;
    let mia = person(&place.sign_in().await.expect(200));
    let first = linked(&place, &mia).await.remove(0);
    place.api.delete(&mia, &path(&first)).await.problem(409, "last_way_in");
    assert_eq!(linked(&place, &mia).await.len(), 1);

    // Of two that are unlinked at once, the second waits for the first, and stays.
    sqlx::query(
        "insert into oidc_identities (id, agency_id, user_id, issuer, subject)
         select gen_random_uuid(), agency_id, user_id, 'https://another.example', subject from oidc_identities",
    )
    .execute(&root)
    .await
    .unwrap();
    let mut other = root.begin().await.unwrap();
    for statement in [
        "select from users where password_hash is null for no key update",
        "delete from oidc_identities where issuer = 'https://another.example'",
    ] {
        sqlx::query(statement).execute(&mut *other).await.unwrap();
    }
    let first = path(&first);
    let (second, ()) = tokio::join!(place.api.delete(&mia, &first), async {
        eventually("the second waits", async || {
            let waiting = "select true from pg_stat_activity
                            where datname = current_database() and wait_event_type = 'Lock' limit 1";
            sqlx::query_scalar::<_, bool>(waiting).fetch_optional(&root).await.unwrap()
        })
        .await;
        other.commit().await.unwrap();
    });
    second.problem(409, "last_way_in");
    assert_eq!(linked(&place, &mia).await.len(), 1);
}
