//! The protocols, and the providers that need no configuration.

use super::{
    anthropic::Anthropic,
    gemini::Gemini,
    openai::{Dialect, OpenAi},
    protocol::Protocol,
};

/// Every protocol, as a provider of the operator's own naming speaks it.
pub const PROTOCOLS: [&dyn Protocol; 3] = [&OpenAi(Dialect::COMMON), &Anthropic, &Gemini];

/// A provider that is there without configuration.
#[derive(Debug)]
pub struct Known {
    pub name: &'static str,
    pub base_url: &'static str,
    pub protocol: &'static dyn Protocol,
    pub needs_key: bool,
}

pub const KNOWN: [Known; 8] = [
    cloud("openai", "https://api.openai.com/v1", &OpenAi(Dialect::OPENAI)),
    cloud("anthropic", "https://api.anthropic.com/v1", &Anthropic),
    cloud("gemini", "https://generativelanguage.googleapis.com/v1beta", &Gemini),
    cloud("groq", "https://api.groq.com/openai/v1", &OpenAi(Dialect::GROQ)),
    cloud("openrouter", "https://openrouter.ai/api/v1", &OpenAi(Dialect::OPENROUTER)),
    cloud("mistral", "https://api.mistral.ai/v1", &OpenAi(Dialect::MISTRAL)),
    cloud("deepseek", "https://api.deepseek.com/v1", &OpenAi(Dialect::DEEPSEEK)),
    Known {
        name: "ollama",
        base_url: "http://127.0.0.1:11434/v1",
        protocol: &OpenAi(Dialect::OLLAMA),
        needs_key: false,
    },
];

const fn cloud(name: &'static str, base_url: &'static str, protocol: &'static dyn Protocol) -> Known {
    Known { name, base_url, protocol, needs_key: true }
}

/// The provider of that name, if it is one of [`KNOWN`].
pub fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// The protocol of that name, as in `providers.<name>.protocol`.
pub fn protocol(name: &str) -> Option<&'static dyn Protocol> {
    PROTOCOLS.into_iter().find(|protocol| protocol.name() == name)
}
