//! `/webhooks`: where events are sent.

mod shown;

use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use self::shown::{Delivery, Webhook, WebhookBody, WebhookChangeBody, WebhookWithSecret};
use super::{
    Admin, Problem, Result,
    http::{
        body::Body,
        page::{Listing, page},
        tags::Tag,
    },
    need,
};
use crate::{
    base::{DeliveryId, WebhookId},
    webhooks::{deliveries, manage},
};

#[derive(ApiResponse)]
enum Made {
    #[oai(status = 201)]
    New(Json<WebhookWithSecret>, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
enum Deleted {
    #[oai(status = 204)]
    Done,
}

#[derive(ApiResponse)]
enum Queued {
    /// A worker sends it within a moment; see GET /webhooks/{id}/deliveries for what came of it.
    #[oai(status = 202)]
    Delivery(Json<Delivery>),
}

#[derive(Clone)]
pub struct WebhooksApi;

#[OpenApi(prefix_path = "/webhooks", tag = "Tag::Webhooks")]
impl WebhooksApi {
    /// List the agency's webhooks.
    #[oai(path = "/", method = "get", operation_id = "list_webhooks")]
    async fn list_webhooks(
        &self,
        admin: Admin<need::WebhooksRead>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Webhook>>> {
        Ok(Json(Listing::of(manage::list(admin.scope(), &admin.state.pool, page(limit, cursor)?).await?)))
    }

    /// Make a webhook. Its secret is shown this once.
    ///
    /// Events are sent to it as `{type, timestamp, data}` with POST, by the Standard Webhooks
    /// specification: `webhook-id` is the event's id and stays the same in every attempt, so that what
    /// comes twice can be told; `webhook-signature` is verified with the secret. Any status of 2xx within
    /// 15 seconds means that it arrived. Otherwise it is sent again, nine times in 30 hours. The order of
    /// events is not promised. `data` names the task and holds neither its inputs nor its output.
    #[oai(path = "/", method = "post", operation_id = "create_webhook")]
    async fn create_webhook(&self, admin: Admin<need::WebhooksWrite>, body: Body<WebhookBody>) -> Result<Made> {
        let state = &admin.state;
        let new = shown::new(&body.0, &state.egress)?;
        let made = manage::create(admin.scope(), &state.pool, &state.locker, &new, state.clock.now()).await?;
        let location = format!("/webhooks/{}", made.0.id);
        Ok(Made::New(Json(WebhookWithSecret::new(made.0, &made.1)), location))
    }

    /// Get a webhook.
    #[oai(path = "/:id", method = "get", operation_id = "get_webhook")]
    async fn get_webhook(&self, admin: Admin<need::WebhooksRead>, id: Path<Uuid>) -> Result<Json<Webhook>> {
        let found = manage::get(admin.scope(), &admin.state.pool, WebhookId(id.0)).await?;
        found.map(|webhook| Json(webhook.into())).ok_or_else(Problem::not_found)
    }

    /// Change a webhook, or switch it off and on. What is left out stays as it is.
    #[oai(path = "/:id", method = "patch", operation_id = "change_webhook")]
    async fn change_webhook(
        &self,
        admin: Admin<need::WebhooksWrite>,
        id: Path<Uuid>,
        body: Body<WebhookChangeBody>,
    ) -> Result<Json<Webhook>> {
        let change = shown::change(&body.0, &admin.state.egress)?;
        let changed = manage::change(admin.scope(), &admin.state.pool, WebhookId(id.0), &change).await?;
        changed.map(|webhook| Json(webhook.into())).ok_or_else(Problem::not_found)
    }

    /// Delete a webhook. What waits to be sent is not sent any more.
    #[oai(path = "/:id", method = "delete", operation_id = "delete_webhook")]
    async fn delete_webhook(&self, admin: Admin<need::WebhooksWrite>, id: Path<Uuid>) -> Result<Deleted> {
        let deleted = manage::delete(admin.scope(), &admin.state.pool, WebhookId(id.0)).await?;
        if deleted { Ok(Deleted::Done) } else { Err(Problem::not_found()) }
    }

    /// Give a webhook a new secret, shown this once. For 24 hours deliveries are signed with the one before, too.
    #[oai(path = "/:id/rotate-secret", method = "post", operation_id = "rotate_webhook_secret")]
    async fn rotate_webhook_secret(
        &self,
        admin: Admin<need::WebhooksWrite>,
        id: Path<Uuid>,
    ) -> Result<Json<WebhookWithSecret>> {
        let (state, id) = (&admin.state, WebhookId(id.0));
        let rotated = manage::rotate_secret(admin.scope(), &state.pool, &state.locker, id, state.clock.now()).await?;
        let (webhook, secret) = rotated.ok_or_else(Problem::not_found)?;
        Ok(Json(WebhookWithSecret::new(webhook, &secret)))
    }

    /// Send a webhook an event of the type `webhook.test`, signed as any other.
    #[oai(path = "/:id/test", method = "post", operation_id = "test_webhook")]
    async fn test_webhook(&self, admin: Admin<need::WebhooksWrite>, id: Path<Uuid>) -> Result<Queued> {
        let (state, delivery) = (&admin.state, DeliveryId::at(admin.state.clock.now()));
        let made = deliveries::test(admin.scope(), &state.pool, WebhookId(id.0), delivery).await?;
        made.map(|delivery| Queued::Delivery(Json(delivery.into()))).ok_or_else(Problem::not_found)
    }

    /// List what was and is to be sent to a webhook, newest first. Kept for 30 days.
    #[oai(path = "/:id/deliveries", method = "get", operation_id = "list_deliveries")]
    async fn list_deliveries(
        &self,
        admin: Admin<need::WebhooksRead>,
        id: Path<Uuid>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Delivery>>> {
        let page = page(limit, cursor)?;
        let found = deliveries::deliveries(admin.scope(), &admin.state.pool, WebhookId(id.0), page).await?;
        Ok(Json(Listing::of(found.ok_or_else(Problem::not_found)?)))
    }

    /// Send a delivery again, at once, whatever came of it, under the same event id.
    #[oai(path = "/:id/deliveries/:delivery_id/replay", method = "post", operation_id = "replay_delivery")]
    async fn replay_delivery(
        &self,
        admin: Admin<need::WebhooksWrite>,
        id: Path<Uuid>,
        delivery_id: Path<Uuid>,
    ) -> Result<Queued> {
        let (webhook, delivery) = (WebhookId(id.0), DeliveryId(delivery_id.0));
        let queued = deliveries::replay(admin.scope(), &admin.state.pool, webhook, delivery).await?;
        queued.map(|delivery| Queued::Delivery(Json(delivery.into()))).ok_or_else(Problem::not_found)
    }
}
