//! A recipe: inputs, a graph of nodes, an output, and the terms it runs on.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{Amount, ItemName, SecretHost, SecretRef, Slug, Span, Title, Version};
use crate::catalog::read::{Kind, Read, Reader, Section, Tree, choice, section};

section! {
    /// A recipe file.
    pub struct RecipeFile {
        recipe: Recipe,
    }

    /// A directed acyclic graph of steps. Never changed once published: an edit is a new version.
    pub struct Recipe {
        id: Slug,
        name: Title,
        description: Option<String>,
        /// The cookbook that it belongs to.
        cookbook: Option<Slug>,
        version: Version,
        inputs: Vec<InputSpec>,
        workflow: Workflow,
        compliance: Compliance = Compliance::default(),
        budget: Budget = Budget::default(),
        ab_testing: Option<AbTesting>,
    }

    /// What a task may or must give.
    pub struct InputSpec {
        name: ItemName,
        kind as "type": InputType,
        required: bool = true,
        /// Taken when a task does not give the input.
        default: Option<Value>,
        /// Bounds of a number, both inclusive.
        range: Option<Range>,
        values as "enum": Option<Vec<Value>>,
        /// Characters of a string, entries of an array, keys of an object.
        max_length: Option<u64>,
        validation: Validation = Validation::None,
        description: Option<String>,
        example: Option<Value>,
    }

    pub struct Workflow {
        nodes: Vec<Node>,
        /// United with each node's `depends_on`.
        edges: Vec<Edge>,
        /// From the first start of a run to its end, what it waits for included.
        timeout: Option<Span>,
        output: Option<OutputSpec>,
    }

    /// One step.
    pub struct Node {
        id: ItemName,
        component: String,
        description: Option<String>,
        /// What the component needs; its strings are templates.
        config: Map<String, Value>,
        /// Handed to the component by local name, never to a template.
        secrets: BTreeMap<String, SecretRef>,
        /// Hosts that the secrets may go to where a template makes up the host of `config.url`.
        secret_hosts: Vec<SecretHost>,
        depends_on: Vec<ItemName>,
        /// An expression; false skips the node.
        when: Option<String>,
        /// An expression; the node runs once for each entry, as `item` and `index`.
        for_each: Option<String>,
        /// Entries of `for_each` in work at the same time.
        max_parallel: Option<u32>,
        timeout: Option<Span>,
        retry: Option<RetryPolicy>,
        /// The run goes on if this node fails.
        allow_failure: bool = false,
        cache: Option<Cache>,
        /// What becomes of a call whose answer was lost.
        on_unknown: OnUnknown = OnUnknown::Retry,
        mandatory: bool = false,
    }

    pub struct Edge {
        from: ItemName,
        to: ItemName,
    }

    pub struct RetryPolicy {
        /// Tries in all, the first included.
        max_attempts: Option<u32>,
        initial_delay: Option<Span>,
        max_delay: Option<Span>,
    }

    pub struct Cache {
        ttl: Span,
    }

    /// What the run gives back.
    pub struct OutputSpec {
        kind as "type": String = "report".to_owned(),
        format: Option<OutputFormat>,
        /// `NODE.output` or an expression over any node.
        source: String,
        /// `{website_url}`, `{timestamp}` and the like are filled in.
        filename: Option<String>,
    }

    /// What a run is billed at.
    pub struct Compliance {
        track_usage: bool = true,
        billable_units: String = "per_execution".to_owned(),
        /// USD.
        cost_per_unit: Amount = Amount::default(),
        track_metrics: Vec<String>,
    }

    /// Limits of one run.
    pub struct Budget {
        max_cost_usd: Option<Amount>,
        max_tokens: Option<u64>,
    }

    pub struct AbTesting {
        enabled: bool = true,
        variants: Vec<Variant>,
        success_metric: SuccessMetric = SuccessMetric::QualityScore,
        /// Finished runs for each variant before a verdict.
        sample_size: u32 = 100,
    }
}

choice! {
    pub enum InputType { String = "string", Integer = "integer", Float = "float", Boolean = "boolean", Array = "array", Object = "object" }
    pub enum Validation { None = "none", Url = "url", Email = "email", Uuid = "uuid" }
    pub enum OnUnknown { Retry = "retry", Ask = "ask", Fail = "fail" }
    pub enum OutputFormat { Markdown = "markdown", Html = "html", Json = "json", Text = "text", Csv = "csv", Pdf = "pdf" }
    pub enum SuccessMetric { QualityScore = "quality_score", ExecutionTime = "execution_time", TokenCost = "token_cost" }
}

/// `[from, to]`, both inclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Range(pub Number, pub Number);

impl Default for Range {
    fn default() -> Self {
        Self(0.into(), 0.into())
    }
}

impl Read for Range {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        let bounds = match &tree.kind {
            Kind::List(items) => items.as_slice(),
            _ => &[],
        };
        match bounds {
            [Tree { kind: Kind::Number(from, _), .. }, Tree { kind: Kind::Number(to, _), .. }]
                if from.as_f64() <= to.as_f64() =>
            {
                Self(from.clone(), to.clone())
            }
            _ => at.refuse(tree, "expected two numbers, the smaller first, such as [1, 10]"),
        }
    }
}

impl JsonSchema for Range {
    fn schema_name() -> Cow<'static, str> {
        "Range".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2})
    }
}

/// A version under test; a bare version is accepted too.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Variant {
    pub version: Version,
    pub description: Option<String>,
}

impl Read for Variant {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        if !matches!(tree.kind, Kind::Map(_)) {
            return Self { version: Version::read(tree, at), description: None };
        }
        let Some(mut section) = Section::open(tree, at) else { return Self::default() };
        let version = section.take("version", at, || None);
        let description = section.take("description", at, || None);
        section.close(at);
        Self { version, description }
    }
}

impl JsonSchema for Variant {
    fn schema_name() -> Cow<'static, str> {
        "Variant".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let version = generator.subschema_for::<Version>();
        json_schema!({"anyOf": [version, {
            "type": "object",
            "properties": {"version": version, "description": {"type": ["string", "null"]}},
            "required": ["version"],
            "additionalProperties": false,
        }]})
    }
}
