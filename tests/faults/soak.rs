//! All faults mixed by the seed, under the load of several agencies. `make soak` gives it its time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::LocalBoxFuture;

use super::{
    api_killed,
    bench::Bench,
    checker::Findings,
    clock_off, disk_full, everything_killed,
    honest::{self, Honest},
    poison,
    postgres::Postgres,
    postgres_gone, provider_faults,
    random::{Random, setting},
    redis_gone, rolling, tickets, worker_killed, worker_paused,
};

/// As a part of all tests.
const SHORT: Duration = Duration::from_secs(30);
/// From then on things stay away for up to 30 s.
const LONG: Duration = Duration::from_mins(5);

const WORKERS: usize = 3;

type Fault = for<'a> fn(&'a mut Bench) -> LocalBoxFuture<'a, ()>;
/// Name, fault, and how often it is in one round.
type Listed = (&'static str, Fault, usize);

const CLOCKS: &str = "workers' clocks ten minutes off";
const DISK: &str = "Postgres without room on its disk";

const FAULTS: [Listed; 30] = [
    ("worker killed in a step", |b| Box::pin(async move { worker_killed::mid_step(b) }), 4),
    ("worker killed before the commit", |b| Box::pin(worker_killed::between_answer_and_commit(b)), 3),
    ("task that takes its worker down each time", |b| Box::pin(poison::one_more(b)), 1),
    ("worker paused past its lease", |b| Box::pin(worker_paused::past_its_lease(b)), 2),
    (CLOCKS, |b| Box::pin(async move { _ = clock_off::ten_minutes(b) }), 1),
    ("API killed before the push", |b| Box::pin(api_killed::between_commit_and_push(b)), 2),
    ("every process killed", |b| Box::pin(everything_killed::at_once(b)), 1),
    ("rolling restart", |b| Box::pin(rolling::restart(b)), 1),
    ("Redis flushed", |b| Box::pin(redis_gone::flushed(b)), 2),
    ("Redis restarted empty", |b| Box::pin(redis_gone::restarted_empty(b)), 2),
    ("Redis stopped", |b| Box::pin(redis_gone::stopped(b)), 1),
    ("Redis stalled", |b| Box::pin(redis_gone::stalled(b)), 1),
    ("Redis cut off", |b| Box::pin(redis_gone::cut_off(b)), 1),
    ("Postgres killed at commit", |b| Box::pin(postgres_gone::killed_at_commit_in_a_loop(b)), 3),
    ("Postgres stopped", |b| Box::pin(postgres_gone::stopped(b)), 1),
    ("Postgres connections cut", |b| Box::pin(postgres_gone::connections_cut(b)), 2),
    (DISK, |b| Box::pin(async move { _ = disk_full::full(b).await }), 2),
    ("Postgres answers lost", |b| Box::pin(postgres_gone::answers_lost(b)), 3),
    ("Postgres cut off", |b| Box::pin(postgres_gone::cut_off(b)), 1),
    ("Postgres connections dead without a word", |b| Box::pin(postgres_gone::connections_buried(b)), 1),
    ("provider silent", |b| Box::pin(provider_faults::silent(b)), 1),
    ("provider connections reset", |b| Box::pin(provider_faults::reset(b)), 2),
    ("provider answers truncated", |b| Box::pin(provider_faults::truncated(b)), 2),
    ("provider trickles", |b| Box::pin(provider_faults::trickling(b)), 1),
    ("provider late", |b| Box::pin(provider_faults::late(b)), 1),
    ("provider refuses connections", |b| Box::pin(provider_faults::refusing(b)), 1),
    ("provider killed", |b| Box::pin(provider_faults::killed(b)), 1),
    ("tickets repeated twenty times", |b| Box::pin(tickets::repeated(b)), 1),
    ("hostile ones alone, and the times of others", |b| Box::pin(honest::measured(b)), 3),
    ("garbage tickets", |b| Box::pin(tickets::garbage(b)), 1),
];

#[tokio::test]
async fn all_faults_mixed_lose_nothing_and_count_nothing_twice() {
    let seconds = setting("TEAMAI_SOAK_SECONDS").map(|seconds| seconds.parse().expect("a number of seconds"));
    let time = seconds.map_or(SHORT, Duration::from_secs);
    // The rows take a tenth of it.
    let megabytes = 1024 + time.as_secs() / 2;
    let mut bench = Bench::on(Postgres::on_small_disk(megabytes).await, WORKERS, 4).await;
    bench.hurry = false;
    // Tasks that lost all claims but one to what was away go one by one.
    bench.patience = Duration::from_mins(5);
    bench.honest = Some(Honest::new(&bench.stack, &bench.load).await);
    let stop = Arc::new(AtomicU64::new(0));
    // All the time, whatever else is wrong.
    let hostile = honest::hostile_ones(&bench.stack, &bench.load, &stop).await;
    let models = [provider_faults::MODELS.as_slice(), &["scripted-small", "scripted-slow-900"].repeat(12)].concat();
    let submitting: Vec<_> = (0..4)
        .map(|_| {
            let random = bench.random.fork();
            let pause = Duration::from_millis(400);
            tokio::spawn(bench.load.clone().keep_going(models.clone(), pause, random, Arc::clone(&stop)))
        })
        .collect();
    let faults = inflict(&mut bench, time).await;
    honest::measured(&mut bench).await;
    stop.store(1, Ordering::Relaxed);
    for agency in submitting.into_iter().chain(hostile) {
        agency.await.unwrap();
    }
    let mut findings = bench.settled().await;
    for promise in honest::broken(&bench) {
        findings.broken(promise);
    }
    report(&bench, time, &faults, &findings);
    assert!(findings.broken.is_empty(), "seed {}:\n{:#?}", bench.random.seed, findings.broken);
}

/// What this machine can do.
fn possible(bench: &Bench) -> Vec<&'static Listed> {
    let small_disk = bench.postgres.as_ref().is_some_and(|postgres| postgres.disk().is_some());
    let missing = [(CLOCKS, clock_off::can_be()), (DISK, small_disk)];
    let missing: Vec<_> = missing.into_iter().filter(|(_, can_be)| !can_be).map(|(name, _)| name).collect();
    for name in &missing {
        println!("NOT TRIED: {name}");
    }
    FAULTS.iter().filter(|(name, ..)| !missing.contains(name)).collect()
}

/// Every fault as often as it weighs, in an order of chance.
fn round(faults: &[&'static Listed], random: &mut Random) -> Vec<&'static Listed> {
    let mut left: Vec<_> = faults.iter().flat_map(|fault| std::iter::repeat_n(*fault, fault.2)).collect();
    let mut round = Vec::new();
    while !left.is_empty() {
        let nth = random.within(0..=u64::try_from(left.len() - 1).unwrap());
        round.push(left.swap_remove(usize::try_from(nth).unwrap()));
    }
    round
}

/// One fault after the other, with a breath in between, until the time is up.
async fn inflict(bench: &mut Bench, time: Duration) -> BTreeMap<&'static str, u32> {
    let mut inflicted = BTreeMap::new();
    let faults = possible(bench);
    let mut next = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        if next.is_empty() {
            next = round(&faults, &mut bench.random);
        }
        let Some((name, fault, _)) = next.pop() else { break };
        let longest = if time >= LONG { 30_000 } else { 2_000 };
        bench.away = Duration::from_millis(bench.random.within(500..=longest));
        println!("{:>4} s before the end: {name}", end.saturating_duration_since(Instant::now()).as_secs());
        bench.note_memory();
        fault(bench).await;
        bench.note_memory();
        while bench.workers.len() < WORKERS {
            bench.hire();
        }
        *inflicted.entry(*name).or_default() += 1;
        let breath = bench.random.within(0..=1_500);
        tokio::time::sleep(Duration::from_millis(breath)).await;
    }
    inflicted
}

/// As it stands in docs/reliability.md.
fn report(bench: &Bench, time: Duration, faults: &BTreeMap<&'static str, u32>, findings: &Findings) {
    println!("\n| soak of {} s, seed {} | |\n|---|---|\n{findings}", time.as_secs(), bench.random.seed);
    println!("| tasks that took their worker down each time, all `dead` | {} |", bench.poisons.len());
    if let Some(honest) = &bench.honest {
        for (what, times) in [("tasks", &honest.tasks), ("answers of `/healthz`", &honest.health)] {
            println!(
                "| {} {what} beside hostile ones, 99 of 100 within | {} ms |",
                times.len(),
                honest::p99(times).as_millis()
            );
        }
    }
    for (what, mib) in &bench.peaks {
        println!("| most memory of a process ({what}) | {mib} MiB |");
    }
    println!("| processes killed | {} |", bench.kills);
    println!("| faults inflicted | {} |", faults.values().sum::<u32>());
    for (name, times) in faults {
        println!("| {name} | {times} |");
    }
    let mut outcomes = BTreeMap::<String, u32>::new();
    for request in bench.provider.requests() {
        let status = request["status"].as_u64().map_or(String::new(), |status| format!(" {status}"));
        let way = if request["stream"] == true { ", streamed" } else { "" };
        *outcomes.entry(format!("{}{status}{way}", request["outcome"].as_str().unwrap())).or_default() += 1;
    }
    for (outcome, times) in outcomes {
        println!("| provider: {outcome} | {times} |");
    }
}
