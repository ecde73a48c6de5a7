//! A whole installation for one test: its own database and Redis, and real processes of the binary.

use std::{
    collections::BTreeMap,
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::ExposeSecret;
use sqlx::{ConnectOptions, PgPool};
use teamai::{auth, base::SystemClock, billing, catalog};
use tempfile::TempDir;

/// Long enough for a machine that compiles at the same time.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Postgres, Redis and the API; workers are started by the test. All processes end with it.
pub struct Stack {
    /// As a superuser, for looking behind the API.
    pub root: PgPool,
    pub redis: Redis,
    /// Where the API answers.
    pub base: String,
    env: BTreeMap<String, String>,
    started: AtomicUsize,
    pub api: Process,
    pub dir: TempDir,
}

impl Stack {
    /// Starts Redis and the API with the catalogue that is shipped. `settings` are
    /// variables for every process.
    pub async fn start(root: &PgPool, settings: &[(&str, &str)]) -> Self {
        load_catalogue(root).await;
        let dir = tempfile::tempdir().unwrap();
        let redis = Redis::start(dir.path()).await;
        let mut env = BTreeMap::from([
            ("DATABASE_URL".to_owned(), url_as(root, "teamai_api")),
            ("TEAMAI_DATABASE__WORKER_URL".to_owned(), url_as(root, "teamai_worker")),
            ("TEAMAI_DATABASE__MAX_CONNECTIONS".to_owned(), "6".to_owned()),
            ("REDIS_URL".to_owned(), redis.url()),
            ("TEAMAI_LOCKER__ROOT_KEY".to_owned(), BASE64_STANDARD.encode([7; 32])),
            ("TEAMAI_AUTH__SIGNING_KEY".to_owned(), auth::keys::generate_pem().unwrap().expose_secret().to_owned()),
            ("TEAMAI_HTTP__BIND".to_owned(), "127.0.0.1:0".to_owned()),
            ("RUST_LOG".to_owned(), "info,teamai=debug,sqlx::postgres::notice=warn".to_owned()),
        ]);
        env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let api = Process::start(dir.path(), "api", &["api"], &env);
        let base = answers_at(&api).await;
        Self { root: root.clone(), redis, base, env, started: AtomicUsize::new(0), api, dir }
    }

    /// A worker. Tasks that wait are its own from when it is up.
    pub fn worker(&self) -> Process {
        let name = format!("worker-{}", self.started.fetch_add(1, Ordering::Relaxed) + 1);
        Process::start(self.dir.path(), &name, &["worker"], &self.env)
    }

    /// One more API of the installation, and where it answers.
    pub async fn another_api(&self) -> (Process, String) {
        let name = format!("api-{}", self.started.fetch_add(1, Ordering::Relaxed) + 1);
        let api = Process::start(self.dir.path(), &name, &["api"], &self.env);
        let base = answers_at(&api).await;
        (api, base)
    }

    /// A worker with settings of its own.
    pub fn worker_with(&self, settings: &[(&str, &str)]) -> Process {
        self.worker_of(Path::new(env!("CARGO_BIN_EXE_teamai")), settings)
    }

    /// A worker of another build.
    pub fn worker_of(&self, program: &Path, settings: &[(&str, &str)]) -> Process {
        let name = format!("worker-{}", self.started.fetch_add(1, Ordering::Relaxed) + 1);
        let mut command = Command::new(program);
        command.arg("worker").env_clear().envs(self.env_with(settings)).current_dir(self.dir.path());
        Process::spawn(self.dir.path(), &name, &mut command)
    }

    /// Runs a command of the operator's to its end, as the migrating role.
    pub fn command(&self, arguments: &[&str], settings: &[(&str, &str)]) -> std::process::Output {
        let owner = self.root.connect_options().to_url_lossy();
        let mut command = Command::new(env!("CARGO_BIN_EXE_teamai"));
        command.args(arguments).env_clear().envs(self.env_with(settings)).current_dir(self.dir.path());
        command.env("TEAMAI_DATABASE__OWNER_URL", owner.as_str()).output().unwrap()
    }

    fn env_with(&self, settings: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        env
    }

    /// Makes the open tasks' tickets old, so that the dispatcher need not be waited for.
    pub async fn age_tickets(&self) {
        sqlx::query("update task_queue set dispatched_at = now() - interval '1 hour' where finished_at is null")
            .execute(&self.root)
            .await
            .unwrap();
    }

    /// The scripted models have a price as `openai`'s too. For workers that start later.
    pub async fn price_of_scripted_openai(&self) {
        sqlx::query(
            "insert into prices (id, provider, model, effective_from, input, output, source)
             values (gen_random_uuid(), 'openai', 'scripted-*', '2025-01-01', 1, 1, 'a test')",
        )
        .execute(&self.root)
        .await
        .unwrap();
    }

    /// The only number that the query gives.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.root).await.unwrap()
    }
}

async fn answers_at(api: &Process) -> String {
    eventually("the API says where it answers", async || {
        api.log().lines().find_map(|line| Some(line.split_once("the API answers at ")?.1.trim().to_owned()))
    })
    .await
}

/// The recipes of the repository and the prices of the binary, as `teamai catalog load` would.
async fn load_catalogue(root: &PgPool) {
    let mut connection = root.acquire().await.unwrap();
    billing::store::load_platform(&mut connection, &SystemClock).await.unwrap();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    catalog::load::load_dir(root, &recipes, &catalog::components::exists, &SystemClock).await.unwrap();
}

/// The superuser's URL with the rights of one of the serving roles.
pub fn url_as(root: &PgPool, role: &str) -> String {
    let options = root.connect_options();
    let mut url = options.to_url_lossy();
    url.query_pairs_mut().append_pair("options[role]", role);
    url.into()
}

/// A running process. It is killed when dropped, and its log shown if the test failed.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn start(dir: &Path, name: &str, args: &[&str], env: &BTreeMap<String, String>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_teamai"));
        // Nothing of the developer's own: neither variables nor a teamai.toml.
        command.args(args).env_clear().envs(env).current_dir(dir);
        Self::spawn(dir, name, &mut command)
    }

    pub fn spawn(dir: &Path, name: &str, command: &mut Command) -> Self {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Everything that it has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A line of its status, `VmRSS:` (now) or `VmHWM:` (at its highest). `None`: it has ended.
    pub fn memory_mib(&self, line: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|found| found.strip_prefix(line))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024)
    }

    pub fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.child.id().to_string()];
        assert!(Command::new("kill").args(arguments).status().unwrap().success());
    }

    /// Ends it without a chance to tidy up.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and gives its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.ended().await
    }

    /// Waits until it has ended and gives its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let ended = eventually("the process ends", async || self.child.try_wait().unwrap()).await;
        ended.code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.name, self.log());
        }
    }
}

/// A Redis of the test's own, as tickets travel under one fixed name.
pub struct Redis {
    port: u16,
    dir: PathBuf,
    process: Option<Process>,
}

impl Redis {
    pub async fn start(dir: &Path) -> Self {
        // The port may be taken between the look and the start.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut redis = Self { port, dir: dir.to_owned(), process: None };
            if redis.up().await {
                return redis;
            }
        }
        panic!("redis-server does not start");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it, empty, at its port. Says whether it answers.
    pub async fn up(&mut self) -> bool {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port]);
        let mut process = Process::spawn(&self.dir, "redis", command.current_dir(&self.dir));
        let client = redis::Client::open(self.url()).unwrap();
        let up = eventually("Redis answers or ends", async || {
            if process.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            redis::cmd("PING").exec_async(&mut connection).await.ok().map(|()| true)
        })
        .await;
        self.process = Some(process);
        up
    }

    /// Holds it still, so that it takes connections and does not answer, or lets it go on.
    pub fn hold(&self, still: bool) {
        self.process.as_ref().unwrap().signal(if still { "STOP" } else { "CONT" });
    }

    /// Ends it, with everything that it held.
    pub fn down(&mut self) {
        self.process = None;
    }

    /// Every key with its value, in the form in which Redis would write it to a file, and in plain.
    pub async fn dump(&self) -> String {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
        let mut text = String::new();
        for key in keys {
            text.push_str(&String::from_utf8_lossy(&key));
            for command in [
                ["DUMP"].as_slice(),
                &["GET"],
                &["HGETALL"],
                &["LRANGE", "0", "-1"],
                &["SMEMBERS"],
                &["ZRANGE", "0", "-1"],
                &["XRANGE", "-", "+"],
            ] {
                let mut command_line = redis::cmd(command[0]);
                command_line.arg(&key).arg(&command[1..]);
                // Of the commands for each type, all but one are refused.
                let value: redis::RedisResult<redis::Value> = command_line.query_async(&mut connection).await;
                text.extend(value.map(|value| plain(&value)));
            }
        }
        text
    }

    pub async fn run(&self, command: &str) {
        self.command(&[command]).await;
    }

    /// Sends a command with its arguments.
    pub async fn command(&self, words: &[&str]) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd(words[0]).arg(&words[1..]).exec_async(&mut connection).await.unwrap();
    }
}

fn plain(value: &redis::Value) -> String {
    match value {
        redis::Value::BulkString(bytes) => format!(" {}", String::from_utf8_lossy(bytes)),
        redis::Value::Array(items) | redis::Value::Set(items) => items.iter().map(plain).collect(),
        redis::Value::Map(pairs) => pairs.iter().map(|(key, value)| plain(key) + &plain(value)).collect(),
        other => format!(" {other:?}"),
    }
}

/// Waits, with a bound, until there is an answer, and gives it.
#[track_caller]
pub fn eventually<T>(what: &str, mut answer: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let give_up = Instant::now() + PATIENCE;
    async move {
        loop {
            if let Some(answer) = answer().await {
                return answer;
            }
            assert!(Instant::now() < give_up, "not within {} s: {what}", PATIENCE.as_secs());
            tokio::time::sleep(PAUSE).await;
        }
    }
}
