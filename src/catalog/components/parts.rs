//! Settings and fields that several rows of the table share, or that are long.

use std::time::Duration;

use super::{
    setting::{Kind, Setting, integer, time_limit},
    spec::{Field, Open, field, list, mapping},
};

const SECOND: Duration = Duration::from_secs(1);

/// Which model is asked, and how.
pub const ASKING: &[Setting] = &[
    Setting::new("provider", Kind::Text, "The model's provider, such as openai; by default the agent's"),
    Setting::new("model", Kind::Text, "The model, alone or as provider/model; by default the agent's"),
    Setting::new("fallback_model", Kind::Texts, "Asked when the model does not answer"),
    Setting::new("fallback_models", Kind::Texts, "Asked one after the other when the model does not answer"),
    Setting::new("temperature", Kind::Number { range: 0.0..=2.0 }, "How much chance there is in the answer"),
    integer("max_tokens", 1..=1_000_000, None, "Tokens of the answer, at most"),
    time_limit(Duration::from_mins(30), Duration::from_mins(2), "For one answer"),
];

/// What a model is asked.
pub const PROMPT: &[Setting] = &[
    Setting::new("system_message", Kind::Prose, "What the model is told about its part"),
    Setting::new("prompt_template", Kind::Prose, "The question").required(),
    Setting::new("response_schema", Kind::Schema, "The form that the answer must have; it comes back in `json`"),
];

/// A request to an address.
pub const REQUEST: &[Setting] = &[
    Setting::new("url", Kind::Url, "The address").required(),
    Setting::new("query", Kind::Pairs, "Query parameters; the value secret:NAME stands for a secret of the node"),
    Setting::new("headers", Kind::Pairs, "Headers; the value secret:NAME stands for a secret of the node"),
    time_limit(Duration::from_mins(2), Duration::from_secs(30), "For the whole answer"),
];

pub const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

pub const SITE_URL: Setting = Setting::new("url", Kind::Url, "The address; by default the input `website_url`");
pub const USER_AGENT: Setting = Setting::new("user_agent", Kind::Text, "The name under which pages are asked for");

/// What a crawl reads, and how fast.
pub const CRAWL: &[Setting] = &[
    SITE_URL,
    integer("max_pages", 1..=10_000, Some(100), "Pages to read, at most")
        .capped_by(|limits| limits.max_pages_per_crawl),
    integer("max_depth", 0..=100, Some(3), "Links to follow in a row"),
    Setting::new("respect_robots", Kind::Boolean { default: Some(true) }, "Whether robots.txt is obeyed"),
    time_limit(Duration::from_mins(1), Duration::from_secs(10), "For each page"),
    USER_AGENT,
    Setting::new(
        "rate_limit_delay",
        Kind::Duration { range: Duration::ZERO..=SECOND.saturating_mul(60), default: Some(Duration::ZERO) },
        "From the start of one request to the start of the next",
    ),
    integer("max_parallel", 1..=32, Some(8), "Requests at the same time"),
];

/// What the calls of a node used and cost.
pub const USAGE: Field = mapping(
    "usage",
    &[
        field("input"),
        field("cache_read"),
        field("cache_write_5m"),
        field("cache_write_1h"),
        field("output"),
        field("reasoning"),
        field("total_tokens"),
    ],
);

/// One page, as it was read.
pub const PAGE: &[Field] = &[
    field("url"),
    field("status_code"),
    field("title"),
    field("meta_description"),
    field("meta_keywords"),
    field("canonical"),
    field("h1_tags"),
    field("h2_tags"),
    field("word_count"),
    field("links"),
    list("images", &[field("src"), field("alt")]),
    field("images_without_alt"),
    field("depth"),
    field("elapsed_ms"),
    field("content_type"),
    // Of a page that is read alone.
    field("markdown").sometimes(),
];

/// What a crawl found.
pub const CRAWLED: &[Field] = &[
    field("base_url"),
    field("total_pages"),
    list("pages", PAGE),
    field("visited_urls"),
    list("broken_links", &[field("url"), field("status_code"), field("error"), field("found_on")]),
    list("redirects", &[field("from"), field("to"), field("status_code"), field("found_on")]),
    list("skipped", &[field("url"), field("reason"), field("found_on")]),
    field("skipped_total"),
];

/// What a tool's config may leave to the model.
pub const OPEN_URL: Open = Open { key: "url", is_required: true, is_body: false };
pub const OPEN_QUERY: Open = Open { key: "query", is_required: false, is_body: false };
pub const OPEN_JSON: Open = Open { key: "json", is_required: false, is_body: true };
pub const OPEN_DEPTH: Open = Open { key: "max_depth", is_required: false, is_body: false };
pub const OPEN_PROMPT: Open = Open { key: "prompt_template", is_required: true, is_body: false };
