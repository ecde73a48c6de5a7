//! Results of nodes with `cache:`, kept in Redis for other runs of the agency. Redis may
//! lose them, refuse them or be away: then the node simply runs.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{AsyncCommands, aio::ConnectionManager};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tracing::warn;

use crate::{
    catalog::{content_hash, model::Node},
    components::Runtime,
};

/// A result larger than this, as JSON, is not kept.
const MAX_BYTES: usize = 1024 * 1024;
/// With what is around it, and a byte more.
const MAX_INDEX: isize = MAX_BYTES.cast_signed() + 16;
/// Kept no longer, whatever the recipe says.
const LONGEST: Duration = Duration::from_hours(30 * 24);
/// A Redis that does not answer must not hold up a node.
const PATIENCE: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_secs(5);

pub struct Kept {
    redis: ConnectionManager,
    /// Until when Redis is not asked, after it did not answer.
    not_before: Mutex<Option<Instant>>,
}

/// Where a result is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    key: String,
    ttl: Duration,
}

impl Slot {
    /// The place of a node's result, if it may be kept at all. What was got with a secret
    /// may not: another team's agent has no right to it. The key holds a hash alone.
    #[must_use]
    pub fn of(
        node: &Node,
        config: &Map<String, Value>,
        runtime: &Runtime,
        inputs: &Map<String, Value>,
    ) -> Option<Self> {
        let ttl = node.cache.as_ref()?.ttl.get().min(LONGEST);
        if !node.secrets.is_empty() || !node.spec().is_some_and(|spec| spec.is_cacheable) {
            return None;
        }
        // What components take from elsewhere where their config does not say it.
        let by_default = json!([runtime.default_provider, runtime.default_model, inputs.get("website_url")]);
        let content = json!([env!("CARGO_PKG_VERSION"), node.component, config, by_default]);
        let key = format!("{{teamai}}:cache:{}:{}", runtime.agency_id.0.simple(), hex::encode(content_hash(&content)));
        Some(Self { key, ttl })
    }
}

/// As it lies in Redis. What does not read as this was not put there by us, and is a miss.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Laid<T> {
    result: T,
}

impl Kept {
    #[must_use]
    pub fn new(redis: ConnectionManager) -> Self {
        Self { redis, not_before: Mutex::new(None) }
    }

    pub async fn get(&self, slot: &Slot) -> Option<Value> {
        let mut redis = self.redis.clone();
        // A byte more than was put is enough to see that it is another's.
        let found: Vec<u8> = self.within(redis.getrange(&slot.key, 0, MAX_INDEX)).await?;
        serde_json::from_slice(&found).ok().map(|laid: Laid<Value>| laid.result)
    }

    /// `text` is the result as JSON.
    pub async fn put(&self, slot: &Slot, text: &str) {
        if text.len() > MAX_BYTES {
            return;
        }
        let ms = u64::try_from(slot.ttl.as_millis()).unwrap_or(u64::MAX);
        let mut redis = self.redis.clone();
        let laid = format!(r#"{{"result":{text}}}"#);
        let _: Option<()> = self.within(redis.pset_ex(&slot.key, laid, ms)).await;
    }

    async fn within<T>(&self, command: impl Future<Output = Result<T, redis::RedisError>>) -> Option<T> {
        if self.not_before().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        match tokio::time::timeout(PATIENCE, command).await {
            Ok(Ok(answer)) => return Some(answer),
            // Redis is there; the result takes the place of what is.
            Ok(Err(error)) if error.code() == Some("WRONGTYPE") => return None,
            Ok(Err(error)) => warn!(%error, "the cache of results is away"),
            Err(_) => warn!("the cache of results does not answer"),
        }
        *self.not_before() = Some(Instant::now() + PAUSE);
        None
    }

    fn not_before(&self) -> MutexGuard<'_, Option<Instant>> {
        self.not_before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{AgencyId, AgentId, RecipeId, TaskId, TeamId};

    fn runtime(agency: u128) -> Runtime {
        Runtime {
            task_id: TaskId(uuid::Uuid::from_u128(1)),
            agency_id: AgencyId(uuid::Uuid::from_u128(agency)),
            team_id: TeamId(uuid::Uuid::from_u128(2)),
            agent_instance_id: AgentId(uuid::Uuid::from_u128(3)),
            recipe_id: RecipeId(uuid::Uuid::from_u128(4)),
            now: String::new(),
            default_provider: None,
            default_model: None,
        }
    }

    fn node(more: &Value) -> Node {
        let mut node = json!({"id": "a", "component": "WebCrawler", "cache": {"ttl": "1h"}});
        for (key, value) in more.as_object().unwrap() {
            node[key] = value.clone();
        }
        serde_json::from_value(node).unwrap()
    }

    fn slot(node: &Node, agency: u128, config: &Value, inputs: &Value) -> Option<Slot> {
        Slot::of(node, config.as_object().unwrap(), &runtime(agency), inputs.as_object().unwrap())
    }

    #[test]
    fn equal_work_of_one_agency_has_one_place_and_any_difference_another() {
        let plain = node(&json!({}));
        let one = slot(&plain, 1, &json!({"a": 1, "b": 2}), &json!({})).unwrap();
        assert_eq!(slot(&plain, 1, &json!({"b": 2, "a": 1}), &json!({"x": 1})).unwrap(), one);
        for other in [
            slot(&plain, 2, &json!({"a": 1, "b": 2}), &json!({})),
            slot(&plain, 1, &json!({"a": 1, "b": 3}), &json!({})),
            slot(&plain, 1, &json!({"a": 1, "b": 2}), &json!({"website_url": "https://a.example"})),
            slot(&node(&json!({"component": "Transform"})), 1, &json!({"a": 1, "b": 2}), &json!({})),
        ] {
            assert_ne!(other.unwrap().key, one.key);
        }
    }

    #[test]
    fn what_must_not_be_kept_has_no_place() {
        for more in [
            json!({"cache": null}),
            json!({"secrets": {"api_key": "secret:key"}}),
            json!({"component": "ReportGenerator"}),
            json!({"component": "Approval"}),
        ] {
            assert_eq!(slot(&node(&more), 1, &json!({}), &json!({})), None, "{more}");
        }
        let year = node(&json!({"cache": {"ttl": "365d"}}));
        assert_eq!(slot(&year, 1, &json!({}), &json!({})).unwrap().ttl, LONGEST);
    }
}
