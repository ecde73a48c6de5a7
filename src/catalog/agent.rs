//! The tools of an `Agent` node, as its author wrote them.
//!
//! Which tools there are, which component and secrets each has, and which hosts it
//! goes to stands in the recipe. A template may fill in values of a tool's config,
//! and hosts out of inputs; it chooses no tool.

use serde_json::{Map, Value, json};
use url::Url;

use super::{
    components::{self, ComponentSpec, Open, Tool},
    destination,
};
use crate::base::host_name;

const MAX_TOOLS: usize = 16;
const MAX_HOSTS: usize = 20;
const KEYS: [&str; 6] = ["component", "name", "description", "config", "hosts", "secrets"];
/// Methods that carry no body.
const BODILESS: [&str; 2] = ["GET", "HEAD"];
/// The name under which Anthropic's models give a structured answer.
const RESERVED: &str = "answer";

/// What is wrong with a tool: the path below `config`, and the remedy.
pub type Fault = (String, String);

/// One tool.
#[derive(Debug)]
pub struct Declared<'a> {
    pub component: &'static ComponentSpec,
    tool: &'static Tool,
    name: Option<&'a str>,
    description: Option<&'a str>,
    pub config: Option<&'a Map<String, Value>>,
    pub hosts: Vec<&'a str>,
    pub secrets: Vec<&'a str>,
}

/// Where a URL that a model chooses may lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Anywhere that the guard lets through.
    Any,
    /// Scheme and default port aside: `example.com`, `example.com:8443`.
    Exactly(String),
    /// `*.example.com`: every host below, and itself.
    Below(String),
}

/// Reads `config.tools`.
///
/// # Errors
/// The first fault.
pub fn tools(config: &Map<String, Value>) -> Result<Vec<Declared<'_>>, Fault> {
    let list = match config.get("tools") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(fault("tools", "must be a list of tools that is written out")),
    };
    if list.len() > MAX_TOOLS {
        return Err(fault("tools", format!("has {} tools; at most {MAX_TOOLS} are offered to a model", list.len())));
    }
    let mut found = Vec::<Declared>::with_capacity(list.len());
    for (nth, tool) in list.iter().enumerate() {
        let tool = Declared::read(&format!("tools[{nth}]"), tool)?;
        if found.iter().any(|other| other.name() == tool.name()) {
            let why = format!("`{}` is the name of another tool; give each a `name` of its own", tool.name());
            return Err(fault(format!("tools[{nth}].name"), why));
        }
        found.push(tool);
    }
    Ok(found)
}

fn no_tool(path: String) -> Fault {
    let names: Vec<_> = components::ALL.iter().filter(|spec| spec.tool.is_some()).map(|spec| spec.name).collect();
    fault(path, format!("must be one of the components that can be a tool: {}", names.join(", ")))
}

fn fault(path: impl Into<String>, why: impl Into<String>) -> Fault {
    (path.into(), why.into())
}

impl<'a> Declared<'a> {
    fn read(path: &str, tool: &'a Value) -> Result<Self, Fault> {
        let at = |key: &str| format!("{path}.{key}");
        let Some(map) = tool.as_object() else {
            return Err(fault(path, "must be a mapping with `component` and, as needed, `name`, `config`, `hosts`"));
        };
        if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(fault(at(key), format!("is not a setting of a tool; the settings are {}", KEYS.join(", "))));
        }
        let text = |key: &str| match map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(fault(at(key), "must be text")),
        };
        let component = text("component")?.and_then(components::find);
        let (component, tool) =
            component.and_then(|spec| Some((spec, spec.tool.as_ref()?))).ok_or_else(|| no_tool(at("component")))?;
        let name = text("name")?;
        if let Some(name) = name.filter(|name| !is_name(name)) {
            let why = format!(
                "`{name}` is not a valid name for a tool: use a-z, 0-9 and _, a letter first, at most 40, not `{RESERVED}`"
            );
            return Err(fault(at("name"), why));
        }
        let config = match map.get("config") {
            None | Some(Value::Null) => None,
            Some(Value::Object(config)) => Some(config),
            Some(_) => return Err(fault(at("config"), "must be a mapping")),
        };
        let declared = Self {
            component,
            tool,
            name,
            description: text("description")?,
            config,
            hosts: texts(map.get("hosts")).ok_or_else(|| fault(at("hosts"), "must be a list of hosts"))?,
            secrets: texts(map.get("secrets")).ok_or_else(|| fault(at("secrets"), "must be a list of names"))?,
        };
        declared.check(&at)?;
        Ok(declared)
    }

    /// What a page or an answer says must not choose where a call goes.
    fn check(&self, at: &dyn Fn(&str) -> String) -> Result<(), Fault> {
        let chooses_url = self.open().iter().any(|open| open.key == "url");
        if chooses_url && self.hosts.is_empty() {
            let why = "is missing, and the model chooses the url: list the hosts it may go to, such as example.com, \
                       *.example.com or \"{{ inputs.website_url }}\", or \"*\" for any";
            return Err(fault(at("hosts"), why));
        }
        if !chooses_url && !self.hosts.is_empty() {
            return Err(fault(at("hosts"), "does nothing here: the model chooses no url of this tool"));
        }
        if self.hosts.len() > MAX_HOSTS {
            return Err(fault(at("hosts"), format!("has {} hosts; at most {MAX_HOSTS}", self.hosts.len())));
        }
        for (nth, host) in self.hosts.iter().enumerate() {
            let at = format!("{}[{nth}]", at("hosts"));
            if host.contains("{{") || host.contains("{%") {
                if !destination::of_inputs(host) {
                    return Err(fault(at, "must be made of inputs alone: a page must not choose where a tool goes"));
                }
            } else if let Err(why) = Host::parse(host) {
                return Err(fault(at, why));
            }
        }
        if chooses_url && !self.secrets.is_empty() {
            let why = "the tool has secrets, and a model must not choose where they go: write `url` into its config";
            return Err(fault(at("config"), why));
        }
        if let Some(key) = self.tool.fixed.iter().find(|key| !self.has(key)) {
            let why = format!("must set `{key}`: a model does not decide what a tool may cost");
            return Err(fault(at("config"), why));
        }
        if !self.secrets.is_empty() && !self.component.sends_secrets {
            let why = format!("{} sends no secrets; a model's key comes from the locker", self.component.name);
            return Err(fault(at("secrets"), why));
        }
        Ok(())
    }

    fn has(&self, key: &str) -> bool {
        self.config.is_some_and(|config| config.get(key).is_some_and(|value| !value.is_null()))
    }

    #[must_use]
    pub fn name(&self) -> String {
        self.name.unwrap_or(self.tool.name).to_owned()
    }

    #[must_use]
    pub fn description(&self) -> String {
        self.description.unwrap_or(self.tool.does).to_owned()
    }

    /// The keys that the config leaves to the model.
    #[must_use]
    pub fn open(&self) -> Vec<&'static Open> {
        // What it does is the author's to say: without a method it is GET.
        let method = self.config.and_then(|config| config.get("method")).and_then(Value::as_str);
        let has_method = method.is_some_and(|method| !BODILESS.contains(&method.trim().to_uppercase().as_str()));
        let takes_body = has_method && !self.has("body");
        self.tool.open.iter().filter(|open| (takes_body || !open.is_body) && !self.has(open.key)).collect()
    }
}

/// JSON Schema of a setting that a model chooses: narrower than what an author may write.
#[must_use]
pub fn argument_schema(key: &str) -> Value {
    match key {
        "url" => json!({"type": "string", "format": "uri", "maxLength": 2_000}),
        "query" => json!({"type": "object", "description": "Query parameters", "maxProperties": 50,
            "additionalProperties": {"type": ["string", "number", "boolean"]}}),
        "json" => json!({"type": "object", "description": "The body"}),
        "max_depth" => {
            json!({"type": "integer", "minimum": 0, "maximum": 10, "description": "Links to follow in a row"})
        }
        _ => json!({"type": "string", "minLength": 1, "maxLength": 50_000, "description": "The question"}),
    }
}

impl Host {
    /// A host, with or without port; a URL stands for its own host.
    ///
    /// # Errors
    /// How one is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = || {
            let rule = host_name::RULE;
            format!("`{text}` is not a valid host: write example.com, example.com:8443, *.example.com or \"*\"; {rule}")
        };
        let text = text.trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let url = if rest.contains("://") { rest.to_owned() } else { format!("https://{rest}/") };
        let url = Url::parse(&url).map_err(|_| refuse())?;
        let host = url.host_str().filter(|_| host_name::is_possible(&url)).ok_or_else(refuse)?;
        let plain = rest.contains("://") || (url.path() == "/" && url.query().is_none() && url.username().is_empty());
        // Below an address is nothing, and below a name the usual port alone is meant.
        let is_domain = url.domain().is_some() && url.port().is_none();
        match (plain, below) {
            (false, _) => Err(refuse()),
            (true, true) if !is_domain => Err(refuse()),
            (true, true) => Ok(Self::Below(host.trim_end_matches('.').to_owned())),
            (true, false) => Ok(Self::Exactly(with_port(host, url.port()))),
        }
    }

    #[must_use]
    pub fn permits(&self, url: &Url) -> bool {
        let Some(host) = url.host_str().map(|host| host.trim_end_matches('.')) else { return false };
        match self {
            Self::Any => true,
            Self::Exactly(own) => *own == with_port(host, url.port()),
            Self::Below(own) => {
                url.port().is_none()
                    && host.strip_suffix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any host"),
            Self::Exactly(host) => f.write_str(host),
            Self::Below(host) => write!(f, "*.{host}"),
        }
    }
}

fn with_port(host: &str, port: Option<u16>) -> String {
    let host = host.trim_end_matches('.');
    port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= 40
        && text.chars().all(allowed)
        && text != RESERVED
}

/// A list of texts; nothing is an empty one.
fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tools: &Value) -> Result<Vec<String>, Fault> {
        let config = json!({"tools": tools});
        let found = super::tools(config.as_object().unwrap())?;
        Ok(found
            .iter()
            .map(|tool| format!("{}({})", tool.name(), tool.open().iter().map(|o| o.key).collect::<Vec<_>>().join(",")))
            .collect())
    }

    #[test]
    fn the_model_gets_what_the_config_leaves_open() {
        let tools = json!([
            {"component": "WebsiteConnector", "hosts": ["{{ inputs.website_url }}"]},
            {"component": "WebCrawler", "config": {"max_depth": 2}, "hosts": ["*.example.com"]},
            {"component": "HttpRequest", "name": "search", "config": {"url": "https://api.example.com/", "query": {"k": 1}}},
            {"component": "HttpRequest", "name": "send", "config": {"url": "https://api.example.com/", "method": "post"}, "secrets": ["key"]},
            {"component": "LLMProcessor", "config": {"model": "openai/m"}},
        ]);
        let expected =
            ["read_page(url)", "crawl_site(url)", "search()", "send(query,json)", "ask_model(prompt_template)"];
        assert_eq!(read(&tools).unwrap(), expected);
        assert!(read(&Value::Null).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (tools, path, word) in [
            (json!("{{ a.tools }}"), "tools", "written out"),
            (json!(["x"]), "tools[0]", "mapping"),
            (json!([{"component": "Transform"}]), "tools[0].component", "WebCrawler"),
            (json!([{"component": "{{ page.title }}"}]), "tools[0].component", "must be one of"),
            (json!([{"component": "WebCrawler"}]), "tools[0].hosts", "the model chooses the url"),
            (json!([{"component": "WebCrawler", "hosts": ["{{ page.url }}"]}]), "tools[0].hosts[0]", "inputs alone"),
            (json!([{"component": "WebCrawler", "hosts": ["a b"]}]), "tools[0].hosts[0]", "not a valid host"),
            (
                json!([{"component": "WebCrawler", "hosts": ["*"], "limit": 3}]),
                "tools[0].limit",
                "is not a setting of a tool",
            ),
            (
                json!([{"component": "WebCrawler", "hosts": ["*"], "name": "answer"}]),
                "tools[0].name",
                "is not a valid name",
            ),
            (
                json!([{"component": "HttpRequest", "hosts": ["a.example"], "secrets": ["k"]}]),
                "tools[0].config",
                "must not choose",
            ),
            (json!([{"component": "LLMProcessor"}]), "tools[0].config", "model"),
            (
                json!([{"component": "DataFetcher", "config": {"url": "https://a.example"}, "hosts": ["*"]}]),
                "tools[0].hosts",
                "does nothing",
            ),
        ] {
            let (at, why) = read(&tools).unwrap_err();
            assert!(at == path && why.contains(word), "{tools}: {at}: {why}");
        }
        let twice = json!([{"component": "WebCrawler", "hosts": ["*"]}, {"component": "WebCrawler", "hosts": ["*"]}]);
        assert_eq!(read(&twice).unwrap_err().0, "tools[1].name");
    }

    #[test]
    fn a_host_permits_itself_and_nothing_that_looks_like_it() {
        let permits = |host: &str, url: &str| Host::parse(host).unwrap().permits(&Url::parse(url).unwrap());
        assert!(permits("example.com", "https://example.com/a") && permits("example.com", "http://EXAMPLE.com./"));
        assert!(permits("http://127.0.0.1:8080/start", "http://127.0.0.1:8080/x"));
        assert!(
            permits("*.example.com", "https://a.b.example.com/") && permits("*.example.com", "https://example.com/")
        );
        assert!(permits("*", "https://anything.example/"));
        for (host, url) in [
            ("example.com", "https://evil.example/?example.com"),
            ("example.com", "https://example.com.evil.example/"),
            ("example.com", "https://example.com:8443/"),
            ("example.com", "https://a.example.com/"),
            ("*.example.com", "https://evilexample.com/"),
            ("*.example.com", "https://a.example.com:8443/"),
            ("example.com:8443", "https://example.com/"),
        ] {
            assert!(!permits(host, url), "{host} {url}");
        }
        for bad in [
            "",
            "a/b",
            "*.*.com",
            "user@host",
            "https://",
            "-a.com",
            "a-.com",
            "x:0",
            "https://x:0/",
            "example..com",
            ".example.com",
            "*..example.com",
            "*.-a.com",
            "*.example.com:0",
            "example.com..",
            "*.10.0.0.1",
            "a b",
        ] {
            assert!(Host::parse(bad).is_err(), "{bad}");
        }
    }
}
