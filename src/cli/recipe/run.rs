//! `teamai recipe run`: one recipe from a file, through the HTTP API of the stack that answers.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::super::{
    api_client::ApiClient,
    exit::{self, BadUse},
    progress::Progress,
    show, shutdown,
    task_run::{self, Outcome, id_of, items},
};

/// The recipe's version must be new or unchanged: a published one is never altered.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The recipe, YAML or JSON
    file: PathBuf,
    /// An input of the recipe; the value is JSON where it can be read as such, else text
    #[arg(long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// The agent that runs it; need not be named where there is one alone
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    api: String,
    /// File with an admin's access token or an API key; - for standard input
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Report as one JSON object
    #[arg(long)]
    json: bool,
}

/// # Errors
/// The file or an input cannot be read, or the server refuses.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let shutdown = shutdown::on_signal()?;
    let source = read(&args.file)?;
    let inputs = parse(&args.inputs)?;
    let token = read(&args.token_file)?.trim().to_owned();
    let mut api = ApiClient::new(&args.api)?.with_token(token);
    let mut progress = Progress::start();
    let work = async {
        let recipe = api.post_text("/recipes", "application/yaml", source).await?;
        progress.done(&format!("published {} {}", text(&recipe["slug"]), text(&recipe["version"])));
        for secret in recipe["bound_secrets"].as_array().into_iter().flatten() {
            progress.done(&format!("bound the secret {} to {}", text(&secret["key_name"]), secret["hosts"]));
        }
        for warning in recipe["warnings"].as_array().into_iter().flatten() {
            progress.done(&format!("warning: {}: {}", text(&warning["path"]), text(&warning["message"])));
        }
        let agent = match args.agent {
            Some(agent) => agent,
            None => only_agent(&items(api.get("/agents?limit=200").await?)?)?,
        };
        let task = json!({"agent_instance_id": agent, "recipe": id_of(&recipe)?, "inputs": inputs});
        let task = api.post("/tasks", &task).await?;
        progress.done(&format!("enqueued task {}", id_of(&task)?));
        task_run::follow(&mut api, &task, &mut progress).await
    };
    let outcome = tokio::select! {
        outcome = work => outcome?,
        () = shutdown.cancelled() => bail!("interrupted; the task goes on"),
    };
    drop(progress);
    Ok(report(&outcome, args.json))
}

fn report(outcome: &Outcome, as_json: bool) -> ExitCode {
    let Outcome { task, output, steps, ledger } = outcome;
    if as_json {
        println!("{}", json!({"task": task, "steps": steps, "ledger": ledger}));
    } else {
        if !output.is_empty() {
            println!("OUTPUT\n\n{}\n", output.trim());
        }
        println!("STEPS\n\n{}\nLEDGER\n\n{}", show::steps(steps), show::ledger(ledger).0);
    }
    if task["status"] == "completed" {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: the task is {}: {}", text(&task["status"]), task["error"]);
    exit::failed()
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut content = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut content).map(drop)
    } else {
        std::fs::read_to_string(file).map(|text| content = text)
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(content)
}

fn parse(inputs: &[String]) -> Result<Map<String, Value>, BadUse> {
    let mut parsed = Map::new();
    for input in inputs {
        let (name, value) = input
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| BadUse(format!("--input {input}: write NAME=VALUE")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        if parsed.insert(name.to_owned(), value).is_some() {
            return Err(BadUse(format!("--input {name} is given twice")));
        }
    }
    Ok(parsed)
}

fn only_agent(agents: &[Value]) -> anyhow::Result<String> {
    let active: Vec<_> = agents.iter().filter(|agent| agent["status"] == "active").collect();
    match active[..] {
        [] => bail!("there is no active agent to run it: hire one with POST /agents"),
        [agent] => id_of(agent),
        _ => {
            let names: Vec<_> = active
                .iter()
                .map(|agent| format!("{} ({})", text(&agent["id"]), text(&agent["custom_name"])))
                .collect();
            bail!("there are several agents, choose one with --agent: {}", names.join(", "))
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_json_where_they_can_be() {
        let given =
            ["url=https://example.com/?a=b", "pages=3", "deep=true", "tags=[\"a\"]", "empty="].map(str::to_owned);
        let expected = json!({"url": "https://example.com/?a=b", "pages": 3, "deep": true, "tags": ["a"], "empty": ""});
        assert_eq!(Value::Object(parse(&given).unwrap()), expected);
        for bad in [vec!["pages"], vec!["=3"], vec!["a=1", "a=2"]] {
            let bad: Vec<_> = bad.into_iter().map(str::to_owned).collect();
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_agent_is_taken_where_there_is_no_choice() {
        let agent = |id: &str, status: &str| json!({"id": id, "custom_name": "Ada", "status": status});
        assert_eq!(only_agent(&[agent("a", "paused"), agent("b", "active")]).unwrap(), "b");
        assert!(only_agent(&[]).unwrap_err().to_string().contains("POST /agents"));
        let several = only_agent(&[agent("a", "active"), agent("b", "active")]).unwrap_err().to_string();
        assert!(several.contains("a (Ada), b (Ada)"), "{several}");
    }
}
