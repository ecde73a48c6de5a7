//! A plain client of our own HTTP API, for the commands that work through it.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// One signed-in user at one server.
#[derive(Debug)]
pub struct ApiClient {
    http: reqwest::Client,
    base: String,
    access_token: Option<String>,
    refresh_token: Option<String>,
}

struct Body {
    content_type: &'static str,
    text: String,
}

impl Body {
    fn json(value: &Value) -> Self {
        Self { content_type: "application/json", text: value.to_string() }
    }
}

impl ApiClient {
    /// `base` is the server's address, such as `http://127.0.0.1:8000`.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(base: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), access_token: None, refresh_token: None })
    }

    /// As whoever the access token or API key stands for.
    #[must_use]
    pub fn with_token(self, token: String) -> Self {
        Self { access_token: Some(token), ..self }
    }

    /// Registers or signs in, and keeps the tokens of the answer.
    ///
    /// # Errors
    /// The server refuses, or does not answer.
    pub async fn sign_in(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.post(path, body).await?;
        self.keep_tokens(&answer)?;
        Ok(answer)
    }

    pub async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.json(Method::GET, path, None).await
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.json(Method::POST, path, Some(body)).await
    }

    pub async fn put(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.json(Method::PUT, path, Some(body)).await
    }

    /// A body of any content type, with that type.
    pub async fn text(&mut self, path: &str) -> anyhow::Result<(String, String)> {
        let (kind, body) = self.call(&Method::GET, path, None).await?;
        Ok((kind, String::from_utf8(body).with_context(|| format!("{path} is not text"))?))
    }

    /// A body of another content type; the answer is JSON.
    pub async fn post_text(&mut self, path: &str, content_type: &'static str, body: String) -> anyhow::Result<Value> {
        self.answer(Method::POST, path, Some(Body { content_type, text: body })).await
    }

    async fn json(&mut self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.answer(method, path, body.map(Body::json)).await
    }

    async fn answer(&mut self, method: Method, path: &str, body: Option<Body>) -> anyhow::Result<Value> {
        let (_, answer) = self.call(&method, path, body.as_ref()).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).with_context(|| format!("{method} {path} answers something that is not JSON"))
    }

    async fn call(&mut self, method: &Method, path: &str, body: Option<&Body>) -> anyhow::Result<(String, Vec<u8>)> {
        let mut answer = self.send(method, path, body).await?;
        // An access token is short-lived; a long task outlives it.
        if answer.status() == StatusCode::UNAUTHORIZED && self.refresh().await? {
            answer = self.send(method, path, body).await?;
        }
        let status = answer.status();
        let kind =
            answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let bytes = answer.bytes().await?.to_vec();
        if !status.is_success() {
            bail!("{method} {path} answers {status}: {}", problem(&bytes));
        }
        Ok((kind, bytes))
    }

    async fn send(&self, method: &Method, path: &str, body: Option<&Body>) -> anyhow::Result<reqwest::Response> {
        let mut request: RequestBuilder = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = &self.access_token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", body.content_type).body(body.text.clone());
        }
        request.send().await.with_context(|| format!("{} does not answer", self.base))
    }

    async fn refresh(&mut self) -> anyhow::Result<bool> {
        let Some(token) = self.refresh_token.take() else { return Ok(false) };
        self.access_token = None;
        let answer =
            self.send(&Method::POST, "/auth/refresh", Some(&Body::json(&json!({"refresh_token": token})))).await?;
        if !answer.status().is_success() {
            return Ok(false);
        }
        self.keep_tokens(&answer.json().await?)?;
        Ok(true)
    }

    fn keep_tokens(&mut self, answer: &Value) -> anyhow::Result<()> {
        let token = |name: &str| answer[name].as_str().map(str::to_owned);
        self.access_token = Some(token("access_token").context("the answer does not contain an access_token")?);
        self.refresh_token = token("refresh_token");
        Ok(())
    }
}

/// What a problem document (RFC 9457) says, in one line.
fn problem(body: &[u8]) -> String {
    let Ok(problem) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).chars().take(300).collect();
    };
    let text = |name: &str| problem[name].as_str().map(str::to_owned);
    let mut said = text("detail").or_else(|| text("title")).unwrap_or_else(|| problem.to_string());
    for error in problem["errors"].as_array().into_iter().flatten() {
        let part = |name: &str| error[name].as_str().unwrap_or_default();
        said = format!("{said}; {}: {}", part("path"), part("message"));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_told_with_their_fields() {
        let body = json!({"title": "Invalid", "detail": "the body is invalid", "errors": [{"path": "email", "message": "no @"}]});
        assert_eq!(problem(body.to_string().as_bytes()), "the body is invalid; email: no @");
        assert_eq!(problem(b"<html>"), "<html>");
    }
}
