//! The operator's connection: as the migrating role, for every agency where that is asked.

use anyhow::Context;
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use crate::{
    cli::{database, migrate},
    config::Config,
};

/// A connection as the migrating role.
pub async fn connect(config: &Config) -> anyhow::Result<PgConnection> {
    migrate::connect(migrate::owner(config)).await
}

/// A transaction that sees and writes every agency's rows.
pub async fn across_agencies(connection: &mut PgConnection) -> anyhow::Result<Transaction<'_, Postgres>> {
    let mut tx = connection.begin().await?;
    act_for_all(&mut tx).await?;
    Ok(tx)
}

/// For the rest of the transaction, sees and writes every agency's rows.
pub async fn act_for_all(tx: &mut PgConnection) -> anyhow::Result<()> {
    database::cross_tenants(tx).await.context(
        "this role may not act for every agency; set TEAMAI_DATABASE__OWNER_URL to the role that ran `teamai migrate`",
    )
}
