//! One request of the simulator, from its path to its answer.

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use poem::{
    Body, IntoResponse, Request, Response,
    http::{Method, StatusCode, header},
};
use serde_json::{Value, json};

use super::{
    asked::Asked,
    keys::{BAD_KEY, Rates},
    log::{Line, Log, mark},
    openai,
    protocol::Protocol,
    script::{self, Act, Answer, Plan, Script},
};

const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
/// Repeats the key, as OpenAI does.
const INCORRECT: &str = "Incorrect API key provided: bad-key";
/// A caller that waits longer than this has gone.
const HANG: Duration = Duration::from_hours(24);

#[derive(Debug)]
pub struct Shared {
    pub script: Script,
    pub log: Log,
    pub rates: Rates,
}

pub async fn handle(shared: &Shared, mut request: Request) -> Result<Response, Infallible> {
    let path = request.uri().path().to_owned();
    if *request.method() == Method::GET {
        return Ok(match path.as_str() {
            "/" | "/healthz" => json_answer(StatusCode::OK, "", &json!({"status": "ok"})),
            _ if path.ends_with("/models") || path.ends_with("/key") => key_check(&request),
            _ => json_answer(StatusCode::NOT_FOUND, "", &openai::refusal("not_found", "no such path")),
        });
    }
    let Some(protocol) = Protocol::of(&path) else {
        return Ok(json_answer(StatusCode::NOT_FOUND, "", &openai::refusal("not_found", "no such path")));
    };
    let key = key(&request);
    let body = request.take_body().into_bytes_limit(MAX_BODY_BYTES).await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let asked = protocol.asked(&body);
    let id = shared.log.next_request_id();
    let turn = Turn { protocol, path, body, key, id };
    Ok(match asked {
        _ if turn.key.as_deref() == Some(BAD_KEY) => {
            turn.refuse(shared, asked.ok().as_ref(), 401, "invalid_api_key", INCORRECT)
        }
        _ if turn.key.as_deref().is_some_and(|key| shared.rates.exceeds(key)) => {
            turn.refuse(shared, asked.ok().as_ref(), 429, "rate_limit_exceeded", "this key calls too often")
        }
        Err(wrong) => turn.refuse(shared, None, 400, "invalid_request_error", &wrong),
        Ok(asked) => turn.play(shared, &asked).await,
    })
}

/// A request that was understood.
struct Turn {
    protocol: Protocol,
    path: String,
    body: Value,
    key: Option<String>,
    id: String,
}

impl Turn {
    async fn play(&self, shared: &Shared, asked: &Asked) -> Response {
        let Plan { delay, act } = shared.script.plan(&asked.question());
        let answer = script::answer(&asked.question());
        // The line is written before any wait: whoever is gone afterwards was here.
        let (outcome, status) = match act {
            Act::Refuse(status, code) => {
                let message = format!("scripted refusal: {code}");
                return self.refuse(shared, Some(asked), status, code, &message);
            }
            Act::Answer | Act::Trickle(_) => ("answered", Some(200)),
            Act::Hang => ("hang", None),
            Act::Cut(_) => ("cut", Some(200)),
            Act::Stall => ("stall", Some(200)),
            Act::Malformed | Act::BrokenEvent => ("malformed", Some(200)),
            Act::WrongType => ("wrong_type", Some(200)),
        };
        self.log(shared, Some(asked), status, (act != Act::Hang).then_some(&answer), outcome);
        tokio::time::sleep(if act == Act::Hang { HANG } else { delay }).await;
        let pieces = if asked.stream {
            self.protocol.stream(asked, &self.body, &answer, &self.id)
        } else {
            vec![self.protocol.answer(asked, &self.body, &answer, &self.id).to_string()]
        };
        let kind = if asked.stream { "text/event-stream" } else { "application/json" };
        match act {
            Act::Cut(after) => self.cut(kind, &pieces.concat(), after),
            Act::Stall => self.respond(kind, stalled(&pieces.concat())),
            Act::Trickle(wait) => self.respond(kind, spoken(pieces, wait)),
            Act::BrokenEvent if asked.stream => {
                let half = pieces.len() / 2;
                let broken = pieces.into_iter().take(half).chain(["data: {\"half\n\n".to_owned()]);
                self.respond(kind, Body::from(broken.collect::<String>()))
            }
            Act::Malformed => {
                let text = pieces.concat();
                let half = text.floor_char_boundary(text.len() / 2);
                self.respond("application/json", Body::from_string(text[..half].to_owned()))
            }
            Act::WrongType => self.respond("text/html", Body::from("<html><body>Sign in to the network</body></html>")),
            _ => self.respond(kind, spoken(pieces, Duration::ZERO)),
        }
    }

    fn refuse(&self, shared: &Shared, asked: Option<&Asked>, status: u16, code: &str, message: &str) -> Response {
        self.log(shared, asked, Some(status), None, "refused");
        let body = self.protocol.refusal(status, code, message);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json_answer(status, &self.id, &body);
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }

    /// So much of the answer, then a broken connection: the server closes it when
    /// the body ends before its announced length. (An error in the body would not
    /// do; poem ends such a body as if it were whole.)
    fn cut(&self, kind: &'static str, text: &str, after: Option<usize>) -> Response {
        let length = text.len();
        let end = after.unwrap_or(length / 2).min(length.saturating_sub(1));
        let begun = Bytes::copy_from_slice(&text.as_bytes()[..end]);
        let body = Body::from_bytes_stream(stream::iter([Ok::<_, io::Error>(begun)]));
        self.respond(kind, body).with_header(header::CONTENT_LENGTH, length).into_response()
    }

    fn respond(&self, content_type: &'static str, body: Body) -> Response {
        with_id(Response::builder().content_type(content_type).body(body), &self.id)
    }

    fn log(
        &self,
        shared: &Shared,
        asked: Option<&Asked>,
        status: Option<u16>,
        answer: Option<&Answer>,
        outcome: &'static str,
    ) {
        let usage = answer.map(|answer| answer.usage);
        let line = Line {
            protocol: self.protocol.name(),
            path: &self.path,
            model: asked.map(|asked| asked.model.as_str()),
            request_id: &self.id,
            key: self.key.as_deref().map(mark),
            question: asked.map(|asked| mark(&asked.prompt)),
            stream: asked.is_some_and(|asked| asked.stream),
            replies: asked.map_or(0, |asked| asked.replies),
            status,
            input_tokens: usage.map_or(0, |u| u.input + u.cache_read + u.cache_write_5m + u.cache_write_1h),
            output_tokens: usage.map_or(0, |u| u.output + u.reasoning),
            usage,
            outcome,
        };
        if let Err(error) = shared.log.write(&line) {
            tracing::error!(%error, "the simulator's log cannot be written");
        }
    }
}

/// Half of a text, and a connection that stays open.
fn stalled(text: &str) -> Body {
    let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    Body::from_bytes_stream(stream::iter([Ok::<_, io::Error>(half)]).chain(stream::pending()))
}

/// Pieces, with a wait before each.
fn spoken(pieces: Vec<String>, wait: Duration) -> Body {
    let pieces = stream::iter(pieces).then(move |piece| async move {
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok::<_, io::Error>(Bytes::from(piece))
    });
    Body::from_bytes_stream(pieces)
}

/// The list of models, for whoever has a good key or none. Not in the log, which
/// is of what is charged.
fn key_check(request: &Request) -> Response {
    if key(request).as_deref() == Some(BAD_KEY) {
        return json_answer(StatusCode::UNAUTHORIZED, "", &openai::refusal("invalid_api_key", INCORRECT));
    }
    json_answer(StatusCode::OK, "", &openai::models())
}

/// The key, in whichever header its protocol has for it.
fn key(request: &Request) -> Option<String> {
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    bearer.or_else(|| request.header("x-api-key")).or_else(|| request.header("x-goog-api-key")).map(str::to_owned)
}

fn json_answer(status: StatusCode, id: &str, body: &Value) -> Response {
    let response = Response::builder().status(status).content_type("application/json").body(body.to_string());
    with_id(response, id)
}

fn with_id(response: Response, id: &str) -> Response {
    if id.is_empty() {
        return response;
    }
    response.with_header("x-request-id", id).with_header("request-id", id).into_response()
}
