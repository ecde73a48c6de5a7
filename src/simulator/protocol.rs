//! The protocols that the simulator speaks, by the path that a request takes.

use serde_json::Value;

use super::{anthropic, asked::Asked, gemini, openai, script::Answer};

/// The protocol that a path speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    OpenAi,
    Anthropic,
    Gemini { model: String, stream: bool },
}

impl Protocol {
    /// By the end of the path.
    pub fn of(path: &str) -> Option<Self> {
        if path.ends_with("/chat/completions") {
            return Some(Self::OpenAi);
        }
        if path.ends_with("/messages") {
            return Some(Self::Anthropic);
        }
        let (model, verb) = path.rsplit_once("/models/")?.1.rsplit_once(':')?;
        let stream = match verb {
            "generateContent" => false,
            "streamGenerateContent" => true,
            _ => return None,
        };
        let model = percent_decode(model);
        Some(Self::Gemini { model, stream })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini { .. } => "gemini",
        }
    }

    pub fn asked(&self, body: &Value) -> Result<Asked, String> {
        match self {
            Self::OpenAi => openai::asked(body),
            Self::Anthropic => anthropic::asked(body),
            Self::Gemini { model, stream } => gemini::asked(model, *stream, body),
        }
    }

    pub fn answer(&self, asked: &Asked, body: &Value, answer: &Answer, id: &str) -> Value {
        match self {
            Self::OpenAi => openai::answer(&asked.question(), answer, Some(id)),
            Self::Anthropic => anthropic::answer(asked, body["tool_choice"]["name"].as_str(), answer, id),
            Self::Gemini { .. } => gemini::answer(asked, answer, id),
        }
    }

    pub fn stream(&self, asked: &Asked, body: &Value, answer: &Answer, id: &str) -> Vec<String> {
        match self {
            Self::OpenAi => openai::stream(asked, answer, id),
            Self::Anthropic => anthropic::stream(asked, body["tool_choice"]["name"].as_str(), answer, id),
            Self::Gemini { .. } => gemini::stream(asked, answer, id),
        }
    }

    pub fn refusal(&self, status: u16, code: &str, message: &str) -> Value {
        match self {
            Self::OpenAi => openai::refusal(code, message),
            Self::Anthropic => anthropic::refusal(status, message),
            Self::Gemini { .. } => gemini::refusal(status, message),
        }
    }
}

/// A model's name as it stood before it was put in a path.
fn percent_decode(text: &str) -> String {
    let encoded = format!("m={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, model)| model.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_speak_their_protocol_under_any_prefix() {
        for path in ["/v1/chat/completions", "/chat/completions", "/openai/v1/chat/completions"] {
            assert_eq!(Protocol::of(path), Some(Protocol::OpenAi), "{path}");
        }
        assert_eq!(Protocol::of("/v1/messages"), Some(Protocol::Anthropic));
        let gemini = |model: &str, stream| Some(Protocol::Gemini { model: model.to_owned(), stream });
        assert_eq!(Protocol::of("/v1beta/models/gem-2.5:generateContent"), gemini("gem-2.5", false));
        assert_eq!(Protocol::of("/v1beta/models/a%2Fb+c:streamGenerateContent"), gemini("a/b+c", true));
        for path in ["/", "/v1/embeddings", "/v1beta/models/x:countTokens", "/v1/models"] {
            assert_eq!(Protocol::of(path), None, "{path}");
        }
    }
}
