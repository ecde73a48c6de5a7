//! What a stranger writes neither ends nor silences the process: it is refused, or it ends its own task.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::Customer,
    stack::{Process, Stack},
};

/// By the clock; builds for tests are slower, and others run beside them.
const LATEST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });
const PROMPT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 100 });
const MOST_MIB: u64 = 300;

/// The most memory that a process has had so far.
fn highest_mib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn recipe(id: &str, node: &Value) -> String {
    let recipe = json!({"recipe": {
        "id": id, "name": id, "cookbook": "seo-specialist-v1", "version": "1.0", "inputs": [],
        "workflow": {"nodes": [{"id": "numbers", "component": "Transform", "config": {"value": (0..2_000).collect::<Vec<u32>>()}}, node]},
    }});
    recipe.to_string()
}

fn rendered(text: &str) -> Value {
    json!({"id": "hostile", "component": "Transform", "depends_on": ["numbers"], "config": {"value": text}})
}

/// Asks `/healthz` all the time; gives the longest that it took.
fn watch(base: &str, over: &Arc<AtomicBool>) -> tokio::task::JoinHandle<Duration> {
    let (url, over) = (format!("{base}/healthz"), Arc::clone(over));
    tokio::spawn(async move {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let mut longest = Duration::ZERO;
        while !over.load(Ordering::Relaxed) {
            let asked = Instant::now();
            assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
            longest = longest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        longest
    })
}

/// Each is refused with words, or published and ends its task with words; meanwhile another
/// agency's tasks run through.
async fn withstands(root: &PgPool, nodes: Vec<Value>) {
    let stack = Stack::start(root, &[]).await;
    let worker = stack.worker();
    let (hostile, honest) = (Customer::new(&stack, "hostile").await, Customer::new(&stack, "honest").await);
    honest.publish(&recipe("plain", &rendered("{{ numbers | sum }}"))).await;
    let over = Arc::new(AtomicBool::new(false));
    let watch = watch(&stack.base, &over);
    for (index, node) in nodes.iter().enumerate() {
        let id = format!("hostile-{index}");
        let yaml = recipe(&id, node);
        let shown: String = node.to_string().chars().take(200).collect();
        let beside = honest.submit(honest.task("plain", json!({}))).await;
        let began = Instant::now();
        let judged = hostile.post_yaml("/recipes/validate", &yaml).await;
        assert!(began.elapsed() < LATEST, "{shown} was judged for {:?}", began.elapsed());
        let published = hostile.post_yaml("/recipes", &yaml).await;
        let is_valid = judged.expect(200)["valid"].as_bool();
        assert_eq!(is_valid, Some(published.status == 201), "{shown}: {}", published.text);
        if published.status == 201 {
            let began = Instant::now();
            let task = hostile.run(hostile.task(&id, json!({}))).await;
            assert!(began.elapsed() < LATEST, "{shown} ran for {:?}", began.elapsed());
            assert_eq!(task["status"], "failed", "{shown}: {task}");
            assert!(
                task["error"]["message"].as_str().is_some_and(|words| words.len() > 20),
                "{shown}: {}",
                task["error"]
            );
        } else {
            let problem = published.problem(422, "invalid_recipe");
            assert!(
                problem["errors"][0]["message"].as_str().is_some_and(|words| words.len() > 20),
                "{shown}: {problem}"
            );
        }
        assert_eq!(honest.finished(&beside).await["status"], "completed", "beside {shown}");
    }
    over.store(true, Ordering::Relaxed);
    let longest = watch.await.unwrap();
    assert!(longest < PROMPT, "/healthz took {longest:?}");
    for (name, process) in [("the API", &stack.api), ("the worker", &worker)] {
        let highest = highest_mib(process);
        assert!(highest < MOST_MIB, "{name} had {highest} MiB");
    }
}

/// Each of these ended the process, by overflowing a stack.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn chains_end_no_process(root: PgPool) {
    let long = |before: &str, link: &str, after: &str| format!("{before}{}{after}", link.repeat(5_000));
    let mut nodes: Vec<Value> = [
        long("{{ ", "-", "1 }}"),
        long("{{ numbers", ".x", " }}"),
        long("{{ 'a'", "|upper", " }}"),
        long("{% if 0 %}", "{% elif 0 %}", "{% endif %}"),
        long("{{ ", "[", " }}"),
        long("{{ 1", " if 1 else 1", " }}"),
        long("{{ 1", " ~ 1", " }}"),
        long("x", "{% if 1 %}", ""),
        long("x", "{% for a in numbers %}", ""),
    ]
    .iter()
    .map(|text| rendered(text))
    .collect();
    for (key, text) in [("when", long("", "not ", "1")), ("for_each", long("numbers", "[0]", ""))] {
        let mut node = rendered("x");
        node[key] = json!(text);
        nodes.push(node);
    }
    withstands(&root, nodes).await;
}

/// Each of these never ended, or took gigabytes.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn growing_lists_end_their_own_task(root: PgPool) {
    let begin = "{% set a = numbers %}".to_owned();
    let nodes = [
        begin.clone() + &"{% set a = a + a %}".repeat(40) + "{{ a | length }}",
        "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}"
            .to_owned(),
        "x{{ [numbers, numbers] | sum(start=[]) }}".to_owned(),
        "x{{ range(90000) | list | tojson(indent=8000) }}".to_owned(),
        "{#} {% raw %} #}{% set a = 'x' %}".to_owned() + &"{% set a = [a, a] %}".repeat(40) + "{{ a ~ '' }}",
        "{{ ('}}', [{'%}': 1}]) }}{% set a = 'x' %}".to_owned() + &"{% set a = ([a, a]) %}".repeat(40) + "{{ a }}",
        begin + "{% set b = a | list %}{% for i in range(90000) %}{% if a == b %}{% endif %}{% endfor %}",
        "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}".to_owned(),
        "x{{ 'a' * 90000000 }}".to_owned(),
        "{% set a = 'a' * 99 %}".to_owned() + &"{% set a = a ~ a %}".repeat(40) + "{{ a }}",
    ];
    withstands(&root, nodes.iter().map(|text| rendered(text)).collect()).await;
}
