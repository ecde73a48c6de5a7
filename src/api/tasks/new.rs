//! The body of `POST /tasks`, and its parsing.

use poem_openapi::{Object, types::Any};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    api::{
        Result,
        http::{check::Check, time::Time},
    },
    base::AgentId,
    tasks::submit::NewTask,
};

const DEFAULT_PRIORITY: i16 = 5;
const MAX_TAGS: usize = 20;
const MAX_TAG_CHARS: usize = 64;
const MAX_SUBJECT_CHARS: usize = 255;

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct NewTaskBody {
    pub agent_instance_id: Uuid,
    /// A recipe's id or slug. A slug means the newest release, or what its experiment assigns.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub recipe: String,
    /// A published version of the slug.
    #[oai(validator(max_length = 64))]
    pub version: Option<String>,
    /// As the recipe's `inputs` declare them. At most 256 KiB.
    pub inputs: Option<Any<Map<String, Value>>>,
    /// 0 to 9, higher is sooner; 5 unless given.
    #[oai(validator(minimum(value = "0"), maximum(value = "9")))]
    pub priority: Option<i16>,
    /// Not before this time, at most 366 days from now; at once unless given.
    pub run_at: Option<Time>,
    /// Whom the run is for: an experiment gives the same subject the same version. At most 255 characters.
    #[oai(validator(max_length = 255))]
    pub subject: Option<String>,
    /// At most 20, each of at most 64 characters.
    #[oai(validator(max_items = 20, max_length = 64))]
    pub tags: Option<Vec<String>>,
}

/// Tasks of a batch.
pub const MAX_BATCH: usize = 1_000;

/// All of them are taken, or none.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct NewTasksBody {
    /// 1 to 1,000 bodies as of POST /tasks.
    #[oai(validator(min_items = 1, max_items = 1000))]
    tasks: Vec<NewTaskBody>,
}

/// # Errors
/// 422 with everything that is out of bounds.
pub fn parse(body: NewTaskBody, idempotency_key: Option<String>) -> Result<NewTask> {
    let mut check = Check::default();
    let new = task(&mut check, "", body, idempotency_key);
    check.finish()?;
    Ok(new)
}

/// # Errors
/// 422 with everything that is out of bounds, by place.
pub fn parse_all(body: NewTasksBody, idempotency_key: Option<&str>) -> Result<Vec<NewTask>> {
    let mut check = Check::default();
    check.field(
        "tasks",
        within((1..=MAX_BATCH).contains(&body.tasks.len()), format!("must have 1 to {MAX_BATCH} items")),
    );
    let parsed = body.tasks.into_iter().enumerate();
    let parsed = parsed
        .map(|(place, body)| task(&mut check, &format!("tasks[{place}]."), body, idempotency_key.map(str::to_owned)))
        .collect();
    check.finish()?;
    Ok(parsed)
}

/// `prefix` leads to the body in the request.
fn task(check: &mut Check, prefix: &str, body: NewTaskBody, idempotency_key: Option<String>) -> NewTask {
    let mut field = |path: &str, fits: bool, remedy: String| {
        check.field(&format!("{prefix}{path}"), within(fits, remedy));
    };
    let priority = body.priority.unwrap_or(DEFAULT_PRIORITY);
    field("priority", (0..=9).contains(&priority), "must be between 0 and 9".to_owned());
    let tags = body.tags.unwrap_or_default();
    field("tags", tags.len() <= MAX_TAGS, format!("must be at most {MAX_TAGS}"));
    for (index, tag) in tags.iter().enumerate() {
        let remedy = format!("must have 1 to {MAX_TAG_CHARS} printable characters");
        field(&format!("tags[{index}]"), printable(tag, MAX_TAG_CHARS), remedy);
    }
    if let Some(subject) = &body.subject {
        let remedy = format!("must have 1 to {MAX_SUBJECT_CHARS} printable characters");
        field("subject", printable(subject, MAX_SUBJECT_CHARS), remedy);
    }
    let recipe = body.recipe.trim().to_owned();
    field("recipe", !recipe.is_empty(), "must be a recipe's id or slug".to_owned());
    NewTask {
        agent_instance_id: AgentId(body.agent_instance_id),
        recipe,
        version: body.version,
        inputs: body.inputs.map(|inputs| inputs.0).unwrap_or_default(),
        priority,
        run_at: body.run_at.map(|time| time.0),
        subject: body.subject,
        tags,
        idempotency_key,
    }
}

fn printable(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn within(fits: bool, remedy: impl Into<String>) -> std::result::Result<(), String> {
    if fits { Ok(()) } else { Err(remedy.into()) }
}
