//! Schemas that strangers write: measured before they are compiled.

use std::time::{Duration, Instant};

use serde_json::{Map, json};

use super::*;

/// `levels` definitions, each of which has the next one twice under `key`.
fn doubling(key: &str, levels: usize) -> Value {
    let mut definitions = Map::new();
    for level in 0..levels {
        let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
        definitions.insert(format!("d{level}"), json!({key: [next, next]}));
    }
    definitions.insert(format!("d{levels}"), json!({"type": "string"}));
    json!({"$ref": "#/$defs/d0", "$defs": definitions})
}

fn refused(schema: &Value) -> String {
    let start = Instant::now();
    let why = BoundedSchema::compile(schema).expect_err("refused");
    assert!(start.elapsed() < Duration::from_secs(2), "{why}");
    why
}

#[test]
fn a_schema_that_multiplies_is_refused_before_it_is_compiled() {
    for key in ["allOf", "anyOf", "oneOf", "prefixItems"] {
        for levels in [14, 20] {
            assert!(refused(&doubling(key, levels)).contains("values"), "{key}");
        }
        assert!(refused(&doubling(key, 400)).contains("levels deep"), "{key}");
    }
    let many = vec![json!({"pattern": "a"}); 101];
    assert!(refused(&json!({"allOf": many})).contains("patterns"));
    let mut nested = json!({});
    for _ in 0..12 {
        nested = json!({"anyOf": [nested], "unevaluatedProperties": false});
    }
    assert!(refused(&nested).contains("additionalProperties"));
}

#[test]
fn a_schema_that_refers_to_itself_or_elsewhere_is_refused() {
    for (schema, why) in [
        (json!({"allOf": [{"$ref": "#"}]}), "itself"),
        (json!({"properties": {"a": {"$ref": "#/properties/a"}}}), "itself"),
        (json!({"$dynamicRef": "#a"}), "$dynamicRef"),
        (json!({"$recursiveRef": "#"}), "$recursiveRef"),
        (json!({"items": {"$anchor": "a"}}), "$anchor"),
        (json!({"items": {"$id": "http://a.example/"}}), "`$id` inside"),
        (json!({"$schema": "http://json-schema.org/draft-04/schema#"}), "draft 6"),
        (json!({"$ref": "#/%24defs/a", "$defs": {"a": {}}}), "nowhere"),
        (json!({"$ref": "https://example.com/a.json"}), "nowhere"),
    ] {
        assert!(refused(&schema).contains(why), "{schema}: {}", refused(&schema));
    }
}

#[test]
fn a_large_answer_to_a_large_schema_is_refused_before_it_is_checked() {
    let each = vec![json!({"minimum": 1}); 3000];
    let schema = BoundedSchema::compile(&json!({"items": {"allOf": each}})).unwrap();
    let long = json!(vec![0; 30_000]);
    assert!(schema.problems(&long, 3).unwrap_err().contains("too large"));
    assert_eq!(schema.problems(&json!([0]), 3).unwrap().len(), 3);
}

#[test]
fn an_honest_schema_is_taken() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"name": {"type": "string", "pattern": "^\\w{1,50}$"}},
        "properties": {"id": {"$ref": "#/$defs/name"}, "$ref": {"type": "integer"}, "of": {"$ref": "#/$defs/name"}}
    });
    let schema = BoundedSchema::compile(&schema).unwrap();
    assert!(schema.problems(&json!({"id": "anna", "$ref": 3}), 3).unwrap().is_empty());
    assert_eq!(schema.problems(&json!({"id": "", "$ref": "x"}), 3).unwrap().len(), 2);
    BoundedSchema::compile(&doubling("allOf", 6)).unwrap();
}

#[test]
fn what_is_slow_to_compare_or_to_match_is_refused_before_it_is_checked() {
    let start = Instant::now();
    let unique = BoundedSchema::compile(&json!({"uniqueItems": true})).unwrap();
    let pairs = |n: usize| json!((0..n).map(|n| json!([n, n])).collect::<Vec<_>>());
    assert!(unique.problems(&json!((0..20_000).collect::<Vec<_>>()), 3).unwrap().is_empty());
    assert!(unique.problems(&pairs(500), 3).unwrap().is_empty());
    assert!(unique.problems(&pairs(20_000), 3).unwrap_err().contains("too large"));
    let text = json!("a".repeat(2 << 20));
    let pattern = BoundedSchema::compile(&json!({"pattern": "[ab]*a[ab]{100}c"})).unwrap();
    assert!(pattern.problems(&text, 3).unwrap_err().contains("too large"));
    let regex = json!({"$schema": "http://json-schema.org/draft-07/schema#", "format": "regex"});
    let regex = BoundedSchema::compile(&regex).unwrap();
    assert!(regex.problems(&json!("(a{1000}){1000}"), 3).unwrap().is_empty(), "it is not compiled");
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_pattern_is_refused_with_the_reason_and_the_remedy() {
    for (pattern, reason, remedy) in [
        ("(a{1000}){1000}", "larger than 65536 bytes", "smaller numbers in braces"),
        ("(?=a)b", "look-around", "without `(?=`"),
        ("(?<!a)b", "look-around", "without `(?=`"),
        (r"(a)\1", "backreferences", r"without `\1`"),
        ("a(b", "unclosed group", "a valid one"),
        ("[z-a]", "range", "a valid one"),
        ("a{2,1}", "repetition", "a valid one"),
    ] {
        let nested = json!({"properties": {"a": {"items": {"pattern": pattern}}}});
        for schema in [json!({"pattern": pattern}), json!({"patternProperties": {pattern: {}}}), nested] {
            let why = refused(&schema);
            assert!(why.contains(reason) && why.contains(remedy), "{schema}: {why}");
            assert!(why.contains(&format!("`{pattern}`")) && !why.contains('\n'), "{schema}: {why}");
        }
    }
    let long = format!("(?=a){}", "b".repeat(5_000));
    assert!(refused(&json!({"pattern": long})).len() < 400, "the pattern is cut short");
}
