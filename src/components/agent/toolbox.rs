//! The tools of one agent: components with a config that is fixed in part, and a strict
//! schema for the rest, which the model chooses.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream};
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::super::{
    ComponentError, Context, Opened, ProviderKeys, Retry, Shared,
    settings::{Settings, wrong},
};
use crate::{
    base::json_schema::BoundedSchema,
    catalog::{
        agent::{self, Declared, Host},
        components::Open,
        model::Node,
    },
    egress::parse_url,
    providers::{Tool, ToolCall, ToolResult},
};

/// Calls of one turn that run at once.
const MAX_PARALLEL: usize = 4;
/// Of a tool's result, as the model is shown it.
const MAX_RESULT_BYTES: usize = 32 * 1024;

/// The components that can be tools, by name.
pub struct Tools(BTreeMap<&'static str, Shared>);

impl Tools {
    /// Those of the components that may be tools.
    pub fn of(components: &[Shared]) -> Self {
        let tools = components.iter().filter(|component| component.spec().tool.is_some());
        Self(tools.map(|component| (component.spec().name, Arc::clone(component))).collect())
    }
}

/// The tools of a node, ready to be called.
pub struct Toolbox(Vec<Ready>);

struct Ready {
    component: Shared,
    tool: Tool,
    arguments: BoundedSchema,
    /// Rendered; comes before whatever the model says.
    fixed: Map<String, Value>,
    /// As the author wrote it: what a secret may do is read here.
    node: Node,
    secrets: Vec<Opened>,
    /// Where a URL that the model chooses may lead.
    hosts: Vec<Host>,
}

impl Toolbox {
    /// # Errors
    /// A tool is none; the error names its place in the config.
    pub fn of(tools: &Tools, context: &Context<'_>, settings: &Settings<'_>) -> Result<Self, ComponentError> {
        let rendered = settings.value("tools").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let declared = agent::tools(&context.node.config).map_err(|(path, why)| wrong(&path, why))?;
        if declared.len() != rendered.len() {
            return Err(wrong("tools", "must be written out as a list; a template cannot choose tools"));
        }
        let ready = declared.into_iter().zip(rendered).enumerate();
        ready
            .map(|(nth, (tool, rendered))| Ready::new(tools, context, nth, &tool, rendered))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn declared(&self) -> Vec<Tool> {
        self.0.iter().map(|ready| ready.tool.clone()).collect()
    }

    /// Runs the calls of one turn; a failure is the model's to deal with.
    ///
    /// # Errors
    /// The run is over: lease lost, or cancelled.
    pub async fn run(&self, context: &Context<'_>, calls: &[ToolCall]) -> Result<Vec<ToolResult>, ComponentError> {
        let work: Vec<_> = calls.iter().map(|call| self.call(context, call).boxed()).collect();
        let results: Vec<_> = stream::iter(work).buffered(MAX_PARALLEL).collect().await;
        results.into_iter().collect()
    }

    async fn call(&self, context: &Context<'_>, call: &ToolCall) -> Result<ToolResult, ComponentError> {
        let outcome = match self.0.iter().find(|ready| ready.tool.name == call.name) {
            Some(ready) => ready.run(context, &call.arguments).await,
            None => Err(ComponentError::new("tool_unknown", format!("there is no tool {}", call.name))),
        };
        let (text, is_error) = match outcome {
            Ok(output) => (shown(&output), false),
            Err(error) if error.retry == Retry::Stop => return Err(error),
            Err(error) => (format!("The tool failed: {}", error.message), true),
        };
        Ok(ToolResult { id: call.id.clone(), name: call.name.clone(), content: text, is_error })
    }
}

impl Ready {
    fn new(
        tools: &Tools,
        context: &Context<'_>,
        nth: usize,
        declared: &Declared<'_>,
        rendered: &Value,
    ) -> Result<Self, ComponentError> {
        let place = |key: &str| format!("tools[{nth}].{key}");
        let name = declared.component.name;
        let Some(component) = tools.0.get(name) else {
            return Err(wrong(&place("component"), format!("names {name}, which cannot be a tool")));
        };
        let open = declared.open();
        let secret = |name: &&str| {
            let found = context.secrets.iter().find(|secret| secret.local == **name);
            found
                .cloned()
                .ok_or_else(|| wrong(&place("secrets"), format!("names {name}, which is not among the node's secrets")))
        };
        let hosts = rendered["hosts"].as_array().into_iter().flatten();
        let host =
            |host: &Value| Host::parse(host.as_str().unwrap_or_default()).map_err(|why| wrong(&place("hosts"), why));
        let hosts: Vec<Host> = hosts.map(host).collect::<Result<_, _>>()?;
        let schema = schema(&open, &hosts);
        let unusable =
            |error: String| wrong(&place("config"), format!("leaves open what cannot be described: it {error}"));
        Ok(Self {
            component: Arc::clone(component),
            arguments: BoundedSchema::compile(&schema).map_err(unusable)?,
            tool: Tool { name: declared.name(), description: declared.description(), schema },
            fixed: rendered["config"].as_object().cloned().unwrap_or_default(),
            secrets: declared.secrets.iter().map(secret).collect::<Result<_, _>>()?,
            node: Node {
                id: context.node.id.clone(),
                component: name.to_owned(),
                config: declared.config.cloned().unwrap_or_default(),
                secret_hosts: context.node.secret_hosts.clone(),
                ..Node::default()
            },
            hosts,
        })
    }

    async fn run(&self, context: &Context<'_>, arguments: &Value) -> Result<Value, ComponentError> {
        self.takes(arguments)?;
        let mut config = arguments.as_object().cloned().unwrap_or_default();
        if let Some(url) = config.get("url").and_then(Value::as_str) {
            self.permits(url)?;
        }
        config.extend(self.fixed.clone());
        let keys = LockerKeys(context.keys);
        let context = Context { node: &self.node, secrets: &self.secrets, keys: &keys, ..*context };
        self.component.run(&context, &config).await
    }

    fn takes(&self, arguments: &Value) -> Result<(), ComponentError> {
        let problems =
            self.arguments.problems(arguments, 3).map_err(|why| refused(format!("what it is called with {why}")))?;
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(refused(format!("its arguments do not follow their schema: {}", problems.join("; "))))
    }

    /// What a page says may lead the model anywhere; the recipe's author said where.
    fn permits(&self, url: &str) -> Result<(), ComponentError> {
        let url = parse_url(url).map_err(|error| refused(format!("url is {error}")))?;
        if self.hosts.iter().any(|host| host.permits(&url)) {
            return Ok(());
        }
        let allowed: Vec<_> = self.hosts.iter().map(ToString::to_string).collect();
        let host = url.host_str().unwrap_or_default();
        Err(refused(format!("url leads to {host}; this tool goes to {} only", allowed.join(", "))))
    }
}

fn refused(why: String) -> ComponentError {
    ComponentError::new("tool_refused", why)
}

/// The schema of what the config leaves open: nothing else is taken.
fn schema(open: &[&Open], hosts: &[Host]) -> Value {
    let mut properties = Map::new();
    for argument in open {
        let mut schema = agent::argument_schema(argument.key);
        if argument.key == "url" {
            let allowed: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            schema["description"] = format!("A URL at {}", allowed.join(", ")).into();
        }
        properties.insert(argument.key.to_owned(), schema);
    }
    let required: Vec<_> = open.iter().filter(|argument| argument.is_required).map(|argument| argument.key).collect();
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}

/// A result as text, cut where it is too long.
fn shown(output: &Value) -> String {
    let mut text = output.to_string();
    if text.len() > MAX_RESULT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_RESULT_BYTES));
        text.push_str("... (cut here: the result is longer)");
    }
    text
}

/// The node's own key is for the agent's model; a tool's model has the locker's.
struct LockerKeys<'a>(&'a dyn ProviderKeys);

#[async_trait]
impl ProviderKeys for LockerKeys<'_> {
    async fn key(&self, provider: &str, _own: bool) -> Result<Option<SecretString>, ComponentError> {
        self.0.key(provider, false).await
    }

    fn provider_of(&self, model: &str) -> Option<String> {
        self.0.provider_of(model)
    }
}
