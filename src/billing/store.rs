//! The price book's rows in Postgres. Rows are added, never changed.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{Connection, PgConnection, PgPool};
use tracing::warn;

use super::{
    file::{self, FileError},
    price::{NewPrice, Price, Rates},
};
use crate::base::{AgencyId, Clock, PriceId};

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("prices could not be stored: {0}")]
    Database(#[from] sqlx::Error),
}

/// A row as the database has it.
struct Row {
    id: PriceId,
    agency_id: Option<AgencyId>,
    provider: String,
    model: String,
    region: String,
    tier: String,
    effective_from: DateTime<Utc>,
    input: Decimal,
    cache_read: Option<Decimal>,
    cache_write_5m: Option<Decimal>,
    cache_write_1h: Option<Decimal>,
    output: Decimal,
    reasoning: Option<Decimal>,
}

impl From<Row> for Price {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            agency: row.agency_id,
            provider: row.provider,
            model: row.model,
            region: row.region,
            tier: row.tier,
            effective_from: row.effective_from,
            rates: Rates {
                input: row.input,
                output: row.output,
                cache_read: row.cache_read,
                cache_write_5m: row.cache_write_5m,
                cache_write_1h: row.cache_write_1h,
                reasoning: row.reasoning,
            },
            long: Vec::new(),
        }
    }
}

/// Adds the rows of the file in this binary that are missing, and says how many.
/// The connection's role must be able to become `teamai_definer`, as the one
/// that migrates is.
///
/// # Errors
/// The database is unavailable or the role has not the right.
pub async fn load_platform(connection: &mut PgConnection, clock: &dyn Clock) -> Result<u64, LoadError> {
    let rows = file::platform()?;
    let known = platform(connection).await?;
    for row in rows.iter().filter(|row| known.iter().any(|price| same_key(price, row) && price.rates != row.rates)) {
        warn!(
            provider = row.provider,
            model = row.model,
            tier = row.tier,
            "prices.yaml changes a row that is in the database already; the stored price stays: \
             a new price is a new row with its own `from`"
        );
    }
    Ok(add(connection, &rows, clock).await?)
}

/// Adds prices that differ from those in force at `clock`'s time, and says how
/// many rows that made. All rows of a model are added together, so that its
/// prices for long prompts keep to the price that they belong to.
///
/// # Errors
/// As [`load_platform`].
pub async fn import(connection: &mut PgConnection, rows: &[NewPrice], clock: &dyn Clock) -> Result<u64, sqlx::Error> {
    let known = platform(connection).await?;
    let changed: Vec<_> = rows.iter().filter(|row| differs(row, rows, &known, clock.now())).cloned().collect();
    add(connection, &changed, clock).await
}

/// Whether any price of the row's model is another one than now.
fn differs(row: &NewPrice, rows: &[NewPrice], known: &[Price], now: DateTime<Utc>) -> bool {
    let of_model = known.iter().filter(|price| price.provider == row.provider && price.model == row.model);
    let in_force: Vec<_> = of_model.filter(|price| price.effective_from <= now).collect();
    let newest = in_force.iter().map(|price| price.effective_from).max();
    let mut current: Vec<_> = in_force.iter().filter(|price| Some(price.effective_from) == newest).collect();
    let mut next: Vec<_> = rows.iter().filter(|r| r.provider == row.provider && r.model == row.model).collect();
    current.sort_by(|a, b| a.tier.cmp(&b.tier));
    next.sort_by(|a, b| a.tier.cmp(&b.tier));
    current.len() != next.len() || current.iter().zip(&next).any(|(a, b)| a.tier != b.tier || a.rates != b.rates)
}

fn same_key(price: &Price, row: &NewPrice) -> bool {
    price.region.is_empty()
        && (&price.provider, &price.model, &price.tier, price.effective_from)
            == (&row.provider, &row.model, &row.tier, row.effective_from)
}

/// The rows that are there already stay as they are.
async fn add(connection: &mut PgConnection, rows: &[NewPrice], clock: &dyn Clock) -> Result<u64, sqlx::Error> {
    let ids: Vec<_> = rows.iter().map(|_| PriceId::at(clock.now()).0).collect();
    let text = |of: fn(&NewPrice) -> &str| rows.iter().map(|row| of(row).to_owned()).collect::<Vec<String>>();
    let rate =
        |of: fn(&Rates) -> Option<Decimal>| rows.iter().map(|row| of(&row.rates)).collect::<Vec<Option<Decimal>>>();
    let from: Vec<_> = rows.iter().map(|row| row.effective_from).collect();
    let mut tx = connection.begin().await?;
    sqlx::query!("set local role teamai_definer").execute(&mut *tx).await?;
    let done = sqlx::query!(
        "insert into prices (id, provider, model, tier, effective_from, source,
                             input, output, cache_read, cache_write_5m, cache_write_1h, reasoning)
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[],
                              $7::numeric[], $8::numeric[], $9::numeric[], $10::numeric[], $11::numeric[], $12::numeric[])
         on conflict on constraint prices_row_taken do nothing",
        &ids,
        &text(|row| &row.provider),
        &text(|row| &row.model),
        &text(|row| &row.tier),
        &from,
        &text(|row| &row.source),
        &rate(|rates| Some(rates.input)) as &[Option<Decimal>],
        &rate(|rates| Some(rates.output)) as &[Option<Decimal>],
        &rate(|rates| rates.cache_read) as &[Option<Decimal>],
        &rate(|rates| rates.cache_write_5m) as &[Option<Decimal>],
        &rate(|rates| rates.cache_write_1h) as &[Option<Decimal>],
        &rate(|rates| rates.reasoning) as &[Option<Decimal>],
    )
    .execute(&mut *tx)
    .await?;
    // Within a caller's transaction the role would outlive ours.
    sqlx::query!("reset role").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

/// The platform's rows.
async fn platform(connection: &mut PgConnection) -> Result<Vec<Price>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    sqlx::query!("set local role teamai_definer").execute(&mut *tx).await?;
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: PriceId", agency_id as "agency_id: AgencyId", provider, model, region, tier, effective_from,
                  input, cache_read, cache_write_5m, cache_write_1h, output, reasoning
             from prices where agency_id is null"#
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!("reset role").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(Price::from).collect())
}

/// What the pool's role sees: without a tenant's context, the platform's rows.
///
/// # Errors
/// The database is unavailable.
pub async fn all_visible(pool: &PgPool) -> Result<Vec<Price>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: PriceId", agency_id as "agency_id: AgencyId", provider, model, region, tier, effective_from,
                  input, cache_read, cache_write_5m, cache_write_1h, output, reasoning
             from prices"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Price::from).collect())
}

/// The rows of the platform and of every agency, for a worker.
///
/// # Errors
/// The database is unavailable, or the pool's role is not the worker's.
pub(super) async fn all(pool: &PgPool) -> Result<Vec<Price>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id!: PriceId", agency_id as "agency_id: AgencyId", provider as "provider!", model as "model!",
                  region as "region!", tier as "tier!", effective_from as "effective_from!", input as "input!",
                  cache_read, cache_write_5m, cache_write_1h, output as "output!", reasoning
             from app.price_book()"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Price::from).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;
    use sqlx::postgres::PgPoolOptions;

    use super::*;
    use crate::{
        base::{Usage, Usd, clock::ManualClock},
        billing::{
            PriceBook, PriceBooks,
            price::tests::{dec, rates},
        },
        db,
    };

    fn clock() -> Arc<ManualClock> {
        ManualClock::at("2026-11-22T12:00:00Z".parse().expect("a time"))
    }

    fn new(model: &str, tier: &str, input: Decimal, clock: &dyn Clock) -> NewPrice {
        NewPrice {
            provider: "acme".into(),
            model: model.into(),
            tier: tier.into(),
            effective_from: clock.now(),
            rates: rates(input, input),
            source: "test".into(),
        }
    }

    /// A pool of the same database whose sessions belong to another role.
    async fn as_role(pool: &PgPool, role: &'static str) -> PgPool {
        let options = pool.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(2).after_connect(move |connection, _| {
            Box::pin(async move {
                let statement = sqlx::AssertSqlSafe(format!("set session authorization {role}"));
                sqlx::query(statement).execute(connection).await.map(drop)
            })
        });
        pool.connect_with(options).await.expect("a pool")
    }

    async fn agency_with_price(pool: &PgPool, model: &str, input: Decimal, clock: &dyn Clock) -> AgencyId {
        let agency = AgencyId::at(clock.now());
        sqlx::query("insert into agencies (id, name) values ($1, 'A')")
            .bind(agency)
            .execute(pool)
            .await
            .expect("an agency");
        sqlx::query(
            "insert into prices (id, agency_id, provider, model, effective_from, input, output, source)
             values ($1, $2, 'acme', $3, $4, $5, $5, 'contract')",
        )
        .bind(PriceId::at(clock.now()))
        .bind(agency)
        .bind(model)
        .bind(clock.now())
        .bind(input)
        .execute(pool)
        .await
        .expect("a price");
        agency
    }

    #[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
    async fn the_platforms_file_is_loaded_once(pool: PgPool) {
        let clock = clock();
        let mut connection = pool.acquire().await.expect("a connection");
        let expected = file::platform().expect("the file").len() as u64;
        assert_eq!(load_platform(&mut connection, &*clock).await.expect("loaded"), expected);
        assert_eq!(load_platform(&mut connection, &*clock).await.expect("loaded again"), 0);
        let role: String =
            sqlx::query_scalar("select current_user::text").fetch_one(&mut *connection).await.expect("a role");
        assert_eq!(role, "postgres", "the role is given back");

        let book = PriceBook::load(&as_role(&pool, "teamai_worker").await).await.expect("a book");
        let groq = book.price(AgencyId::at(clock.now()), "groq", "llama-3.1-8b-instant", clock.now()).expect("a price");
        let usage = Usage { input: 1_000_000, output: 1_000_000, ..Usage::default() };
        assert_eq!(groq.cost(&usage), Usd(dec!(0.13)));
        let gemini = book.price(AgencyId::at(clock.now()), "gemini", "gemini-2.5-pro", clock.now()).expect("a price");
        let long = Usage { input: 300_000, ..Usage::default() };
        assert_ne!(gemini.row_for(&long).id(), gemini.id(), "a long prompt has a row of its own");
        assert_eq!(gemini.cost(&long), Usd(dec!(0.75)));
    }

    #[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
    async fn a_stored_price_is_never_changed(pool: PgPool) {
        let clock = clock();
        let mut connection = pool.acquire().await.expect("a connection");
        add(&mut connection, &[new("m", "", dec!(1), &*clock)], &*clock).await.expect("added");
        assert_eq!(add(&mut connection, &[new("m", "", dec!(2), &*clock)], &*clock).await.expect("ignored"), 0);
        let error = sqlx::query("update prices set input = 2").execute(&pool).await.expect_err("a refusal");
        assert_eq!(db::violated_constraint(&error), Some("prices_immutable"));
        assert_eq!(all_visible(&pool).await.expect("rows")[0].rates.input, dec!(1));
    }

    #[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
    async fn an_import_adds_what_differs_and_keeps_a_models_rows_together(pool: PgPool) {
        let clock = clock();
        let mut connection = pool.acquire().await.expect("a connection");
        let mut run = async |long: Decimal| {
            let rows =
                [new("a", "", dec!(1), &*clock), new("b", "", dec!(1), &*clock), new("b", "above_200k", long, &*clock)];
            let added = import(&mut connection, &rows, &*clock).await.expect("imported");
            clock.advance(TimeDelta::hours(1));
            added
        };
        assert_eq!(run(dec!(2)).await, 3);
        assert_eq!(run(dec!(2)).await, 0, "nothing differs");
        assert_eq!(run(dec!(3)).await, 2, "both rows of b, none of a");
        assert_eq!(run(dec!(3)).await, 0, "compared with the newest");
        let book = PriceBook::new(all_visible(&pool).await.expect("rows"));
        let price = book.price(AgencyId::at(clock.now()), "acme", "b", clock.now()).expect("a price");
        assert_eq!(price.cost(&Usage { input: 1_000_000, ..Usage::default() }), Usd(dec!(3)));
    }

    #[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
    async fn workers_see_every_agencys_prices_and_the_api_only_the_platforms(pool: PgPool) {
        let clock = clock();
        let mut connection = pool.acquire().await.expect("a connection");
        add(&mut connection, &[new("m", "", dec!(1), &*clock)], &*clock).await.expect("added");
        let one = agency_with_price(&pool, "m", dec!(2), &*clock).await;
        let two = agency_with_price(&pool, "m", dec!(3), &*clock).await;

        let book = PriceBook::load(&as_role(&pool, "teamai_worker").await).await.expect("a book");
        let input = |agency| book.price(agency, "acme", "m", clock.now()).expect("a price").rates.input;
        assert_eq!([input(one), input(two), input(AgencyId::at(clock.now()))], [dec!(2), dec!(3), dec!(1)]);

        let api = as_role(&pool, "teamai_api").await;
        let refused = PriceBook::load(&api).await.expect_err("a refusal");
        assert_eq!(refused.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(), Some("42501"));
        let visible = all_visible(&api).await.expect("rows");
        assert_eq!(visible.iter().map(Price::agency).collect::<Vec<_>>(), [None]);
        let written =
            import(&mut api.acquire().await.expect("a connection"), &[new("x", "", dec!(1), &*clock)], &*clock).await;
        assert!(written.is_err(), "the API's role must not price");
    }

    #[sqlx::test(migrator = "crate::db::FRESH_SCHEMA")]
    async fn a_new_price_is_seen_without_a_restart(pool: PgPool) {
        let clock = clock();
        let worker = as_role(&pool, "teamai_worker").await;
        let books = PriceBooks::load(worker).await.expect("books");
        let before = books.current();
        let mut connection = pool.acquire().await.expect("a connection");
        add(&mut connection, &[new("m", "", dec!(1), &*clock)], &*clock).await.expect("added");
        books.refresh().await.expect("refreshed");
        let priced = |book: &PriceBook| book.price(AgencyId::at(clock.now()), "acme", "m", clock.now()).is_some();
        assert!(priced(&books.current()));
        assert!(!priced(&before), "whoever holds a book keeps it");
        assert_eq!(books.current().provider_of("m"), Some("acme"));
    }
}
