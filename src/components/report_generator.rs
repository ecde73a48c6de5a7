//! `ReportGenerator`: a document out of a template, or out of the finished nodes.
//!
//! - [`blocks`]: values to headings, tables, lists and texts
//! - [`prose`]: Markdown from outside, made harmless
//! - [`markdown`], [`html`]: blocks to a document, everything from outside escaped
//! - [`harmless`]: an author's HTML with values from outside in it

mod blocks;
mod escape;
mod harmless;
mod html;
mod markdown;
mod prose;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use self::blocks::Block;
use super::{
    Component, ComponentError, Context, Escaping, Nodes,
    settings::{Settings, wrong},
};
use crate::{
    base::weight,
    catalog::components::{self, ComponentSpec, value::brief},
};

#[derive(Debug)]
pub struct ReportGenerator;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Markdown,
    Html,
    Json,
}

#[async_trait]
impl Component for ReportGenerator {
    fn spec(&self) -> &'static ComponentSpec {
        &components::REPORT_GENERATOR
    }

    /// HTML unless the recipe says for certain that it is something else.
    fn escaping(&self, config: &Map<String, Value>) -> Escaping {
        match config.get("format") {
            None | Some(Value::Null) => Escaping::None,
            Some(Value::String(text)) if !text.contains('{') && parse_format(text) != Some(Format::Html) => {
                Escaping::None
            }
            Some(_) => Escaping::Html,
        }
    }

    async fn run(&self, context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError> {
        let settings = Settings::of(&components::REPORT_GENERATOR, config)?;
        let format = format(&settings)?;
        let title = settings.text("title")?.map(|title| title.trim().to_owned()).filter(|title| !title.is_empty());
        let title = title.unwrap_or_else(|| "Report".to_owned());
        let output = match settings.value("template") {
            Some(Value::String(text)) if format == Format::Html => {
                own_html(title.clone(), text.clone(), context.runtime.now.clone()).await?
            }
            Some(template) => from_template(format, template)?,
            None => from_nodes(format, &title, &sections(context, &settings)?, &context.runtime.now),
        };
        let (content_type, extension) = match format {
            Format::Markdown => ("text/markdown; charset=utf-8", "md"),
            Format::Html => ("text/html; charset=utf-8", "html"),
            Format::Json => ("application/json", "json"),
        };
        Ok(
            json!({ "output": output, "content_type": content_type, "filename": format!("{}.{extension}", slug(&title)) }),
        )
    }
}

fn format(settings: &Settings<'_>) -> Result<Format, ComponentError> {
    let text = settings.text("format")?.unwrap_or_default();
    match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(Format::Markdown),
        "pdf" => Err(wrong("format", "pdf is not offered yet; use markdown, html or json")),
        other => parse_format(other)
            .ok_or_else(|| wrong("format", format!("must be markdown, html or json; got \"{text}\""))),
    }
}

fn parse_format(text: &str) -> Option<Format> {
    match text.trim().to_ascii_lowercase().as_str() {
        "markdown" | "md" => Some(Format::Markdown),
        "html" => Some(Format::Html),
        "json" => Some(Format::Json),
        _ => None,
    }
}

/// The template arrives rendered, and escaped as [`ReportGenerator::escaping`] asked.
fn from_template(format: Format, template: &Value) -> Result<String, ComponentError> {
    match (format, template) {
        (Format::Json, Value::String(text)) => {
            let value: Value = serde_json::from_str(text)
                .map_err(|error| wrong("template", format!("must give JSON for format json, and does not: {error}")))?;
            Ok(pretty(&value))
        }
        (Format::Json, value) => Ok(pretty(value)),
        (Format::Markdown, Value::String(text)) => Ok(text.clone()),
        (_, other) => Err(wrong("template", format!("must give text; got {}", brief(other)))),
    }
}

async fn own_html(title: String, template: String, now: String) -> Result<String, ComponentError> {
    let made = tokio::task::spawn_blocking(move || html::page(&title, &template, &now)).await;
    made.map_err(|error| ComponentError::new("internal", error.to_string()))?.map_err(|why| wrong("template", why))
}

/// HTML that is no report's, made harmless in the same way: a model's or a page's.
///
/// # Errors
/// In words for the author: it takes too long, or becomes too long.
pub fn harmless_html(html: &str) -> Result<String, String> {
    if harmless::is_document(html) { harmless::document(html) } else { harmless::part(html) }
}

fn from_nodes(format: Format, title: &str, sections: &[(String, Option<Value>)], now: &str) -> String {
    if format == Format::Json {
        let named: Map<_, _> =
            sections.iter().map(|(name, value)| (name.clone(), value.clone().unwrap_or_default())).collect();
        return pretty(&json!({ "title": title, "generated_at": now, "sections": named }));
    }
    let mut content = Vec::new();
    for (name, value) in sections {
        content.push(Block::Heading { level: 2, text: blocks::label(name) });
        match value {
            Some(value) => blocks::read(value, 3, &mut content),
            None => {
                content.push(Block::Text("No finished step has this name, so there is nothing to show.".to_owned()));
            }
        }
    }
    match format {
        Format::Html => html::document(title, &content, now),
        _ => markdown::document(title, &content, now),
    }
}

/// The sections asked for, or every finished node: `node` or `node.field`. One
/// that does not exist stays, empty, so that its absence is seen.
fn sections(context: &Context<'_>, settings: &Settings<'_>) -> Result<Vec<(String, Option<Value>)>, ComponentError> {
    let wanted = settings.texts("include_sections")?.filter(|names| !names.is_empty());
    let all = wanted.is_none();
    let names = wanted.unwrap_or_else(|| context.nodes.names().into_iter().map(str::to_owned).collect());
    let mut left = weight::MOST;
    let mut sections = Vec::with_capacity(names.len());
    for name in names {
        let value = find(context.nodes, &name, left)?;
        if !(all && value.as_ref().is_some_and(is_report)) {
            left = left.saturating_sub(value.as_ref().map_or(0, weight::of));
            sections.push((name, value));
        }
    }
    if !all && sections.iter().all(|(_, value)| value.is_none()) {
        let why = format!("does not name a finished node; these have finished: {}", context.nodes.names().join(", "));
        return Err(wrong("include_sections", why));
    }
    Ok(sections)
}

/// A copy of what the name stands for, which may hold `most` bytes of memory.
fn find(nodes: &dyn Nodes, name: &str, most: usize) -> Result<Option<Value>, ComponentError> {
    let mut parts = name.trim().split('.');
    let Some(found) = nodes.output(parts.next().unwrap_or_default(), weight::MOST) else { return Ok(None) };
    let found = found.and_then(|first| {
        let mut rest = parts.filter(|part| *part != "output");
        let part = rest.try_fold(first, |mut value, part| Some(value.get_mut(part)?.take()));
        part.map_or(Some(None), |part| (weight::of(&part) <= most).then_some(Some(part)))
    });
    found.ok_or_else(|| {
        let most = weight::MOST >> 20;
        let why =
            format!("would put more than {most} MiB into one report, at {name}; name fewer nodes or their fields");
        wrong("include_sections", why)
    })
}

/// Whether a node's output is another report: it would hold everything twice.
fn is_report(value: &Value) -> bool {
    value.as_object().is_some_and(|map| {
        map.len() == 3 && ["output", "content_type", "filename"].iter().all(|key| map.contains_key(*key))
    })
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A title as a file name: lower-case letters, digits and dashes. It may have been escaped for HTML.
fn slug(title: &str) -> String {
    const LONGEST: usize = 60;
    let mut slug = String::new();
    for c in escape::unescape(title).chars() {
        if c.is_alphanumeric() {
            slug.extend(c.to_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() >= LONGEST {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "report".to_owned() } else { slug.to_owned() }
}
