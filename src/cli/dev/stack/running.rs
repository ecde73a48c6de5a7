//! The private stack, from its start to its end.

use std::path::{Path, PathBuf};

use super::{
    keys::Keys,
    options::Options,
    place::{self, Place},
    postgres, redis,
    server::Server,
    watchdog::Watchdog,
};
use crate::cli::env::Env;

/// A running Postgres and Redis. Dropping it ends both in the background; `stop` waits.
#[derive(Debug)]
pub struct Stack {
    pub(super) place: Place,
    keys: Keys,
    postgres: Server,
    redis: Server,
    watchdog: Watchdog,
}

impl Stack {
    /// Starts both servers and waits until they answer.
    ///
    /// # Errors
    /// A server is not installed or does not come up; the error says what to install or shows its log.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let place = place::choose(options.data_dir.as_deref())?;
        let mut watchdog = Watchdog::start()?;
        if place.temporary {
            watchdog.remove_at_the_end(&place.dir).await?;
        }
        let keys = Keys::load_or_make(&place.dir.join("keys.json"))?;
        let redis = redis::start(&place, &keys, &mut watchdog).await?;
        let postgres = postgres::start(options, &place, &keys, &mut watchdog).await?;
        Ok(Self { place, keys, postgres, redis, watchdog })
    }

    /// Ends both servers in good order and removes what was temporary.
    ///
    /// # Errors
    /// The processes cannot be waited for.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let watchdog = self.watchdog.finish();
        let (ended, _, _) = tokio::join!(watchdog, self.postgres.child.wait(), self.redis.child.wait());
        ended
    }

    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.place.dir
    }

    #[must_use]
    pub fn postgres_pid(&self) -> u32 {
        self.postgres.pid
    }

    #[must_use]
    pub fn redis_pid(&self) -> u32 {
        self.redis.pid
    }

    #[must_use]
    pub fn redis_url(&self) -> String {
        redis::url(&self.keys, self.redis.port)
    }

    /// The superuser's URL of one database: `postgres` is there from the start.
    #[must_use]
    pub fn superuser_url(&self, database: &str) -> String {
        self.url("postgres", &self.keys.owner_password, database)
    }

    /// The database that `dev` makes; the roles come with the migrations.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.url("teamai_api", &self.keys.api_password, DATABASE)
    }

    /// Every variable by which a process joins this stack. The roles' passwords
    /// hold once `migrate` has run with these.
    #[must_use]
    pub fn env(&self) -> Env {
        let worker_url = self.url("teamai_worker", &self.keys.worker_password, DATABASE);
        [
            ("DATABASE_URL", self.database_url()),
            ("TEAMAI_DATABASE__WORKER_URL", worker_url),
            ("TEAMAI_DATABASE__OWNER_URL", self.superuser_url(DATABASE)),
            ("REDIS_URL", self.redis_url()),
            ("TEAMAI_LOCKER__ROOT_KEY", self.keys.root_key.clone()),
            ("TEAMAI_AUTH__SIGNING_KEY", self.keys.signing_key.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.postgres.port)
    }
}

/// A program that comes with Postgres, where it is installed.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    postgres::program(name)
}

/// The database of the private stack.
pub const DATABASE: &str = "teamai";
