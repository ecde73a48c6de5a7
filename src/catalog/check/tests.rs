//! Faults that validation finds, and documents that it lets through.

use super::*;

fn offered(name: &str) -> bool {
    ["WebCrawler", "LLMProcessor", "Transform", "ReportGenerator", "SubscriptionTracker"].contains(&name)
}

fn check(source: &str) -> Result<Checked, Report> {
    recipe(source, &offered)
}

/// The paths of the problems, in order.
fn faults(source: &str) -> Vec<String> {
    check(source).unwrap_err().problems.into_iter().map(|problem| problem.path).collect()
}

/// The one problem's message.
fn fault(source: &str) -> String {
    let report = check(source).unwrap_err();
    assert_eq!(report.problems.len(), 1, "{report}");
    report.problems[0].to_string()
}

fn with_nodes(nodes: &str) -> String {
    let nodes = nodes.trim_end().replace('\n', "\n    ");
    format!(
        "recipe:\n  id: x\n  name: X\n  version: 1.0\n  inputs:\n  - {{ name: url, type: string }}\n  workflow:\n    nodes:{nodes}\n"
    )
}

const FULL: &str = include_str!("tests/full.yaml");

#[test]
fn every_key_of_the_format_is_accepted() {
    let checked = check(FULL).unwrap();
    let recipe = &checked.recipe;
    assert_eq!(recipe.compliance.cost_per_unit.get().to_string(), "0.50");
    assert_eq!(recipe.workflow.nodes[0].retry.as_ref().unwrap().max_attempts, Some(4));
    assert_eq!(recipe.ab_testing.as_ref().unwrap().variants[1].version.as_str(), "1.1.0-beta");
    let warned: Vec<&str> = checked.warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(warned, ["recipe.workflow.nodes[0].cache"]);
}

#[test]
fn a_stored_recipe_is_the_one_that_was_read() {
    let checked = check(FULL).unwrap();
    let stored = serde_json::to_value(&*checked.recipe).unwrap();
    assert_eq!(serde_json::from_value::<Recipe>(stored).unwrap(), *checked.recipe);
}

#[test]
fn json_is_the_same_document() {
    let (tree, _) = read::parse(FULL).unwrap();
    let json = serde_json::to_string_pretty(&tree.to_json()).unwrap();
    let (from_json, from_yaml) = (check(&json).unwrap(), check(FULL).unwrap());
    // A machine writes 0.5 for 0.50; the amounts are equal.
    assert_eq!(from_json.recipe, from_yaml.recipe);
    assert_eq!(from_json.content_hash, from_yaml.content_hash);
}

#[test]
fn the_schema_accepts_what_the_reader_accepts() {
    let (tree, _) = read::parse(FULL).unwrap();
    let schema = serde_json::to_value(crate::catalog::schema::recipe()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&tree.to_json()).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let mut wrong = tree.to_json();
    wrong["recipe"]["workflow"]["nodes"][0]["colour"] = "red".into();
    assert!(!validator.is_valid(&wrong));
    wrong = tree.to_json();
    wrong["recipe"].as_object_mut().unwrap().remove("version");
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let source = r#"
recipe:
  id: Site Audit
  name: X
  version: "1"
  colour: red
  inputs:
    - { name: depth, type: integer, default: 30, range: [1, 10] }
    - { name: depth, type: number }
    - { name: tone, type: string, enum: [warm, 3], max_lenght: 4 }
  workflow:
    nodes:
      - { id: a, component: WebCrawlr, depends_on: [c] }
      - { id: b, component: LLMProcessor, depends_on: [a, nobody], config: { prompt_template: "{% for %}", x: "{{ d.y }}" } }
      - { id: c, component: Transform, depends_on: [b], timeout: soon, secrets: { key: sk-123 } }
      - { id: d, component: Agent, retry: { max_attempts: 0 } }
    output: { source: "e.output", filename: "{nope}.md" }
  ab_testing: { variants: ["1.0.0", { version: "1.0" }], success_metric: fame }
"#;
    let report = check(source).unwrap_err();
    let nodes = "recipe.workflow.nodes";
    let expected: Vec<String> = [
        "recipe.id",
        "recipe.version",
        "recipe.colour",
        "recipe.inputs[0].default",
        "recipe.inputs[1].name",
        "recipe.inputs[1].type",
        "recipe.inputs[2].enum[1]",
        "recipe.inputs[2].max_lenght",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(
        [
            "[0].component",
            "[0].depends_on",
            "[1].depends_on[1]",
            "[1].config.prompt_template",
            "[1].config.x",
            "[2].timeout",
            "[2].secrets.key",
            "[3].component",
            "[3].retry.max_attempts",
        ]
        .map(|path| format!("{nodes}{path}")),
    )
    .chain(
        [
            "recipe.workflow.output.source",
            "recipe.workflow.output.filename",
            "recipe.ab_testing.variants[1]",
            "recipe.ab_testing.success_metric",
        ]
        .map(str::to_owned),
    )
    .collect();
    let found: Vec<&str> = report.problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(found, expected, "{report}");
    assert!(report.problems.iter().all(|problem| problem.line.is_some()));
    let text = report.to_string();
    for word in [
        "did you mean `WebCrawler`",
        "not offered by this installation yet",
        "did you mean `max_length`",
        "form a cycle",
        "out of range",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("sk-123"), "a secret must not be repeated");
}

#[test]
fn a_fault_names_its_line_and_column() {
    let report = check("recipe:\n  id: x\n  name: X\n  version: 1.0\n  workflow:\n    nodes:\n    - id: a\n      component: Transform\n      depends_on: [b]\n").unwrap_err();
    assert_eq!((report.problems[0].line, report.problems[0].column), (Some(9), Some(20)));
}

#[test]
fn templates_see_only_what_has_run() {
    let node = |config: &str, more: &str| {
        with_nodes(&format!(
            "\n- {{ id: a, component: Transform }}\n- {{ id: b, component: Transform, depends_on: [a] }}\n- {{ id: c, component: Transform, depends_on: [b]{more}, config: {{ x: \"{config}\" }} }}\n- {{ id: d, component: Transform }}\n- {{ id: e, component: Transform, depends_on: [c] }}"
        ))
    };
    for good in [
        "{{ a.x }}{{ b.output.y }}",
        "{{ inputs.url }} {{ runtime.now }}",
        "{{ inputs.maybe | default('') }}",
        "{% for p in a.pages %}{{ p.x }}{{ loop.index }}{% endfor %}",
    ] {
        assert!(check(&node(good, "")).is_ok(), "{good}: {}", check(&node(good, "")).unwrap_err());
    }
    for (bad, words) in [
        ("{{ d.x }}", "add `d` to the `depends_on` of `c`"),
        ("{{ e.x }}", "runs after `c`"),
        ("{{ c.x }}", "its own output"),
        ("{{ url }}", "write `inputs.url`"),
        ("{{ inputs.urll }}", "did you mean `url`"),
        ("{{ runtime.today }}", "there is no `runtime.today`"),
        ("{{ item.x }}", "for_each"),
        ("{{ secrets.key }}", "never reach a template"),
        ("{{ nobody }}", "is not a node of this recipe"),
        ("{% if a.x %}", "is not a valid template"),
    ] {
        let message = fault(&node(bad, ""));
        assert!(message.contains(words) && message.contains("nodes[2].config.x"), "{bad}: {message}");
    }
    assert!(check(&node("{{ item.x }} {{ index }}", ", for_each: a.pages, when: \"{{ inputs.url }}\"")).is_ok());
    assert!(fault(&node("y", ", for_each: d.pages")).contains("for_each: `d` may not have run"));
    assert!(fault(&node("y", ", when: item.x, for_each: a.pages")).contains("before the loop"));
    assert!(fault(&node("y", ", when: a ==")).contains("is not a valid expression"));
}

#[test]
fn ids_that_templates_cannot_say_are_refused_with_a_remedy() {
    assert!(fault(&with_nodes("\n- { id: fetch-pages, component: Transform }")).contains("write `fetch_pages`"));
    assert!(fault(&with_nodes("\n- { id: inputs, component: Transform }")).contains("choose another id"));
    assert_eq!(
        faults(&with_nodes("\n- { id: a, component: Transform }\n- { id: a, component: Transform }")),
        ["recipe.workflow.nodes[1].id"]
    );
    assert!(fault(&with_nodes(" []")).contains("no nodes"));
}

#[test]
fn a_page_cannot_choose_where_a_secret_goes() {
    let http = |config: &str, more: &str| {
        let node = "\n- { id: page, component: Transform }";
        let node =
            format!("{node}\n- {{ id: a, component: HttpRequest, depends_on: [page], config: {{ {config} }}{more} }}");
        recipe(&with_nodes(&node), &|_| true)
    };
    let secrets = ", secrets: { api_key: \"secret:key\" }";
    for (url, more) in [
        ("https://api.example.com/{{ inputs.url }}", secrets.to_owned()),
        ("https://api.example.com", secrets.to_owned()),
        ("{{ inputs.url }}", String::new()),
        ("{{ page.url }}", format!("{secrets}, secret_hosts: [api.example.com]")),
    ] {
        let checked = http(&format!("url: \"{url}\""), &more).unwrap_or_else(|report| panic!("{url}: {report}"));
        assert!(checked.warnings.is_empty(), "{url}");
    }
    // Whoever runs the recipe may choose, and its author is told.
    let checked = http("url: \"https://{{ inputs.url }}/\"", secrets).unwrap();
    assert_eq!(checked.warnings[0].path, "recipe.workflow.nodes[1].config.url");
    for url in ["{{ page.url }}", "https://{{ inputs.url ~ page.x }}/", "https://api.example.com{{ page.url }}"] {
        let report = http(&format!("url: \"{url}\""), secrets).unwrap_err();
        assert_eq!(report.problems.len(), 1, "{report}");
        assert_eq!(report.problems[0].path, "recipe.workflow.nodes[1].config.url");
        assert!(report.problems[0].message.contains("secret_hosts"), "{report}");
    }
    let report = http("url: \"{{ inputs.url }}\"", &format!("{secrets}, secret_hosts: [\"{{{{ inputs.url }}}}\"]"));
    assert_eq!(report.unwrap_err().problems[0].path, "recipe.workflow.nodes[1].secret_hosts[0]");

    let ask = |config: &str| {
        let node = "\n- { id: page, component: Transform }";
        let node = format!(
            "{node}\n- {{ id: a, component: LLMProcessor, depends_on: [page], config: {{ {config} }}{secrets} }}"
        );
        recipe(&with_nodes(&node), &|_| true)
    };
    assert!(ask("provider: openai, model: \"{{ page.url }}\"").is_ok());
    assert!(ask("model: openai/gpt-4o-mini").is_ok() && ask("model: \"{{ inputs.url }}\"").is_ok());
    let report = ask("model: \"{{ page.url }}\"").unwrap_err();
    assert_eq!(report.problems[0].path, "recipe.workflow.nodes[1].config.model");
    assert!(report.problems[0].message.contains("`provider`"), "{report}");
}

#[test]
fn what_waits_is_checked_where_it_stands() {
    let node = |component: &str, config: &str, more: &str| {
        let node = format!("\n- {{ id: a, component: {component}, config: {{ {config} }}{more} }}");
        recipe(&with_nodes(&node), &|_| true)
    };
    let path = |component: &str, config: &str| {
        let report = node(component, config, "").unwrap_err();
        assert_eq!(report.problems.len(), 1, "{report}");
        report.problems[0].path.trim_start_matches("recipe.workflow.nodes[0].").to_owned()
    };
    assert_eq!(path("Approval", "form: { type: object }"), "config");
    assert_eq!(path("Approval", "message: Go on?, form: { type: wrong }"), "config.form");
    assert_eq!(path("Approval", "message: Go on?, approvers: [team_member, nobody]"), "config.approvers[1]");
    assert_eq!(path("Approval", "message: Go on?, timout: 1h"), "config.timout");
    assert_eq!(path("SubRecipe", "recipe: x"), "config.recipe");
    assert_eq!(path("SubRecipe", "recipe: other, version: newest"), "config.version");
    assert!(node("Approval", "message: \"{{ inputs.url }}\"", "").unwrap().warnings.is_empty());
    assert!(node("SubRecipe", "recipe: other, inputs: { url: \"{{ inputs.url }}\" }", "").unwrap().warnings.is_empty());
    let warned = |component: &str, config: &str, more: &str| {
        let checked = node(component, config, more).unwrap();
        checked.warnings.iter().map(|warning| warning.path.rsplit('.').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(warned("SubRecipe", "recipe: other", ", timeout: 1m, cache: { ttl: 1h }"), ["timeout", "cache"]);
    assert_eq!(warned("Transform", "value: 1", ", cache: { ttl: 1h }, on_unknown: ask"), [""; 0]);
    assert_eq!(warned("Transform", "value: 1", ", cache: { ttl: 1h }, secrets: { k: \"secret:k\" }"), ["cache"]);
}

#[test]
fn edges_and_depends_on_are_one() {
    let edges = with_nodes(
        "\n- { id: a, component: Transform }\n- { id: b, component: Transform, config: { x: \"{{ a.x }}\" } }\nedges: [{ from: a, to: b }]",
    );
    assert!(check(&edges).is_ok());
    let cycle = edges.replace("edges: [", "edges: [{ from: b, to: a }, ");
    assert!(fault(&cycle).contains("form a cycle"), "{}", fault(&cycle));
    let alone = edges.replace("edges: [", "edges: [{ from: a, to: a }, ");
    assert!(fault(&alone).contains("depends on itself"));
}

#[test]
fn what_is_no_recipe_is_refused_in_one_sentence() {
    for (source, words) in [
        ("", "empty"),
        ("- a\n- b", "expected a mapping"),
        ("hello", "expected a mapping"),
        ("recipe: [", "not readable as YAML"),
        ("recipe: 3", "expected a mapping"),
        ("{\"recipe\": ", "not readable as YAML"),
    ] {
        assert!(fault(source).contains(words), "{source}: {}", fault(source));
    }
    assert_eq!(faults("cookbook: {}"), ["", "cookbook"]);
}

#[test]
fn limits_hold() {
    let many = (0..201).map(|n| format!("\n- {{ id: n{n}, component: Transform }}")).collect::<Vec<_>>().concat();
    assert!(fault(&with_nodes(&many)).contains("at most 200"));
    let inputs: Vec<_> = (0..101).map(|n| serde_json::json!({"name": format!("n{n}"), "type": "string"})).collect();
    let document = serde_json::json!({"recipe": {"id": "x", "name": "X", "version": "1.0.0", "inputs": inputs,
        "workflow": {"nodes": [{"id": "a", "component": "Transform"}]}}});
    assert!(fault(&document.to_string()).contains("at most 100"));
}

#[test]
fn a_cookbook_is_checked_too() {
    let good = "cookbook:\n  id: seo-v1\n  name: SEO\n  version: 1.0.0\n  author: A\n  created_at: 2025-01-01\n  required_secrets: [key]\n  allowed_data_sources:\n  - { type: web_crawler, description: d, max_pages: 100, respect_robots: true }\n  - { type: analytics_api, providers: [google_analytics] }\n  recipes: [a, b]\n  subscription_limits: { max_pages_per_crawl: 100, max_executions_per_month: 500, max_concurrent_executions: 3 }\n  pricing: { base_price: 50.00, currency: USD, billing_period: monthly }\n";
    let checked = cookbook(good).unwrap();
    assert_eq!(checked.cookbook.role_name(), "SEO");
    assert_eq!(checked.cookbook.pricing.unwrap().base_price.get().to_string(), "50.00");
    let bad =
        good.replace("[a, b]", "[a, a, B]").replace("[key]", "[KEY]").replace("USD", "EUR").replace("author", "autor");
    let paths: Vec<String> = cookbook(&bad).unwrap_err().problems.into_iter().map(|problem| problem.path).collect();
    assert_eq!(
        paths,
        [
            "cookbook.autor",
            "cookbook.required_secrets[0]",
            "cookbook.recipes[1]",
            "cookbook.recipes[2]",
            "cookbook.pricing.currency"
        ]
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    /// A line left out or cut short gives a report, never anything worse.
    #[test]
    fn a_damaged_document_gives_a_report(line in 0..80_usize, keep in 0..40_usize) {
        let damaged: Vec<String> = FULL.lines().enumerate()
            .map(|(n, text)| if n == line { text.chars().take(keep).collect() } else { text.to_owned() })
            .collect();
        if let Err(report) = check(&damaged.join("\n")) {
            proptest::prop_assert!(!report.problems.is_empty());
        }
    }
}
