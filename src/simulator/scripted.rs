//! The script's door inside the process: no socket, no key, nothing reached.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{
    asked::pieces,
    keys::BAD_KEY,
    openai,
    script::{self, Act, Question, Script},
};
use crate::providers::{
    Completion, ErrorKind, Heard, Provider, ProviderError, Request, Turn,
    asked::Asked,
    classify,
    openai::{Dialect, OpenAi},
    protocol::{Protocol, Reply},
};

const NAME: &str = "scripted";

/// Answers by [`script`]; faults as a caller would meet them over HTTP.
#[derive(Debug, Default)]
pub struct Scripted(Script);

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &'static str {
        NAME
    }

    fn needs_key(&self) -> bool {
        false
    }

    async fn complete(
        &self,
        request: &Request,
        _key: Option<&SecretString>,
        heard: &Heard,
    ) -> Result<Completion, ProviderError> {
        let conversation = (!request.turns.is_empty()).then(|| whole(request));
        let question = question(request, conversation.as_deref());
        let asked = Asked { provider: NAME, model: &request.model, key: None };
        // Over HTTP such a name stands in for a real model; here there is none to stand in for.
        let plan = if request.model.starts_with("scripted-") {
            self.0.plan(&question)
        } else {
            script::Plan { delay: Duration::ZERO, act: Act::Refuse(404, "model_not_found") }
        };
        if !plan.delay.is_zero() && timeout(request.timeout, sleep(plan.delay)).await.is_err() {
            return Err(late(request.timeout));
        }
        match plan.act {
            Act::Answer => answer(asked, &question),
            Act::Trickle(wait) => {
                let answered = answer(asked, &question)?;
                for piece in pieces(&answered.content) {
                    timeout(request.timeout, sleep(wait)).await.map_err(|_| late(request.timeout))?;
                    heard.text(&piece);
                }
                Ok(answered)
            }
            Act::Refuse(status, code) => Err(refuse(asked, status, code)),
            Act::Hang => {
                sleep(request.timeout).await;
                Err(late(request.timeout))
            }
            Act::Stall => {
                half_heard(&question, heard);
                sleep(request.timeout).await;
                Err(late(request.timeout))
            }
            Act::Cut(_) => {
                half_heard(&question, heard);
                Err(classify::unreadable(NAME, "broke the connection after the request was sent", None))
            }
            Act::Malformed | Act::BrokenEvent => {
                Err(classify::unreadable(NAME, "sent an answer that is not valid JSON", None))
            }
            Act::WrongType => Err(classify::unreadable(NAME, "answered with text/html instead of JSON", None)),
        }
    }

    async fn check_key(&self, key: &SecretString) -> Result<(), ProviderError> {
        let asked = Asked { provider: NAME, model: "", key: Some(key) };
        if key.expose_secret() == BAD_KEY { Err(refuse(asked, 401, "invalid_api_key")) } else { Ok(()) }
    }
}

/// All that was said, as the simulator reads it out of a request's messages.
fn whole(request: &Request) -> String {
    let turns = request.turns.iter().map(Turn::text);
    std::iter::once(request.prompt.clone()).chain(turns).collect::<Vec<_>>().join("\n")
}

fn question<'a>(request: &'a Request, conversation: Option<&'a str>) -> Question<'a> {
    let results = |turn: &Turn| if let Turn::Tools(results) = turn { results.len() } else { 0 };
    Question {
        model: &request.model,
        system: request.system.as_deref().unwrap_or_default(),
        prompt: conversation.unwrap_or(&request.prompt),
        max_tokens: request.max_tokens,
        schema: request.response_schema.as_ref(),
        tools: if request.answer_now { &[] } else { &request.tools },
        results: request.turns.iter().map(results).sum(),
        replies: request.turns.iter().filter(|turn| matches!(turn, Turn::Model { .. })).count(),
    }
}

fn answer(asked: Asked<'_>, question: &Question<'_>) -> Result<Completion, ProviderError> {
    let body = openai::answer(question, &script::answer(question), None);
    OpenAi(Dialect::COMMON).answer(asked, Reply { request_id: None, body })
}

fn half_heard(question: &Question<'_>, heard: &Heard) {
    let content = script::answer(question).content;
    heard.text(&content[..content.floor_char_boundary(content.len() / 2)]);
}

fn late(bound: Duration) -> ProviderError {
    ProviderError::new(ErrorKind::Timeout, format!("{NAME} did not answer within {bound:?}"))
}

fn refuse(asked: Asked<'_>, status: u16, code: &str) -> ProviderError {
    let mut headers = HeaderMap::new();
    if status == 429 {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let body: Value = json!({"error": {"code": code, "message": format!("scripted refusal: {code}")}});
    classify::refusal(asked, status, &headers, body.to_string().as_bytes(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(model: &str) -> Result<Completion, ProviderError> {
        let request = Request {
            model: model.into(),
            prompt: "One. Two.".into(),
            timeout: Duration::from_millis(50),
            ..Request::default()
        };
        Scripted::default().complete(&request, None, &Heard::default()).await
    }

    #[tokio::test]
    async fn an_answer_is_counted_and_adds_up() {
        let done = ask("scripted-small").await.expect("an answer");
        assert!(done.metered.usage.input > 0 && done.metered.usage.output > 0 && !done.metered.mismatch);
        assert_eq!(done.metered.raw.as_ref().expect("usage")["total_tokens"], done.metered.usage.total());
        assert_eq!(done.model, "scripted-small");
        assert!(ask("scripted-wrong-usage").await.expect("an answer").metered.mismatch);
        assert!(ask("scripted-no-usage").await.expect("an answer").metered.mismatch);
    }

    #[tokio::test]
    async fn every_key_is_good_but_the_bad_one() {
        let scripted = Scripted::default();
        assert!(scripted.check_key(&"any".into()).await.is_ok());
        let error = scripted.check_key(&BAD_KEY.into()).await.expect_err("a refusal");
        assert!(error.refuses_the_key() && error.message.contains("scripted_api_key"), "{error}");
    }

    #[tokio::test]
    async fn faults_look_as_they_do_over_http() {
        let second = Some(Duration::from_secs(1));
        for (model, kind) in [
            ("scripted-429", ErrorKind::Retry { after: second }),
            ("scripted-quota", ErrorKind::Rejected),
            ("scripted-500", ErrorKind::Retry { after: None }),
            ("scripted-401", ErrorKind::Rejected),
            ("scripted-hang", ErrorKind::Timeout),
            ("scripted-slow-500", ErrorKind::Timeout),
            ("scripted-cut", ErrorKind::Unknown),
            ("scripted-cut-9", ErrorKind::Unknown),
            ("scripted-stall", ErrorKind::Timeout),
            ("scripted-trickle-500", ErrorKind::Timeout),
            ("scripted-malformed", ErrorKind::Unknown),
            ("scripted-wrong-type", ErrorKind::Unknown),
            ("gpt-4o", ErrorKind::Rejected),
        ] {
            assert_eq!(ask(model).await.expect_err(model).kind, kind, "{model}");
        }
        assert!(ask("scripted-slow-10").await.is_ok());
        assert!(ask("scripted-trickle-1").await.is_ok());
    }
}
