//! Where speakers of OpenAI's protocol differ.

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
    /// Where a key can be tried at no cost. OpenRouter's models are everybody's to see,
    /// so a bad key would pass there.
    pub key_path: &'static str,
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

impl Dialect {
    /// What is safe with a speaker that nothing is known of.
    pub const COMMON: Self = Self {
        limit_field: "max_tokens",
        schema: SchemaMode::NativeAndPrompt,
        usage_on_request: true,
        key_path: "models",
    };
    pub const OPENAI: Self = Self { limit_field: "max_completion_tokens", schema: SchemaMode::Native, ..Self::COMMON };
    pub const OPENROUTER: Self = Self { key_path: "key", ..Self::COMMON };
    pub const GROQ: Self = Self { schema: SchemaMode::JsonObject, ..Self::COMMON };
    pub const DEEPSEEK: Self = Self { schema: SchemaMode::JsonObject, ..Self::COMMON };
    pub const OLLAMA: Self = Self { schema: SchemaMode::Native, ..Self::COMMON };
    pub const MISTRAL: Self = Self { schema: SchemaMode::Native, usage_on_request: false, ..Self::COMMON };
}
