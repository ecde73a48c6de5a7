//! What a task gives: the value, type and file of its output, and the score of its judges.

use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::{accept::Outputs, run::Run};
use crate::{
    base::weight,
    catalog::{
        Plan, Step,
        components::Gives,
        model::OutputFormat,
        template::{Scope, TemplateError, enter},
    },
    components::{ComponentError, harmless_html},
    tasks::TaskOutput,
};

impl Run<'_> {
    /// What the recipe's `output` names; without one, what the nodes that nothing depends on gave.
    pub(super) async fn output(&self, scope: &Scope, outputs: &Outputs) -> Result<TaskOutput, ComponentError> {
        let plan = &self.runnable.plan;
        let spec = plan.recipe().workflow.output.as_ref();
        let (value, filename) = if plan.output_only_copies() && self.room.is_light() {
            named_output(plan, scope, outputs)?
        } else {
            let (runnable, scope, outputs) = (Arc::clone(&self.runnable), scope.clone(), outputs.clone());
            self.apart(move || named_output(&runnable.plan, &scope, &outputs)).await?
        };
        let format = spec.and_then(|spec| spec.format);
        let report = self.report(outputs).filter(|_| value.is_string());
        let of_report = |key: &str| report.as_ref().and_then(|report| report.get(key)).and_then(Value::as_str);
        let content_type = of_report("content_type").unwrap_or_else(|| content_type(format, &value)).to_owned();
        let value = match value {
            Value::String(html) if content_type.starts_with("text/html") && of_report("output") != Some(&html) => {
                self.harmless(html).await?
            }
            value => value,
        };
        let of_recipe = || format!("{}.{}", plan.recipe().id.as_str(), extension(&content_type));
        let filename = filename.unwrap_or_else(|| of_report("filename").map_or_else(of_recipe, str::to_owned));
        Ok(TaskOutput { content_type, filename, value })
    }

    /// What the node that the output is taken from gave, if it is a report. What another
    /// component gave under the names of a report's fields, a page may have chosen.
    fn report(&self, outputs: &Outputs) -> Option<Value> {
        let spec = self.runnable.plan.recipe().workflow.output.as_ref()?;
        let source = spec.source.split('.').next()?;
        let mut steps = self.runnable.plan.steps().iter();
        steps.find(|step| step.node.id.as_str() == source && gives(step, Gives::Report))?;
        outputs.get(source)?.kept.json(weight::MOST)
    }

    /// HTML that a model or a page may have written. It takes a stranger's time, as templates do.
    async fn harmless(&self, html: String) -> Result<Value, ComponentError> {
        let failure = |message| TemplateError { node: String::new(), path: "output".to_owned(), message };
        let work = move || {
            enter("output");
            harmless_html(&html).map(Value::String).map_err(failure)
        };
        Ok(self.apart(work).await?)
    }

    /// The mean of what the judges gave; of a `for_each`, each entry is one.
    pub(super) fn quality_score(&self, outputs: &Outputs) -> Option<Decimal> {
        let judges = self.runnable.plan.steps().iter().filter(|step| gives(step, Gives::Score));
        let given = judges.filter_map(|step| outputs.get(step.node.id.as_str())?.kept.json(weight::MOST));
        let scores: Vec<Decimal> = given
            .flat_map(|output| match output {
                Value::Array(each) => each,
                one => vec![one],
            })
            .filter_map(|judged| judged["quality_score"].to_string().parse().ok())
            .collect();
        let count = Decimal::from(scores.len());
        scores.iter().sum::<Decimal>().checked_div(count)
    }
}

fn gives(step: &Step, what: Gives) -> bool {
    step.node.spec().is_some_and(|spec| spec.gives == what)
}

/// The output's value, and its file's name where the recipe gives one.
///
/// # Errors
/// A template fails; it is larger than an output may be.
fn named_output(plan: &Plan, scope: &Scope, outputs: &Outputs) -> Result<(Value, Option<String>), ComponentError> {
    let value = match plan.output(scope)? {
        Some(value) => value,
        None => last_outputs(plan.steps(), outputs)?,
    };
    Ok((value, plan.file_name(scope)?))
}

/// # Errors
/// They are larger together than an output may be.
fn last_outputs(steps: &[Arc<Step>], outputs: &Outputs) -> Result<Value, ComponentError> {
    let last = steps.iter().filter(|step| step.dependents.is_empty()).map(|step| step.node.id.as_str());
    let mut left = weight::MOST;
    let mut values = Map::new();
    for node in last {
        let value = match outputs.get(node) {
            Some(output) => output.kept.json(left).ok_or_else(too_large)?,
            None => Value::Null,
        };
        left = left.saturating_sub(weight::of(&value));
        values.insert(node.to_owned(), value);
    }
    if values.len() > 1 {
        return Ok(Value::Object(values));
    }
    Ok(values.into_iter().next().map_or(Value::Null, |(_, only)| only))
}

fn too_large() -> ComponentError {
    let message = format!(
        "what the last nodes gave holds more than {} MiB of memory together: name the one that counts under \
         workflow.output.source",
        weight::MOST >> 20
    );
    ComponentError::new("output_too_large", message).field("workflow.output")
}

fn content_type(format: Option<OutputFormat>, value: &Value) -> &'static str {
    match (format, value) {
        (Some(OutputFormat::Html), Value::String(_)) => "text/html; charset=utf-8",
        (Some(OutputFormat::Markdown), Value::String(_)) => "text/markdown; charset=utf-8",
        (Some(OutputFormat::Csv), Value::String(_)) => "text/csv; charset=utf-8",
        (Some(OutputFormat::Json), _) | (_, Value::Array(_) | Value::Object(_)) => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}

fn extension(content_type: &str) -> &'static str {
    match content_type.split(';').next().unwrap_or_default() {
        "text/html" => "html",
        "text/markdown" => "md",
        "text/csv" => "csv",
        "application/json" => "json",
        _ => "txt",
    }
}
