//! `/tasks/{id}/feedback`: what people say of a result.

use poem_openapi::{Object, OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use super::{
    Member, Problem, Result,
    http::{body::Body, tags::Tag},
    need,
    tasks::shown::usd,
};
use crate::{
    base::TaskId,
    tasks::feedback::{self, Given, Score},
};

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct FeedbackBody {
    /// From 0, useless, to 1, perfect.
    #[oai(validator(minimum(value = "0"), maximum(value = "1")))]
    quality_score: f64,
    #[oai(validator(min_length = 1, max_length = 2000))]
    comment: Option<String>,
}

#[derive(Debug, Object)]
struct Feedback {
    task_id: Uuid,
    /// A decimal string.
    quality_score: String,
    comment: Option<String>,
    /// Whether it counts in the task's experiment: if it is in one, and no judge of its
    /// recipe has scored it.
    counted: bool,
}

#[derive(Clone)]
pub struct FeedbackApi;

#[OpenApi(prefix_path = "/tasks", tag = "Tag::Tasks")]
impl FeedbackApi {
    /// Say how good a task's result is. The last word counts.
    #[oai(path = "/:id/feedback", method = "post", operation_id = "give_feedback")]
    async fn give_feedback(
        &self,
        member: Member<need::TasksWrite>,
        id: Path<Uuid>,
        body: Body<FeedbackBody>,
    ) -> Result<Json<Feedback>> {
        let FeedbackBody { quality_score, comment } = body.0;
        let score =
            Score::parse(quality_score).ok_or_else(|| Problem::invalid("quality_score", "must be between 0 and 1"))?;
        let task = TaskId(id.0);
        let given = feedback::give(member.scope(), &member.state.pool, task, score, comment.as_deref()).await?;
        match given {
            Given::Unknown => Err(Problem::not_found()),
            Given::NotFinished => Err(Problem::conflict(
                "no_result",
                "The task has no result that could be rated; completed and failed tasks have one.",
            )),
            Given::Kept { counted } => {
                Ok(Json(Feedback { task_id: id.0, quality_score: usd(score.get()), comment, counted }))
            }
        }
    }
}
