//! Binding secrets that have no hosts yet, in the transaction that publishes a recipe.

use sqlx::PgConnection;

use super::{Locker, LockerError, aad, seal, store, written};
use crate::base::{AgencyId, SecretHost, SecretId, TeamId};

/// A secret that a recipe names, locked until its transaction ends.
#[derive(Debug, Clone)]
pub struct Bindable {
    pub id: SecretId,
    pub key_name: String,
    /// `None` for the whole agency's.
    pub team_id: Option<TeamId>,
    /// Where it may be sent: nowhere while there is none.
    pub hosts: Vec<SecretHost>,
}

/// The secrets of these names, the agency's and every team's, by name and id. `tx` is in
/// the agency's context.
///
/// # Errors
/// The database is unavailable.
pub async fn bindable(tx: &mut PgConnection, names: &[String]) -> Result<Vec<Bindable>, LockerError> {
    let rows = store::lock_named(tx, names).await?;
    let found = rows.into_iter().map(|row| Bindable {
        id: row.id,
        key_name: row.key_name,
        team_id: row.team_id,
        hosts: row.hosts.iter().filter_map(|host| SecretHost::parse(host).ok()).collect(),
    });
    Ok(found.collect())
}

impl Locker {
    /// Gives a secret that is locked and has no hosts its first ones: the value is sealed with them anew.
    ///
    /// # Errors
    /// The stored value cannot be opened; the database is unavailable.
    pub async fn bind(
        &self,
        tx: &mut PgConnection,
        agency: AgencyId,
        secret: SecretId,
        hosts: &[SecretHost],
    ) -> Result<(), LockerError> {
        let old = store::sealed(tx, secret).await?;
        let (hosts, key) = (written(hosts), self.unwrap(agency, &old.key)?);
        let value = self.open_bytes(agency, &old)?;
        let sealed = seal::seal(&key, &aad(agency, old.id, old.version, old.key.version, &hosts), &value)?;
        store::bind(tx, &old, &hosts, &sealed).await
    }

    /// To be called when secrets of this agency were bound: what was read of them before is not believed any more.
    pub fn were_bound(&self, agency: AgencyId) {
        self.sealed.forget(|(of, ..), _| *of == agency);
    }
}
