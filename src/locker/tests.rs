//! Store tests of the locker, as the real roles on a real Postgres.

use secrecy::{ExposeSecret, SecretBox};

use super::*;
use crate::base::{Actor, Role, UserId};

const NOW: &str = "2027-03-15T12:00:00Z";

pub(super) struct Fixture {
    pub root: PgPool,
    pub api: PgPool,
    pub worker: PgPool,
    pub agency: AgencyId,
    pub team: TeamId,
}

pub(super) fn root_key(byte: u8) -> SecretBytes {
    Arc::new(SecretBox::new(Box::new([byte; 32])))
}

pub(super) fn locker(byte: u8) -> Locker {
    Locker::new(root_key(byte))
}

pub(super) fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

pub(super) async fn fixture(root: PgPool) -> Fixture {
    let pool_as = |role| {
        let options = root.connect_options().as_ref().clone().options([("role", role)]);
        sqlx::postgres::PgPoolOptions::new().connect_lazy_with(options)
    };
    let (api, worker) = (pool_as("teamai_api"), pool_as("teamai_worker"));
    another(&Fixture { root, api, worker, agency: AgencyId::at(now()), team: TeamId::at(now()) }).await
}

/// A further agency of the same database.
pub(super) async fn another(of: &Fixture) -> Fixture {
    let (root, api, worker) = (of.root.clone(), of.api.clone(), of.worker.clone());
    let (agency, team) = (AgencyId::at(now()), TeamId::at(now()));
    sqlx::query("insert into agencies (id, name) values ($1, 'Acme')").bind(agency.0).execute(&root).await.unwrap();
    sqlx::query("insert into teams (id, agency_id, name) values ($1, $2, 'north')")
        .bind(team.0)
        .bind(agency.0)
        .execute(&root)
        .await
        .unwrap();
    Fixture { root, api, worker, agency, team }
}

impl Fixture {
    pub fn scope(&self) -> TenantScope {
        TenantScope::verified(self.agency, Actor::Person(UserId::at(now())), Role::AgencyAdmin, None)
    }

    pub async fn put(&self, locker: &Locker, team: Option<TeamId>, name: &str, value: &str) {
        let (name, value) = (KeyName::parse(name).unwrap(), SecretValue::parse(value).unwrap());
        locker.put(&self.scope(), &self.api, team, &name, (&value, None), now()).await.unwrap();
    }

    pub async fn resolve(&self, locker: &Locker, name: &str, lookup: Lookup) -> Result<Option<String>, LockerError> {
        let found = locker.resolve(&RunScope::claimed(self.agency, self.team), &self.worker, name, lookup).await?;
        Ok(found.map(|secret| secret.value.expose_secret().to_owned()))
    }

    pub async fn sql(&self, statement: &'static str) {
        assert!(sqlx::query(statement).execute(&self.root).await.unwrap().rows_affected() > 0);
    }
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn the_team_comes_before_the_agency_unless_only_the_team_counts(root: PgPool) {
    let f = fixture(root).await;
    f.put(&locker(7), None, "key", "the agency's").await;
    assert_eq!(f.resolve(&locker(7), "key", Lookup::TeamThenAgency).await.unwrap().unwrap(), "the agency's");
    assert_eq!(f.resolve(&locker(7), "key", Lookup::TeamOnly).await.unwrap(), None);
    f.put(&locker(7), Some(f.team), "key", "the team's").await;
    for lookup in [Lookup::TeamThenAgency, Lookup::TeamOnly] {
        assert_eq!(f.resolve(&locker(7), "key", lookup).await.unwrap().unwrap(), "the team's");
    }
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn nothing_in_the_database_holds_a_value(root: PgPool) {
    let f = fixture(root).await;
    f.put(&locker(7), None, "key", "in plain sight").await;
    let row: String = sqlx::query_scalar("select s::text || encode(ciphertext, 'escape') from secret_locker s")
        .fetch_one(&f.root)
        .await
        .unwrap();
    assert!(!row.contains("in plain") && !row.contains(&hex::encode("in plain")), "{row}");
}

/// What somebody with the database's rights, and without the root key, might do to the row of `a`.
const TAMPERINGS: [(&str, &str); 10] = [
    (
        "a byte of the value",
        "update secret_locker set ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1)",
    ),
    (
        "its last byte",
        "update secret_locker set ciphertext = set_byte(ciphertext, length(ciphertext) - 1,
                              get_byte(ciphertext, length(ciphertext) - 1) # 128)",
    ),
    ("its end cut off", "update secret_locker set ciphertext = substr(ciphertext, 1, 20)"),
    ("a byte of the nonce", "update secret_locker set nonce = set_byte(nonce, 23, get_byte(nonce, 23) # 1)"),
    (
        "the value of a neighbour",
        "update secret_locker s set nonce = o.nonce, ciphertext = o.ciphertext
        from secret_locker o where s.key_name = 'a' and o.key_name = 'b' and o.agency_id = s.agency_id",
    ),
    (
        "the value of another agency",
        "update secret_locker s set nonce = o.nonce, ciphertext = o.ciphertext
        from secret_locker o where s.key_name = 'a' and o.key_name = 'a' and o.agency_id <> s.agency_id",
    ),
    (
        "an older value",
        "update secret_locker s set nonce = o.nonce, ciphertext = o.ciphertext from older o where s.id = o.id",
    ),
    ("its version", "update secret_locker set version = version + 1"),
    ("the version of its key", "update secret_locker set key_version = 2"),
    ("where it may go", "update secret_locker set hosts = '{evil.example}'"),
];

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_changed_swapped_or_rolled_back_row_does_not_open(root: PgPool) {
    let f = fixture(root).await;
    let rival = another(&f).await;
    rival.put(&locker(7), None, "a", "value of another agency").await;
    f.put(&locker(7), None, "b", "value of b").await;
    f.put(&locker(7), None, "a", "older value of a").await;
    f.sql("create table older as select * from secret_locker where key_name = 'a'").await;
    f.put(&locker(7), None, "a", "value of a").await;
    // Another version of the very same key: the row alone has to tell.
    f.sql("create table whole as select * from secret_locker").await;
    let second = "insert into agency_keys select agency_id, 2, root_key_id, nonce, wrapped_key from agency_keys";
    f.sql(second).await;
    for (what, statement) in TAMPERINGS {
        f.sql(statement).await;
        let opened = f.resolve(&locker(7), "a", Lookup::TeamThenAgency).await;
        assert!(matches!(opened, Err(LockerError::Tampered)), "{what}: {opened:?}");
        f.sql(
            "update secret_locker s set (version, key_version, nonce, ciphertext, hosts)
                  = (select w.version, w.key_version, w.nonce, w.ciphertext, w.hosts from whole w where w.id = s.id)",
        )
        .await;
        let opened = f.resolve(&locker(7), "a", Lookup::TeamThenAgency).await;
        assert_eq!(opened.unwrap().as_deref(), Some("value of a"), "after {what}");
    }
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_row_under_another_agency_and_another_agencys_key_do_not_open(root: PgPool) {
    let f = fixture(root).await;
    let rival = another(&f).await;
    f.put(&locker(7), None, "a", "value of a").await;
    rival.put(&locker(7), None, "b", "value of b").await;
    let moved = "update secret_locker set agency_id = (select agency_id from secret_locker where key_name = 'b')
                  where key_name = 'a'";
    f.sql(moved).await;
    assert!(matches!(rival.resolve(&locker(7), "a", Lookup::TeamThenAgency).await, Err(LockerError::Tampered)));
    let swapped = "update agency_keys k set nonce = o.nonce, wrapped_key = o.wrapped_key
                     from agency_keys o where o.agency_id <> k.agency_id";
    f.sql(swapped).await;
    assert!(matches!(rival.resolve(&locker(7), "b", Lookup::TeamThenAgency).await, Err(LockerError::Tampered)));
    f.sql("update agency_keys set wrapped_key = set_byte(wrapped_key, 0, 1)").await;
    assert!(matches!(rival.resolve(&locker(7), "b", Lookup::TeamThenAgency).await, Err(LockerError::Tampered)));
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn another_root_key_is_named_as_the_cause(root: PgPool) {
    let f = fixture(root).await;
    f.put(&locker(7), None, "key", "value").await;
    let error = f.resolve(&locker(8), "key", Lookup::TeamThenAgency).await.unwrap_err();
    let LockerError::RootKey { wrapped_with, configured } = error else { panic!("{error}") };
    assert_ne!(wrapped_with, configured);
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn use_is_noted_at_most_once_a_minute(root: PgPool) {
    let f = fixture(root).await;
    f.put(&locker(7), None, "key", "value").await;
    let used = async || -> Option<DateTime<Utc>> {
        sqlx::query_scalar("select last_used_at from secret_locker").fetch_one(&f.root).await.unwrap()
    };
    assert_eq!(used().await, None);
    f.resolve(&locker(7), "key", Lookup::TeamThenAgency).await.unwrap();
    let first = used().await;
    assert!(first.is_some());
    f.resolve(&locker(7), "key", Lookup::TeamThenAgency).await.unwrap();
    assert_eq!(used().await, first);
    f.sql("update secret_locker set last_used_at = last_used_at - interval '61 seconds'").await;
    f.resolve(&locker(7), "key", Lookup::TeamThenAgency).await.unwrap();
    assert!(used().await >= first);
}

#[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
async fn a_change_through_another_process_is_seen_within_two_seconds(root: PgPool) {
    let f = fixture(root).await;
    let (here, there) = (locker(7), locker(7));
    f.put(&there, None, "key", "old").await;
    assert_eq!(f.resolve(&here, "key", Lookup::TeamThenAgency).await.unwrap().unwrap(), "old");
    f.put(&there, None, "key", "new").await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    while f.resolve(&here, "key", Lookup::TeamThenAgency).await.unwrap().as_deref() != Some("new") {
        assert!(tokio::time::Instant::now() < deadline, "the new value was not seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
