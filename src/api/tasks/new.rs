//! The body of `POST /tasks`, and its parsing.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::Any};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    api::{Result, check::Check},
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
    /// Not before this time; at once unless given.
    pub run_at: Option<DateTime<Utc>>,
    /// Whom the run is for: an experiment gives the same subject the same version. At most 255 characters.
    #[oai(validator(max_length = 255))]
    pub subject: Option<String>,
    /// At most 20, each of at most 64 characters.
    #[oai(validator(max_items = 20, max_length = 64))]
    pub tags: Option<Vec<String>>,
}

/// # Errors
/// 422 with everything that is out of bounds.
pub fn parse(body: NewTaskBody, idempotency_key: Option<String>) -> Result<NewTask> {
    let mut check = Check::default();
    let priority = body.priority.unwrap_or(DEFAULT_PRIORITY);
    check.field("priority", within((0..=9).contains(&priority), "must be between 0 and 9"));
    let tags = body.tags.unwrap_or_default();
    check.field("tags", within(tags.len() <= MAX_TAGS, format!("must be at most {MAX_TAGS}")));
    for (index, tag) in tags.iter().enumerate() {
        let fits = (1..=MAX_TAG_CHARS).contains(&tag.chars().count()) && !tag.chars().any(char::is_control);
        check.field(
            &format!("tags[{index}]"),
            within(fits, format!("must have 1 to {MAX_TAG_CHARS} printable characters")),
        );
    }
    if let Some(subject) = &body.subject {
        let fits = (1..=MAX_SUBJECT_CHARS).contains(&subject.chars().count()) && !subject.chars().any(char::is_control);
        check.field("subject", within(fits, format!("must have 1 to {MAX_SUBJECT_CHARS} printable characters")));
    }
    let recipe = body.recipe.trim().to_owned();
    check.field("recipe", within(!recipe.is_empty(), "must be a recipe's id or slug"));
    check.finish()?;
    Ok(NewTask {
        agent_instance_id: AgentId(body.agent_instance_id),
        recipe,
        version: body.version,
        inputs: body.inputs.map(|inputs| inputs.0).unwrap_or_default(),
        priority,
        run_at: body.run_at,
        subject: body.subject,
        tags,
        idempotency_key,
    })
}

fn within(fits: bool, remedy: impl Into<String>) -> std::result::Result<(), String> {
    if fits { Ok(()) } else { Err(remedy.into()) }
}
