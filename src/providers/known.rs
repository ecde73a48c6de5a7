//! The providers that need no configuration, and how each differs from its protocol.

/// A wire protocol, with what its speakers do differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    OpenAi(Dialect),
    Anthropic,
    Gemini,
}

/// Where speakers of OpenAI's protocol differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The field that bounds the answer's tokens. OpenAI's newer models refuse
    /// `max_tokens`; most others know nothing else.
    pub limit_field: &'static str,
    pub schema: SchemaMode,
    /// Whether a stream has its usage only if `stream_options` asks for it. Mistral
    /// gives it always and refuses the field.
    pub usage_on_request: bool,
}

/// How a JSON Schema for the answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaMode {
    /// `response_format: json_schema` is enforced.
    Native,
    /// Some models behind the address enforce it, some ignore it: the schema
    /// stands in the prompt too.
    NativeAndPrompt,
    /// JSON is enforced, its shape is not: the schema stands in the prompt.
    JsonObject,
}

/// A provider that is there without configuration.
#[derive(Debug)]
pub struct Known {
    pub name: &'static str,
    pub base_url: &'static str,
    pub protocol: Protocol,
    pub needs_key: bool,
}

impl Protocol {
    /// By the name in `providers.<name>.protocol`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "openai" => Some(openai("max_tokens", SchemaMode::NativeAndPrompt)),
            "anthropic" => Some(Self::Anthropic),
            "gemini" => Some(Self::Gemini),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi(_) => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    /// The path of a base URL that was given without one.
    pub fn default_path(self) -> &'static str {
        match self {
            Self::OpenAi(_) | Self::Anthropic => "/v1",
            Self::Gemini => "/v1beta",
        }
    }
}

const fn openai(limit_field: &'static str, schema: SchemaMode) -> Protocol {
    Protocol::OpenAi(Dialect { limit_field, schema, usage_on_request: true })
}

const fn mistral() -> Protocol {
    Protocol::OpenAi(Dialect { limit_field: "max_tokens", schema: SchemaMode::Native, usage_on_request: false })
}

const fn cloud(name: &'static str, base_url: &'static str, protocol: Protocol) -> Known {
    Known { name, base_url, protocol, needs_key: true }
}

pub const KNOWN: [Known; 8] = [
    cloud("openai", "https://api.openai.com/v1", openai("max_completion_tokens", SchemaMode::Native)),
    cloud("anthropic", "https://api.anthropic.com/v1", Protocol::Anthropic),
    cloud("gemini", "https://generativelanguage.googleapis.com/v1beta", Protocol::Gemini),
    cloud("groq", "https://api.groq.com/openai/v1", openai("max_tokens", SchemaMode::JsonObject)),
    cloud("openrouter", "https://openrouter.ai/api/v1", openai("max_tokens", SchemaMode::NativeAndPrompt)),
    cloud("mistral", "https://api.mistral.ai/v1", mistral()),
    cloud("deepseek", "https://api.deepseek.com/v1", openai("max_tokens", SchemaMode::JsonObject)),
    Known {
        name: "ollama",
        base_url: "http://127.0.0.1:11434/v1",
        protocol: openai("max_tokens", SchemaMode::Native),
        needs_key: false,
    },
];

pub fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// Where a key can be tried at no cost, below the base URL. OpenRouter's models
/// are everybody's to see, so a bad key would pass there.
pub fn key_path(provider: &str) -> &'static str {
    if provider == "openrouter" { "key" } else { "models" }
}
