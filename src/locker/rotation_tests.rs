//! Store tests of rotation: new keys for old while others read and write.

use futures::{StreamExt, stream};
use secrecy::ExposeSecret;

use super::{
    tests::{Fixture, another, fixture, locker, now, root_key},
    *,
};

fn both() -> Locker {
    Locker::with_previous(root_key(8), &[root_key(7)])
}

async fn opened(f: &Fixture, locker: &Locker, name: &str) -> Option<String> {
    f.resolve(locker, name, Lookup::TeamThenAgency).await.unwrap()
}

async fn number(f: &Fixture, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&f.root).await.unwrap()
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_new_root_key_takes_the_old_ones_place_under_running_processes(root: PgPool) {
    let f = fixture(root).await;
    let (running, rival) = (locker(7), another(&f).await);
    for of in [&f, &rival] {
        of.put(&running, None, "key", "value").await;
    }
    let report = both().rewrap_agency_keys(&f.root).await.unwrap();
    let (old, new) = (locker(7).root_key_ids(), locker(8).root_key_ids());
    assert_eq!((report.rewrapped, report.failed.len()), (2, 0));
    assert_eq!(report.wrapped_by, [(new.clone(), 2)].into());

    for process in [running, both(), locker(8)] {
        assert_eq!(opened(&f, &process, "key").await.as_deref(), Some("value"), "{process:?}");
    }
    // One that knows the old key alone says what is wrong, reading and writing.
    let late = locker(7);
    let error = f.resolve(&late, "key", Lookup::TeamThenAgency).await.unwrap_err();
    let LockerError::RootKey { wrapped_with, configured } = error else { panic!("{error}") };
    assert_eq!((wrapped_with, configured), (new, old));
    let (name, value) = (KeyName::parse("key").unwrap(), SecretValue::parse("x").unwrap());
    let refused = late.put(&f.scope(), &f.api, None, &name, (&value, None), now()).await;
    assert!(matches!(refused, Err(LockerError::RootKey { .. })));

    let again = both().rewrap_agency_keys(&f.root).await.unwrap();
    assert_eq!((again.rewrapped, again.wrapped_by), (0, report.wrapped_by));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_key_that_cannot_be_opened_is_told_and_holds_up_no_other(root: PgPool) {
    let f = fixture(root).await;
    let (strange, broken, good) = (another(&f).await, another(&f).await, another(&f).await);
    strange.put(&locker(9), None, "key", "value").await;
    broken.put(&locker(7), None, "key", "value").await;
    good.put(&locker(7), None, "key", "value").await;
    sqlx::query("update agency_keys set wrapped_key = set_byte(wrapped_key, 0, get_byte(wrapped_key, 0) # 1) where agency_id = $1")
        .bind(broken.agency.0)
        .execute(&f.root)
        .await
        .unwrap();
    let report = both().rewrap_agency_keys(&f.root).await.unwrap();
    assert_eq!(report.rewrapped, 1);
    let failed: Vec<_> = report.failed.iter().map(|(agency, _)| *agency).collect();
    assert!(failed.len() == 2 && failed.contains(&strange.agency) && failed.contains(&broken.agency), "{failed:?}");
    assert!(report.failed.iter().any(|(_, why)| why.contains(&locker(9).root_key_ids())), "{:?}", report.failed);
    assert_eq!(opened(&good, &locker(8), "key").await.as_deref(), Some("value"));
    assert_eq!(opened(&strange, &locker(9), "key").await.as_deref(), Some("value"));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn more_keys_than_a_batch_are_all_rewrapped(root: PgPool) {
    let f = fixture(root).await;
    for _ in 0..230 {
        another(&f).await.put(&locker(7), None, "key", "value").await;
    }
    let report = both().rewrap_agency_keys(&f.root).await.unwrap();
    assert_eq!((report.rewrapped, report.wrapped_by.values().copied().collect::<Vec<_>>()), (230, vec![230]));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn an_agencys_new_key_seals_all_its_secrets_and_the_old_one_goes(root: PgPool) {
    let f = fixture(root).await;
    let (running, rival) = (locker(7), another(&f).await);
    for n in 0..130 {
        f.put(&running, (n % 2 == 0).then_some(f.team), &format!("key-{n}"), &format!("value {n}")).await;
    }
    rival.put(&running, None, "key", "rival's").await;
    f.sql("create table shown as select id, version, last4, updated_at, ciphertext from secret_locker").await;

    let report = locker(7).rotate_agency_key(&f.root, f.agency).await.unwrap().unwrap();
    let expected = Rotated { agency: f.agency, key_version: 2, resealed: 130, unreadable: 0, keys_dropped: 1 };
    assert_eq!(report, expected);
    for process in [&running, &locker(7)] {
        for n in 0..130 {
            assert_eq!(opened(&f, process, &format!("key-{n}")).await, Some(format!("value {n}")));
        }
    }
    assert_eq!(opened(&rival, &locker(7), "key").await.as_deref(), Some("rival's"));
    let as_before = "select count(*) from secret_locker s join shown o using (id, version, last4, updated_at)
                      where s.ciphertext <> o.ciphertext and s.key_version = 2";
    assert_eq!(number(&f, as_before).await, 130);
    assert_eq!(number(&f, "select count(*) from agency_keys where version = 1").await, 1, "the rival's");
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn an_agency_without_secrets_has_nothing_to_rotate(root: PgPool) {
    let f = fixture(root).await;
    assert_eq!(locker(7).rotate_agency_key(&f.root, f.agency).await.unwrap(), None);
    assert!(agencies_with_keys(&f.root, None).await.unwrap().is_empty());
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_secret_that_cannot_be_opened_keeps_its_key_and_is_told(root: PgPool) {
    let f = fixture(root).await;
    for name in ["good", "bad"] {
        f.put(&locker(7), None, name, "value").await;
    }
    f.sql("update secret_locker set ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1) where key_name = 'bad'")
        .await;
    let report = locker(7).rotate_agency_key(&f.root, f.agency).await.unwrap().unwrap();
    assert_eq!((report.resealed, report.unreadable, report.keys_dropped), (1, 1, 0));
    assert_eq!(opened(&f, &locker(7), "good").await.as_deref(), Some("value"));
    // Stored again, it lets the old key go with the next rotation.
    f.put(&locker(7), None, "bad", "better").await;
    let report = locker(7).rotate_agency_key(&f.root, f.agency).await.unwrap().unwrap();
    assert_eq!((report.resealed, report.unreadable, report.keys_dropped), (2, 0, 2));
    assert_eq!(opened(&f, &locker(7), "bad").await.as_deref(), Some("better"));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_secret_stored_under_the_old_key_at_that_moment_is_not_lost(root: PgPool) {
    let f = fixture(root).await;
    let process = locker(7);
    f.put(&process, None, "first", "one").await;

    // A request that has looked up the agency's key, written, and not committed yet.
    let mut tx = db::tenant(&f.api, f.agency).await.unwrap();
    let (name, value) = (KeyName::parse("second").unwrap(), SecretValue::parse("two").unwrap());
    let (key_version, key) = process.current_key(&mut tx, f.agency).await.unwrap();
    let id = SecretId::at(now());
    let sealed = seal::seal(&key, &aad(f.agency, id, 1, key_version, &[]), value.bytes()).unwrap();
    let row =
        store::NewVersion { id, version: 1, key_version, sealed: &sealed, last4: value.last4(), hosts: Vec::new() };
    store::insert(&mut tx, f.agency, None, &name, &row).await.unwrap().unwrap();

    let (pool, agency) = (f.root.clone(), f.agency);
    let rotation = tokio::spawn(async move { locker(7).rotate_agency_key(&pool, agency).await });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let waits = "select count(*) from pg_stat_activity
                  where datname = current_database() and wait_event_type = 'Lock' and query like 'delete from agency_keys%'";
    while number(&f, waits).await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the rotation does not wait for the writer");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tx.commit().await.unwrap();
    let report = rotation.await.unwrap().unwrap().unwrap();
    assert_eq!((report.resealed, report.keys_dropped), (2, 1));
    assert_eq!(opened(&f, &process, "second").await.as_deref(), Some("two"));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn values_stored_during_rotations_are_the_ones_that_open(root: PgPool) {
    let f = fixture(root).await;
    let process = locker(7);
    for n in 0..8 {
        f.put(&process, None, &format!("key-{n}"), "start").await;
    }
    let rotations = async {
        for _ in 0..12 {
            locker(7).rotate_agency_key(&f.root, f.agency).await.unwrap().unwrap();
        }
    };
    let writes = stream::iter(0..120).map(|n| (n % 8, n)).for_each_concurrent(8, |(key, n)| {
        let (f, process) = (&f, &process);
        async move { f.put(process, None, &format!("key-{key}"), &format!("{n}")).await }
    });
    futures::join!(rotations, writes);
    let versions = "select sum(version) from secret_locker";
    assert_eq!(number(&f, versions).await, 128, "every write counts once");
    for n in 0..8 {
        let value = opened(&f, &locker(7), &format!("key-{n}")).await.unwrap();
        assert_eq!(value.parse::<i32>().unwrap() % 8, n);
    }
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_value_that_was_stored_since_the_rotation_read_the_row_wins(root: PgPool) {
    let f = fixture(root).await;
    for name in ["changed", "deleted"] {
        f.put(&locker(7), None, name, "older").await;
    }
    let mut tx = store::definer(&f.root).await.unwrap();
    let first = SecretId(uuid::Uuid::nil());
    let read = store::sealed_with_older(&mut tx, f.agency, 2, first, 10).await.unwrap();
    assert_eq!(read.len(), 2);
    f.put(&locker(7), None, "changed", "newer").await;
    locker(7).delete(&f.scope(), &f.api, None, &KeyName::parse("deleted").unwrap()).await.unwrap();
    for old in &read {
        assert!(!store::reseal(&mut tx, old, old.key.version, &old.sealed).await.unwrap());
    }
    tx.commit().await.unwrap();
    assert_eq!(opened(&f, &locker(7), "changed").await.as_deref(), Some("newer"));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_secret_that_is_bound_while_its_key_is_rotated_opens_with_its_hosts(root: PgPool) {
    let f = fixture(root).await;
    let process = locker(7);
    f.put(&process, None, "key", "value").await;
    assert_eq!(opened(&f, &process, "key").await.as_deref(), Some("value"));
    // A rotation has read the secret before it is bound, and writes after.
    let mut rotation = store::definer(&f.root).await.unwrap();
    let before = store::sealed_with_older(&mut rotation, f.agency, 2, SecretId(uuid::Uuid::nil()), 10).await.unwrap();

    let mut tx = db::tenant(&f.api, f.agency).await.unwrap();
    let found = bindable(&mut tx, &["key".to_owned()]).await.unwrap();
    assert!(found[0].hosts.is_empty() && found[0].team_id.is_none());
    let hosts = [SecretHost::parse("a.example").unwrap(), SecretHost::parse("b.example:8443").unwrap()];
    process.bind(&mut tx, f.agency, found[0].id, &hosts).await.unwrap();
    tx.commit().await.unwrap();
    process.doubt(f.agency, "key");

    let stale = store::reseal(&mut rotation, &before[0], 1, &before[0].sealed).await.unwrap();
    assert!(!stale, "what was read before must not be written over what is bound");
    rotation.commit().await.unwrap();
    process.rotate_agency_key(&f.root, f.agency).await.unwrap().unwrap();
    for locker in [locker(7), locker(7)] {
        let run = RunScope::claimed(f.agency, f.team);
        let found = locker.resolve(&run, &f.worker, "key", Lookup::TeamThenAgency).await.unwrap().unwrap();
        assert_eq!((found.hosts.as_slice(), found.value.expose_secret()), (&hosts[..], "value"));
    }
}
