//! The one table of components: what each is called, takes and gives, and what it may do.
//! A new component is a row here, and a file in `src/components/`.
//!
//! - [`spec`]: the columns of the table; [`setting`]: one key of a `config`
//! - [`parts`]: settings and fields that several rows share
//! - [`value`]: how the value of a setting is read
//!
//! ```
//! use teamai::catalog::components;
//!
//! let crawler = components::find("WebCrawler");
//! assert!(crawler.is_some_and(|spec| spec.is_cacheable && spec.setting("max_pages").is_some()));
//! ```

mod parts;
mod setting;
mod spec;
#[cfg(test)]
mod tests;
pub mod value;

use std::{ops::RangeInclusive, time::Duration};

use self::{
    parts::{
        ASKING, CRAWL, CRAWLED, METHODS, OPEN_DEPTH, OPEN_JSON, OPEN_PROMPT, OPEN_QUERY, OPEN_URL, PAGE, PROMPT,
        REQUEST, SITE_URL, USAGE, USER_AGENT,
    },
    setting::time_limit,
    spec::{field, list},
};
pub use self::{
    setting::{Cap, Kind, Setting},
    spec::{ComponentSpec, Field, Gives, Open, Output, Shape, Tool, Waits},
};
use super::model::Node;

/// How often an agent's model may be asked; the last answer has to be the result.
pub const AGENT_TURNS: RangeInclusive<u64> = 1..=50;
/// A question that sets no `timeout` is open for this long.
pub const QUESTION_TIMEOUT: Duration = Duration::from_hours(7 * 24);

pub static AGENT: ComponentSpec = ComponentSpec {
    name: "Agent",
    does: "Asks a model that may use tools until it has its answer",
    settings: &[
        ASKING,
        PROMPT,
        &[
            Setting::new("tools", Kind::Tools, "What the model may use"),
            Setting::new("max_turns", Kind::Integer { range: AGENT_TURNS, default: Some(10) }, "Answers of the model"),
        ],
    ],
    output: Output::Only(&[
        field("content"),
        field("json").sometimes(),
        field("corrected").sometimes(),
        field("turns"),
        list("tool_calls", &[field("turn"), field("tool"), field("arguments"), field("failed")]),
        field("model"),
        field("provider"),
        USAGE,
        field("cost_usd"),
        field("finish_reason"),
    ]),
    is_cacheable: true,
    asks_model: true,
    ..ComponentSpec::PLAIN
};

pub static APPROVAL: ComponentSpec = ComponentSpec {
    name: "Approval",
    does: "Asks people, and waits for their answer",
    settings: &[&[
        Setting::new("message", Kind::Text, "The question").required(),
        Setting::new("form", Kind::Schema, "The form that the answer must have"),
        Setting::new("timeout", Kind::Span { default: QUESTION_TIMEOUT }, "How long the question stays open"),
        Setting::new("approvers", Kind::Texts, "Who may answer: roles, e-mail addresses or ids of users"),
    ]],
    // Unless the form asks for something that is no mapping.
    output: Output::AtLeast(&[
        field("decision").sometimes(),
        field("decided_by").sometimes(),
        field("decided_at").sometimes(),
    ]),
    waits: Some(Waits::ForPeople),
    ..ComponentSpec::PLAIN
};

pub static DATA_FETCHER: ComponentSpec = ComponentSpec {
    name: "DataFetcher",
    does: "Gets data from an address and gives it parsed",
    settings: &[REQUEST],
    output: Output::Only(&[
        field("data"),
        field("json").sometimes(),
        field("text").sometimes(),
        field("status_code"),
        field("content_type"),
    ]),
    is_cacheable: true,
    sends_secrets: true,
    tool: Some(Tool::new("fetch_data", "Gets data from an address and gives it parsed.", &[OPEN_URL, OPEN_QUERY])),
    ..ComponentSpec::PLAIN
};

pub static HTTP_REQUEST: ComponentSpec = ComponentSpec {
    name: "HttpRequest",
    does: "Makes an HTTP request and gives status, headers and body",
    settings: &[
        &[Setting::new("method", Kind::Word { words: METHODS, default: "GET" }, "What to do there")],
        REQUEST,
        &[
            Setting::new("json", Kind::Anything, "The body, as JSON"),
            Setting::new("body", Kind::Anything, "The body, as text; a list or a mapping is sent as JSON"),
        ],
    ],
    output: Output::Only(&[
        field("status_code"),
        field("headers"),
        field("elapsed_ms"),
        field("json").sometimes(),
        field("text").sometimes(),
        field("bytes").sometimes(),
    ]),
    is_cacheable: true,
    sends_secrets: true,
    tool: Some(Tool::new(
        "http_request",
        "Makes an HTTP request and gives status, headers and body.",
        &[OPEN_URL, OPEN_QUERY, OPEN_JSON],
    )),
    ..ComponentSpec::PLAIN
};

pub static LLM_PROCESSOR: ComponentSpec = ComponentSpec {
    name: "LLMProcessor",
    does: "Asks a model one question, with other models to fall back on",
    settings: &[ASKING, PROMPT],
    output: Output::Only(&[
        field("content"),
        field("json").sometimes(),
        field("corrected").sometimes(),
        field("model"),
        field("provider"),
        USAGE,
        field("cost_usd"),
        field("fallback_used"),
        field("finish_reason"),
    ]),
    is_cacheable: true,
    asks_model: true,
    tool: Some(Tool { fixed: &["model"], ..Tool::new("ask_model", "Asks another model.", &[OPEN_PROMPT]) }),
    ..ComponentSpec::PLAIN
};

pub static QUALITY_JUDGE: ComponentSpec = ComponentSpec {
    name: "QualityJudge",
    does: "Asks a model how good a text is, and gives a score that experiments compare",
    settings: &[
        ASKING,
        &[
            Setting::new("rubric", Kind::Prose, "What a good text is").required(),
            Setting::new("subject", Kind::Prose, "The text").required(),
        ],
    ],
    output: Output::Only(&[
        field("quality_score"),
        field("reason"),
        field("model"),
        field("provider"),
        USAGE,
        field("cost_usd"),
    ]),
    gives: Gives::Score,
    is_cacheable: true,
    asks_model: true,
    ..ComponentSpec::PLAIN
};

pub static REPORT_GENERATOR: ComponentSpec = ComponentSpec {
    name: "ReportGenerator",
    does: "Makes a document out of a template, or out of the finished nodes",
    settings: &[&[
        Setting::new("format", Kind::Word { words: &["markdown", "md", "html", "json"], default: "markdown" }, "Of it"),
        Setting::new("title", Kind::Text, "Its title; by default Report"),
        Setting::new("template", Kind::Anything, "The document as a template; by default it is laid out by itself"),
        Setting::new("include_sections", Kind::Texts, "NODE or NODE.field, each a section; by default every node"),
    ]],
    output: Output::Only(&[field("output"), field("content_type"), field("filename")]),
    gives: Gives::Report,
    ..ComponentSpec::PLAIN
};

pub static SUB_RECIPE: ComponentSpec = ComponentSpec {
    name: "SubRecipe",
    does: "Runs another recipe as a task of its own, and gives its output",
    settings: &[&[
        Setting::new("recipe", Kind::Text, "The recipe's slug or id").required(),
        Setting::new("version", Kind::Text, "Its version; by default the newest"),
        Setting::new("inputs", Kind::Mapping, "What the recipe is given"),
    ]],
    waits: Some(Waits::ForTask),
    ..ComponentSpec::PLAIN
};

pub static SUBSCRIPTION_TRACKER: ComponentSpec = ComponentSpec {
    name: "SubscriptionTracker",
    does: "Gives the metering of the task so far, with the labels of its config",
    takes_labels: true,
    output: Output::AtLeast(&[
        field("task_id"),
        field("agency_id"),
        field("team_id"),
        field("agent_instance_id"),
        field("calls"),
        field("tokens_used"),
        field("cost_usd"),
    ]),
    ..ComponentSpec::PLAIN
};

pub static TRANSFORM: ComponentSpec = ComponentSpec {
    name: "Transform",
    does: "Gives its rendered value on to the nodes after it",
    settings: &[&[Setting::new("value", Kind::Anything, "Any templated value").required()]],
    is_cacheable: true,
    ..ComponentSpec::PLAIN
};

pub static WEB_CRAWLER: ComponentSpec = ComponentSpec {
    name: "WebCrawler",
    does: "Walks one site and gives its pages and faults",
    settings: &[CRAWL],
    output: Output::Only(CRAWLED),
    is_cacheable: true,
    tool: Some(Tool::new("crawl_site", "Crawls a site and gives its pages and broken links.", &[OPEN_URL, OPEN_DEPTH])),
    ..ComponentSpec::PLAIN
};

pub static WEBSITE_CONNECTOR: ComponentSpec = ComponentSpec {
    name: "WebsiteConnector",
    does: "Reads one page and gives it with its text as Markdown",
    settings: &[&[
        SITE_URL,
        time_limit(Duration::from_mins(2), Duration::from_secs(30), "For the whole page"),
        USER_AGENT,
    ]],
    output: Output::Only(PAGE),
    is_cacheable: true,
    tool: Some(Tool::new("read_page", "Reads one page and gives it as Markdown, with title and links.", &[OPEN_URL])),
    ..ComponentSpec::PLAIN
};

/// Every component, by name.
pub static ALL: [&ComponentSpec; 12] = [
    &AGENT,
    &APPROVAL,
    &DATA_FETCHER,
    &HTTP_REQUEST,
    &LLM_PROCESSOR,
    &QUALITY_JUDGE,
    &REPORT_GENERATOR,
    &SUB_RECIPE,
    &SUBSCRIPTION_TRACKER,
    &TRANSFORM,
    &WEB_CRAWLER,
    &WEBSITE_CONNECTOR,
];

/// The row of a component's name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ComponentSpec> {
    ALL.into_iter().find(|spec| spec.name == name)
}

/// Whether recipes may use a component of this name.
#[must_use]
pub fn exists(name: &str) -> bool {
    find(name).is_some()
}

impl Node {
    /// The row of the node's component; `None` if there is no component of that name.
    #[must_use]
    pub fn spec(&self) -> Option<&'static ComponentSpec> {
        find(&self.component)
    }
}
