//! Store tests of the locker, as the worker's role on a real Postgres.

use secrecy::SecretBox;

use super::*;

const NOW: &str = "2027-03-15T12:00:00Z";

struct Fixture {
    root: PgPool,
    worker: PgPool,
    agency: AgencyId,
    team: TeamId,
}

fn locker(byte: u8) -> Locker {
    Locker::new(Arc::new(SecretBox::new(Box::new([byte; 32]))))
}

fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

async fn fixture(root: PgPool) -> Fixture {
    let options = root.connect_options().as_ref().clone().options([("role", "teamai_worker")]);
    let worker = sqlx::postgres::PgPoolOptions::new().connect_lazy_with(options);
    let (agency, team) = (AgencyId::at(now()), TeamId::at(now()));
    sqlx::query("insert into agencies (id, name) values ($1, 'Acme')").bind(agency.0).execute(&root).await.unwrap();
    sqlx::query("insert into teams (id, agency_id, name) values ($1, $2, 'north')")
        .bind(team.0)
        .bind(agency.0)
        .execute(&root)
        .await
        .unwrap();
    Fixture { root, worker, agency, team }
}

impl Fixture {
    async fn put(&self, locker: &Locker, team: Option<TeamId>, name: &str, value: &str) {
        let (name, value) = (KeyName::parse(name).unwrap(), SecretValue::parse(value).unwrap());
        locker.put(&self.root, self.agency, team, &name, &value, now()).await.unwrap();
    }

    async fn resolve(&self, locker: &Locker, name: &str, lookup: Lookup) -> Result<Option<String>, LockerError> {
        let found = locker.resolve(&self.worker, self.agency, self.team, name, lookup).await?;
        Ok(found.map(|secret| secret.expose_secret().to_owned()))
    }

    async fn sql(&self, statement: &'static str) {
        assert!(sqlx::query(statement).execute(&self.root).await.unwrap().rows_affected() > 0);
    }
}

#[sqlx::test(migrations = "./migrations")]
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

#[sqlx::test(migrations = "./migrations")]
async fn nothing_in_the_database_holds_a_value(root: PgPool) {
    let f = fixture(root).await;
    f.put(&locker(7), None, "key", "in plain sight").await;
    let row: String = sqlx::query_scalar("select s::text || encode(ciphertext, 'escape') from secret_locker s")
        .fetch_one(&f.root)
        .await
        .unwrap();
    assert!(!row.contains("in plain") && !row.contains(&hex::encode("in plain")), "{row}");
}

#[sqlx::test(migrations = "./migrations")]
async fn a_changed_swapped_or_rolled_back_row_does_not_open(root: PgPool) {
    let f = fixture(root).await;
    f.put(&locker(7), None, "a", "value of a").await;
    f.put(&locker(7), None, "b", "value of b").await;
    let refused = async |name: &'static str| f.resolve(&locker(7), name, Lookup::TeamThenAgency).await;

    f.sql(
        "update secret_locker s set nonce = o.nonce, ciphertext = o.ciphertext from secret_locker o
            where s.key_name = 'a' and o.key_name = 'b'",
    )
    .await;
    assert!(matches!(refused("a").await, Err(LockerError::Tampered)));
    assert_eq!(refused("b").await.unwrap().unwrap(), "value of b");

    f.sql("create table old as select * from secret_locker where key_name = 'b'").await;
    f.put(&locker(7), None, "b", "newer value").await;
    f.sql("update secret_locker s set nonce = o.nonce, ciphertext = o.ciphertext from old o where s.id = o.id").await;
    assert!(matches!(refused("b").await, Err(LockerError::Tampered)));

    f.put(&locker(7), None, "b", "value of b").await;
    f.sql("update secret_locker set ciphertext = set_byte(ciphertext, 0, get_byte(ciphertext, 0) # 1) where key_name = 'b'")
        .await;
    assert!(matches!(refused("b").await, Err(LockerError::Tampered)));
    f.put(&locker(7), None, "b", "value of b").await;
    f.sql("update agency_keys set wrapped_key = set_byte(wrapped_key, 0, get_byte(wrapped_key, 0) # 1)").await;
    assert!(matches!(refused("b").await, Err(LockerError::Tampered)));
}

#[sqlx::test(migrations = "./migrations")]
async fn another_root_key_is_named_as_the_cause(root: PgPool) {
    let f = fixture(root).await;
    f.put(&locker(7), None, "key", "value").await;
    let error = f.resolve(&locker(8), "key", Lookup::TeamThenAgency).await.unwrap_err();
    let LockerError::RootKey { wrapped_with, configured } = error else { panic!("{error}") };
    assert_ne!(wrapped_with, configured);
}

#[sqlx::test(migrations = "./migrations")]
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

#[sqlx::test(migrations = "./migrations")]
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
