//! `/tasks/{id}/events`: what happens to a task, as it happens.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream::BoxStream};
use poem::web::sse;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Header, Path},
    payload::EventStream,
    types::ToJSON,
};
use uuid::Uuid;

use super::{Member, Problem, Result, http::tags::Tag, need};
use crate::{
    base::TaskId,
    events::{self, Event, Follower, TooMany, event},
};

/// Comments keep the connection from being taken for dead on the way.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Something that happened to a task. What a step put out is in GET /tasks/{id}/steps.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
struct TaskEvent {
    /// For `Last-Event-ID`; also the `webhook-id` under which webhooks get this event.
    id: String,
    /// `task.queued`, `task.started`, `task.waiting`, `task.parked`, `task.completed`, `task.failed`,
    /// `task.cancelled`, `task.dead`, `step.started` (of a step that makes calls), `step.completed`,
    /// `step.failed`, `step.skipped`; more may come.
    r#type: String,
    task_id: Uuid,
    created_at: DateTime<Utc>,
    /// Of a task how often it was claimed, of a step how often it was tried.
    attempt: Option<i32>,
    /// The node of a step.
    node_id: Option<String>,
    /// Which item of a node's `for_each`, from 0.
    occurrence: Option<i32>,
    /// As in `error.code` of the task or step.
    error_code: Option<String>,
}

impl From<Event> for TaskEvent {
    fn from(event: Event) -> Self {
        Self {
            id: events::public_id(event.seq),
            r#type: event.kind,
            task_id: event.task_id,
            created_at: event.created_at,
            attempt: event.attempt,
            node_id: event.node_id,
            occurrence: event.occurrence,
            error_code: event.error_code,
        }
    }
}

#[derive(ApiResponse)]
enum Followed {
    /// The events, oldest first, each with `id`, `event` (its type) and `data`. The stream ends with
    /// the task, and when the token is no longer good: go on with a new one after `Last-Event-ID`.
    #[oai(status = 200)]
    Events(EventStream<BoxStream<'static, TaskEvent>>),
    /// The task is over and there is nothing after `Last-Event-ID`: no need to come again.
    #[oai(status = 204)]
    Over,
}

#[derive(Clone)]
pub struct EventsApi;

#[OpenApi(prefix_path = "/tasks", tag = "Tag::Tasks")]
impl EventsApi {
    /// Follow a task by Server-Sent Events, from its first event or after `Last-Event-ID`.
    ///
    /// Events are kept for 30 days. The same API or another may have taken the task: each tells all.
    #[oai(path = "/:id/events", method = "get", operation_id = "follow_task")]
    async fn follow_task(
        &self,
        member: Member<need::TasksRead>,
        id: Path<Uuid>,
        /// The `id` of the last event that was seen.
        #[oai(name = "Last-Event-ID", validator(max_length = 64))]
        last_event_id: Header<Option<String>>,
    ) -> Result<Followed> {
        let (state, task) = (&member.state, TaskId(id.0));
        let after = last_event_id.0.filter(|text| !text.is_empty()).map(|text| place(&text)).transpose()?.unwrap_or(0);
        let found = event::task(member.scope(), &state.pool, task).await?.ok_or_else(Problem::not_found)?;
        let watching = state.streams.watch(member.scope(), task, found.created_at)?;
        if after > 0 {
            let rest = event::after(member.scope(), &state.pool, task, after, 1).await?;
            let rest = rest.ok_or_else(Problem::not_found)?;
            if rest.at_the_end && rest.items.is_empty() {
                return Ok(Followed::Over);
            }
        }
        let follower = Follower {
            pool: state.pool.clone(),
            scope: *member.scope(),
            watching,
            after,
            still_may: Arc::new(member.still_may()),
        };
        let stream = events::follow(follower).map(TaskEvent::from).boxed();
        Ok(Followed::Events(EventStream::new(stream).to_event(sent).keep_alive(KEEP_ALIVE)))
    }
}

fn sent(event: TaskEvent) -> sse::Event {
    sse::Event::message(event.to_json_string()).id(event.id.clone()).event_type(event.r#type)
}

fn place(text: &str) -> Result<i64> {
    let place = events::parse_id(text.trim());
    place.ok_or_else(|| Problem::invalid("Last-Event-ID", "must be the id of an event of this stream, such as evt_42"))
}

impl From<TooMany> for Problem {
    fn from(error: TooMany) -> Self {
        let detail = error.to_string();
        match error {
            TooMany::OfYours | TooMany::OfAgency => Self::too_many_requests("too_many_streams", detail, 5),
            TooMany::OfAll => Self::unavailable("too_many_streams", detail).retry_after(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_sent_with_its_id_and_type_and_without_what_it_has_not() {
        let event = Event {
            seq: 7,
            task_id: Uuid::nil(),
            kind: "task.queued".to_owned(),
            created_at: DateTime::UNIX_EPOCH,
            attempt: Some(0),
            node_id: None,
            occurrence: None,
            error_code: None,
        };
        let text = sent(event.into()).to_string();
        assert!(text.starts_with("id: evt_7\nevent: task.queued\ndata: {"), "{text}");
        assert!(text.ends_with("}\n\n") && !text.contains("node_id") && !text.contains("null"), "{text}");
    }

    #[test]
    fn a_place_that_is_none_is_named() {
        assert_eq!(place("evt_42").unwrap(), 42);
        let problem = place("42").unwrap_err().to_string();
        assert!(problem.contains("Last-Event-ID"), "{problem}");
    }
}
