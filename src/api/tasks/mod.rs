//! `/tasks`: runs of recipes.

pub(super) mod new;
mod refused;
pub(super) mod shown;

use poem::{
    Response,
    http::{HeaderValue, header},
};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Header, Path, Query},
    payload::{Json, Payload},
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
};
use tracing::debug;
use uuid::Uuid;

use self::{
    new::{NewTaskBody, NewTasksBody},
    shown::{Steps, Task, TaskStatus},
};
use super::{
    Member, Problem, Result,
    http::{
        admit,
        body::{Body, LargeBody, OptionalBody},
        json_answer::JsonAnswer,
        page::{Listing, page},
        tags::Tag,
        time::Time,
    },
    need,
};
use crate::{
    base::TaskId,
    db::JsonText,
    tasks::{
        control,
        read::{Filter, OutputFile},
    },
};

/// Of one page.
const MAX_STEPS: u32 = 1_000;

#[derive(ApiResponse)]
enum Accepted {
    /// Durable: the task will reach a terminal status, whatever dies meanwhile.
    #[oai(status = 202)]
    Task(JsonAnswer<Task>, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
enum AllAccepted {
    /// Durable, all of them, in the order of the request.
    #[oai(status = 202)]
    Tasks(JsonAnswer<Listing<Task>>),
}

#[derive(Debug, Default, Object)]
#[oai(deny_unknown_fields)]
struct RetryBody {
    /// A node of the recipe, which runs again with all that comes after it. Without it the
    /// task goes on after its last finished steps.
    #[oai(validator(min_length = 1, max_length = 100))]
    from_node: Option<String>,
}

#[derive(Clone)]
pub struct TasksApi;

#[OpenApi(prefix_path = "/tasks", tag = "Tag::Tasks")]
impl TasksApi {
    /// Run a recipe. Answered once the task is durable; follow it at `Location`.
    ///
    /// With an `Idempotency-Key` the same request within 24 hours gives the same
    /// task; another request with that key is refused.
    #[oai(path = "/", method = "post", operation_id = "run_recipe")]
    async fn run_recipe(
        &self,
        member: Member<need::TasksWrite>,
        #[oai(name = "Idempotency-Key", validator(min_length = 1, max_length = 255))] idempotency_key: Header<
            Option<String>,
        >,
        body: Body<NewTaskBody>,
    ) -> Result<Accepted> {
        let new = new::parse(body.0, idempotency_key.0)?;
        let task = member.state.submitter.submit(member.scope(), new).await?;
        let location = format!("/tasks/{}", task.id);
        Ok(Accepted::Task(JsonAnswer(task.into()), location))
    }

    /// Run up to 1,000 recipes: all tasks are taken, or none.
    ///
    /// Counts as many requests as it has tasks against the rate limits. What is wrong
    /// is named by place, as `tasks[3].inputs.url`.
    #[oai(path = "/batch", method = "post", operation_id = "run_recipes")]
    async fn run_recipes(
        &self,
        member: Member<need::TasksWrite>,
        #[oai(name = "Idempotency-Key", validator(min_length = 1, max_length = 255))] idempotency_key: Header<
            Option<String>,
        >,
        body: LargeBody<NewTasksBody>,
    ) -> Result<AllAccepted> {
        let new = new::parse_all(body.0, idempotency_key.0.as_deref())?;
        admit::more(&member.state, member.scope(), new.len() - 1).await?;
        let tasks = member.state.submitter.submit_all(member.scope(), new).await?;
        Ok(AllAccepted::Tasks(JsonAnswer(Listing {
            items: tasks.into_iter().map(Into::into).collect(),
            next_cursor: None,
        })))
    }

    /// List tasks, newest first.
    #[oai(path = "/", method = "get", operation_id = "list_tasks")]
    #[expect(clippy::too_many_arguments, reason = "each filter is a query parameter")]
    async fn list_tasks(
        &self,
        member: Member<need::TasksRead>,
        status: Query<Option<TaskStatus>>,
        agent_instance_id: Query<Option<Uuid>>,
        /// The recipe's slug.
        #[oai(validator(max_length = 100))]
        recipe: Query<Option<String>>,
        team_id: Query<Option<Uuid>>,
        created_after: Query<Option<Time>>,
        #[oai(validator(max_length = 64))] tag: Query<Option<String>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<JsonAnswer<Listing<Task>>> {
        let filter = Filter {
            status: status.0.map(Into::into),
            agent_instance_id: agent_instance_id.0,
            recipe: recipe.0,
            team_id: team_id.0,
            created_after: created_after.0.map(|time| time.0),
            tag: tag.0,
        };
        let found = member.state.tasks.list(member.scope(), &filter, page(limit, cursor)?).await?;
        Ok(JsonAnswer(Listing::of(found)))
    }

    /// Get a task.
    #[oai(path = "/:id", method = "get", operation_id = "get_task")]
    async fn get_task(&self, member: Member<need::TasksRead>, id: Path<Uuid>) -> Result<JsonAnswer<Task>> {
        let task = member.state.tasks.get(member.scope(), TaskId(id.0)).await?;
        task.map(|task| JsonAnswer(task.into())).ok_or_else(Problem::not_found)
    }

    /// The results of a task's nodes, in the order in which they finished: up to 1,000, and
    /// fewer if they are large.
    #[oai(path = "/:id/steps", method = "get", operation_id = "list_steps")]
    async fn list_steps(
        &self,
        member: Member<need::TasksRead>,
        id: Path<Uuid>,
        #[oai(validator(minimum(value = "1"), maximum(value = "1000")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 512))] cursor: Query<Option<String>>,
    ) -> Result<JsonAnswer<Steps>> {
        let after = cursor.0.map(|cursor| shown::place(&cursor)).transpose()?;
        let limit = limit.0.unwrap_or(MAX_STEPS);
        let found = member.state.tasks.steps(member.scope(), TaskId(id.0), after.as_ref(), limit).await?;
        let (steps, next) = found.ok_or_else(Problem::not_found)?;
        Ok(JsonAnswer(Steps::of(steps, next.as_ref())))
    }

    /// The output of a completed task, with its own content type and file name.
    #[oai(path = "/:id/output", method = "get", operation_id = "get_output")]
    async fn get_output(&self, member: Member<need::TasksRead>, id: Path<Uuid>) -> Result<Output> {
        let found = member.state.tasks.output(member.scope(), TaskId(id.0)).await?.ok_or_else(Problem::not_found)?;
        found.file.map(Output).ok_or_else(|| {
            Problem::conflict(
                "no_output",
                format!("The task is {} and has no output; only completed tasks have one.", found.status),
            )
        })
    }

    /// Run a finished task again, with what it has finished.
    ///
    /// Makes a new task of the same recipe version and inputs, whose `retry_of` is this one.
    /// Finished steps are copied and cost the new task nothing; failed nodes, and with
    /// `from_node` that one, run again, as does all that comes after them. The new task is in
    /// no experiment. If it completes, the recipe's own price is charged for it, as for any
    /// task. One that completed without a failed node needs `from_node`.
    #[oai(path = "/:id/retry", method = "post", operation_id = "retry_task")]
    async fn retry_task(
        &self,
        member: Member<need::TasksWrite>,
        id: Path<Uuid>,
        body: OptionalBody<RetryBody>,
    ) -> Result<Accepted> {
        let from = body.0.from_node;
        let task = member.state.submitter.retry(member.scope(), TaskId(id.0), from.as_deref()).await?;
        let location = format!("/tasks/{}", task.id);
        Ok(Accepted::Task(JsonAnswer(task.into()), location))
    }

    /// Cancel a task. One that is queued ends at once, one that runs stops soon.
    #[oai(path = "/:id/cancel", method = "post", operation_id = "cancel_task")]
    async fn cancel_task(&self, member: Member<need::TasksWrite>, id: Path<Uuid>) -> Result<JsonAnswer<Task>> {
        let id = TaskId(id.0);
        let cancelled = control::cancel(member.scope(), &member.state.pool, id).await?;
        let task = member.state.tasks.get(member.scope(), id).await?.ok_or_else(Problem::not_found)?;
        if !cancelled {
            return Err(Problem::conflict("already_finished", format!("The task is {} already.", task.status)));
        }
        if task.is_open() {
            // Not waited for: the request is in the database, and a Redis that is away only slows it.
            let tickets = member.state.tickets.clone();
            tokio::spawn(async move { tickets.ring_cancel().await.inspect_err(|error| debug!(%error, "not rung")) });
        }
        Ok(JsonAnswer(task.into()))
    }
}

/// An output as a file, whatever its type.
struct Output(OutputFile);

impl poem::IntoResponse for Output {
    fn into_response(self) -> Response {
        let OutputFile { content_type, filename, text, json } = self.0;
        let body = text.or_else(|| json.map(JsonText::into_string)).unwrap_or_default();
        let mut response = Response::builder().content_type(&content_type).body(body);
        let headers = response.headers_mut();
        let disposition = format!("attachment; filename=\"{}\"", ascii(&filename));
        if let Ok(disposition) = HeaderValue::from_str(&disposition) {
            headers.insert(header::CONTENT_DISPOSITION, disposition);
        }
        // A report holds what pages said: it is not to run as a page of ours.
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"),
        );
        response
    }
}

fn ascii(filename: &str) -> String {
    filename.chars().map(|c| if c.is_ascii_graphic() && !"\"\\".contains(c) { c } else { '_' }).collect()
}

impl poem_openapi::ApiResponse for Output {
    fn meta() -> MetaResponses {
        let text =
            |content_type| MetaMediaType { content_type, schema: <String as poem_openapi::types::Type>::schema_ref() };
        let json = MetaMediaType {
            content_type: Json::<serde_json::Value>::CONTENT_TYPE,
            schema: Json::<serde_json::Value>::schema_ref(),
        };
        MetaResponses {
            responses: vec![MetaResponse {
                description: "The output, as the recipe's format and file name say.",
                status: Some(200),
                status_range: None,
                content: vec![text("text/markdown"), text("text/html"), text("text/csv"), text("text/plain"), json],
                headers: vec![],
            }],
        }
    }

    fn register(_: &mut Registry) {}
}
