//! A whole installation whose every connection goes through a proxy and whose every process can be killed.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use sqlx::PgPool;

use super::{
    checker::{self, Findings},
    honest::Honest,
    load::Load,
    postgres::{Postgres, free_port},
    provider::Provider,
    proxy::Proxy,
    random::Random,
};
use crate::stack::{Process, Stack, eventually, url_as};

/// The shortest that the configuration allows.
pub const LEASE: Duration = Duration::from_secs(5);

pub struct Bench {
    pub stack: Stack,
    /// Straight to Postgres, as a superuser.
    pub root: PgPool,
    /// Where Postgres is the bench's own.
    pub postgres: Option<Postgres>,
    pub net: Net,
    pub provider: Provider,
    pub workers: Vec<Process>,
    pub load: Load,
    pub random: Random,
    /// How long something stays away.
    pub away: Duration,
    /// Tasks that brought their worker down each time: they have to end as dead.
    pub poisons: Vec<String>,
    /// Processes that were killed.
    pub kills: u32,
    /// A run that has not come to rest by then has lost something.
    pub patience: Duration,
    /// Whether tickets are made old while that is waited for: the dispatcher's patience
    /// with a ticket is not what most tests try.
    pub hurry: bool,
    /// Whose times are taken beside hostile ones.
    pub honest: Option<Honest>,
    /// For how long at a time.
    pub calm: Duration,
    /// The most memory that a process had, by kind, in MiB.
    pub peaks: BTreeMap<&'static str, u64>,
}

/// The connections between the processes.
pub struct Net {
    pub api_postgres: Proxy,
    pub worker_postgres: Proxy,
    pub api_redis: Proxy,
    pub worker_redis: Proxy,
    pub provider: Proxy,
}

impl Bench {
    /// On a database of a Postgres that is shared with other tests.
    pub async fn start(root: &PgPool) -> Self {
        Self::build(root.clone(), None, 2, 1).await
    }

    /// With a Postgres that may be killed.
    pub async fn alone(workers: usize, agencies: usize) -> Self {
        Self::on(Postgres::start().await, workers, agencies).await
    }

    pub async fn on(postgres: Postgres, workers: usize, agencies: usize) -> Self {
        let root = postgres.migrated().await;
        Self::build(root, Some(postgres), workers, agencies).await
    }

    async fn build(root: PgPool, postgres: Option<Postgres>, workers: usize, agencies: usize) -> Self {
        let random = Random::from_environment();
        println!("seed {} (repeat with TEAMAI_FAULT_SEED={})", random.seed, random.seed);
        let options = root.connect_options();
        let database = SocketAddr::from((Ipv4Addr::LOCALHOST, options.get_port()));
        let provider = Provider::start().await;
        let net = Net {
            api_postgres: Proxy::start(Some(database)).await,
            worker_postgres: Proxy::start(Some(database)).await,
            api_redis: Proxy::start(None).await,
            worker_redis: Proxy::start(None).await,
            provider: Proxy::start(Some(([127, 0, 0, 1], provider.port).into())).await,
        };
        let through = |proxy: &Proxy, role: &str| {
            let mut url: url::Url = url_as(&root, role).parse().unwrap();
            url.set_host(Some("127.0.0.1")).unwrap();
            url.set_port(Some(proxy.address.port())).unwrap();
            // The role's own setting, which only a login as that role would bring.
            url.query_pairs_mut().append_pair("options[idle_in_transaction_session_timeout]", "30s");
            url.to_string()
        };
        let settings = [
            ("DATABASE_URL", through(&net.api_postgres, "teamai_api")),
            ("TEAMAI_DATABASE__WORKER_URL", through(&net.worker_postgres, "teamai_worker")),
            ("REDIS_URL", format!("redis://{}", net.api_redis.address)),
            ("TEAMAI_HTTP__BIND", format!("127.0.0.1:{}", free_port())),
            ("TEAMAI_PROVIDERS__OPENAI__BASE_URL", format!("http://{}/v1", net.provider.address)),
            ("TEAMAI_LEASE__SECONDS", LEASE.as_secs().to_string()),
            ("TEAMAI_WORKER__DRAIN_SECONDS", "3".to_owned()),
            ("TEAMAI_LIMITS__USER_PER_MINUTE", "1000000".to_owned()),
            ("TEAMAI_LIMITS__AGENCY_PER_MINUTE", "1000000".to_owned()),
            ("TEAMAI_LIMITS__ADDRESS_PER_MINUTE", "1000000".to_owned()),
            ("RUST_LOG", "info,sqlx=warn".to_owned()),
        ];
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let stack = Stack::start(&root, &settings).await;
        let redis: url::Url = stack.redis.url().parse().unwrap();
        for proxy in [&net.api_redis, &net.worker_redis] {
            proxy.to((Ipv4Addr::LOCALHOST, redis.port().unwrap()).into());
        }
        stack.price_of_scripted_openai().await;
        let load = Load::new(&stack, agencies).await;
        let mut bench = Self {
            stack,
            root,
            postgres,
            net,
            provider,
            workers: Vec::new(),
            load,
            random,
            away: Duration::from_secs(3),
            poisons: Vec::new(),
            kills: 0,
            patience: Duration::from_mins(2),
            hurry: true,
            honest: None,
            calm: Duration::from_secs(8),
            peaks: BTreeMap::new(),
        };
        for _ in 0..workers {
            bench.hire();
        }
        for worker in &bench.workers {
            is_up(worker).await;
        }
        bench
    }

    /// One more worker.
    pub fn hire(&mut self) {
        self.hire_with(&[]);
    }

    pub fn hire_with(&mut self, settings: &[(&str, &str)]) {
        let worker = self.worker(settings);
        self.workers.push(worker);
    }

    pub fn worker(&self, settings: &[(&str, &str)]) -> Process {
        let redis = format!("redis://{}", self.net.worker_redis.address);
        self.stack.worker_with(&[&[("REDIS_URL", redis.as_str())], settings].concat())
    }

    /// Kills every worker.
    pub fn kill_workers(&mut self) {
        for worker in self.workers.drain(..) {
            worker.kill();
            self.kills += 1;
        }
    }

    /// Takes down the most memory that each process that runs ever had.
    pub fn note_memory(&mut self) {
        let workers = self.workers.iter().map(|worker| ("worker", worker));
        for (what, process) in workers.chain([("API", &self.stack.api)]) {
            let most = self.peaks.entry(what).or_default();
            *most = (*most).max(process.memory_mib("VmHWM:").unwrap_or_default());
        }
    }

    pub async fn kill_api(&mut self) {
        self.stack.api.signal("KILL");
        self.stack.api.ended().await;
        self.kills += 1;
    }

    /// Starts the API again, at its address.
    pub async fn start_api(&mut self) {
        self.stack.api = self.stack.another_api().await.0;
    }

    /// Waits until the provider was asked for the model so often in all.
    pub async fn asked(&self, model: &str, times: usize) {
        eventually("the model is asked", async || (self.times_asked(model) >= times).then_some(())).await;
    }

    pub fn times_asked(&self, model: &str) -> usize {
        self.provider.text().matches(&format!("\"model\":\"{model}\"")).count()
    }

    /// Waits until every task is over, and says what the run came to.
    pub async fn settled(&mut self) -> Findings {
        let give_up = Instant::now() + self.patience;
        let open = "select count(*) from task_queue where finished_at is null";
        let mut aged = Instant::now();
        loop {
            let left: Option<i64> = sqlx::query_scalar(open).fetch_one(&self.root).await.ok();
            if left == Some(0) || Instant::now() > give_up {
                break;
            }
            if self.hurry && aged.elapsed() > Duration::from_secs(2) {
                self.age_tickets().await;
                aged = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.findings().await
    }

    pub async fn age_tickets(&self) {
        let old = "update task_queue set dispatched_at = now() - interval '1 hour' where finished_at is null";
        // A Postgres that is coming up again is asked again.
        sqlx::query(old).execute(&self.root).await.ok();
    }

    pub async fn findings(&self) -> Findings {
        let mut findings = checker::check(&self.root, &self.load.accepted(), &self.provider.requests()).await;
        for (answer, times) in self.load.odd_answers() {
            findings.broken(format!("the API answered {times} times {answer}"));
        }
        let survived = "select id::text from task_queue where id::text = any($1) and status <> 'dead'";
        let survived: Vec<String> =
            sqlx::query_scalar(survived).bind(&self.poisons).fetch_all(&self.root).await.unwrap();
        for poison in survived {
            findings.broken(format!("the task {poison} took its worker down each time and is not dead"));
        }
        findings
    }

    /// Asserts that nothing was lost and nothing counted twice.
    pub async fn holds(&mut self) -> Findings {
        let findings = self.settled().await;
        println!("{findings}");
        assert!(findings.broken.is_empty(), "seed {}:\n{:#?}", self.random.seed, findings.broken);
        findings
    }

    /// Asserts that the checker finds a promise broken, in these words.
    pub async fn breaks(&mut self, words: &str) {
        let findings = self.settled().await;
        println!("{findings}\n{:#?}", findings.broken);
        assert!(findings.broken.iter().any(|broken| broken.contains(words)), "{:#?}", findings.broken);
    }
}

/// Waits until the worker takes tasks.
pub async fn is_up(worker: &Process) {
    eventually("a worker is up", async || worker.log().contains("worker started").then_some(())).await;
}
