//! What people say of a task's result.

use rust_decimal::Decimal;
use sqlx::PgPool;

use super::read::team_bound;
use crate::{
    base::{TaskId, TenantScope},
    db,
};

/// 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Score(Decimal);

impl Score {
    /// Decimals that the database keeps.
    const SCALE: u32 = 10;

    /// `None` if it is not from 0 to 1.
    #[must_use]
    pub fn parse(score: f64) -> Option<Self> {
        let score = Decimal::from_f64_retain(score)?.round_dp(Self::SCALE).normalize();
        (Decimal::ZERO..=Decimal::ONE).contains(&score).then_some(Self(score))
    }

    #[must_use]
    pub fn get(self) -> Decimal {
        self.0
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// There is no such task.
    Unknown,
    /// The task has no result: it runs, or it was cancelled or is dead.
    NotFinished,
    /// `counted`: it is the score of the task's result in its experiment.
    Kept { counted: bool },
}

/// Keeps it in the place of what was said before.
///
/// # Errors
/// The database is unavailable.
pub async fn give(
    scope: &TenantScope,
    pool: &PgPool,
    task: TaskId,
    given: Score,
    comment: Option<&str>,
) -> Result<Given, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let outcome = sqlx::query_scalar!(
        r#"select app.rate_task($1, $2, $3, $4, $5) as "outcome!""#,
        task.0,
        team_bound(scope),
        scope.user_id().map(|id| id.0),
        given.get(),
        comment,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(match outcome.as_str() {
        "counted" => Given::Kept { counted: true },
        "kept" => Given::Kept { counted: false },
        "not_finished" => Given::NotFinished,
        _ => Given::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_from_0_to_1() {
        for (given, kept) in [(0.0, "0"), (1.0, "1"), (0.1, "0.1"), (0.75, "0.75"), (1e-12, "0")] {
            assert_eq!(Score::parse(given).unwrap().get().to_string(), kept);
        }
        for given in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            assert_eq!(Score::parse(given), None, "{given}");
        }
    }
}
