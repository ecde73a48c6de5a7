//! The whole API as one endpoint, the frame around the resources.

use std::sync::Arc;

use bytes::Bytes;
use poem::{Endpoint, EndpointExt, IntoResponse, Response, Route, endpoint::make_sync};

use super::{
    health,
    http::{docs, document, frame, gate, idempotency, security, state::ApiState},
    resources,
};

/// The whole API as one endpoint: resources, documents, health and metrics.
#[must_use]
pub fn routes(state: ApiState) -> impl Endpoint<Output = Response> + 'static {
    let service = resources::service();
    let spec = document::complete(&service.spec());
    let operations = Arc::new(document::Operations::read(&spec));
    let gate = gate::Gate {
        operations: Arc::clone(&operations),
        limiter: state.limiter.clone(),
        trusted_proxies: Arc::clone(&state.trusted_proxies),
    };
    let schema = Arc::clone(&state.recipe_schema);
    let frame = frame::Frame(state.browsers.clone());
    let state = Arc::new(state);
    Route::new()
        .at("/healthz", poem::get(health::healthz))
        .at("/readyz", poem::get(health::readyz).data(Arc::clone(&state)))
        .at("/metrics", poem::get(health::metrics).data(Arc::clone(&state)))
        .at("/openapi.json", poem::get(json_text(Bytes::from(spec))))
        .at("/schemas/recipe.json", poem::get(json_text(Bytes::copy_from_slice(schema.as_bytes()))))
        .nest("/docs", Route::new().at("/", docs::page(service.swagger_ui_html())))
        .nest(
            "/",
            idempotency::Idempotent::new(service.data(security::Attached(Arc::clone(&state))), state, operations),
        )
        .with(gate)
        .with(frame)
}

fn json_text(text: Bytes) -> impl Endpoint {
    make_sync(move |_| text.clone().with_content_type("application/json").into_response())
}
