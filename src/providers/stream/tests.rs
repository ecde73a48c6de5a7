//! Streams that fail, and calls in pieces.

use serde_json::{Value, json};

use super::{Broken, Reading};
use crate::providers::{
    Heard,
    asked::Asked,
    known,
    protocol::{Fold, Protocol},
};

fn read(protocol: &dyn Protocol, pieces: &[&[u8]]) -> Result<Box<dyn Fold>, Broken> {
    let heard = Heard::default();
    let mut reading = Reading::new(protocol, &heard);
    pieces.iter().try_for_each(|piece| reading.feed(piece))?;
    reading.finish()
}

#[test]
fn an_error_in_a_stream_and_an_event_that_is_no_json_are_told_apart() {
    let failed = br#"data: {"type": "error", "error": {"type": "overloaded_error", "message": "later"}}"#;
    for protocol in known::PROTOCOLS {
        let broken = read(protocol, &[failed, b"\n\n"]).unwrap_err();
        assert!(matches!(broken, Broken::Failed(event) if event["error"]["type"] == "overloaded_error"));
        let broken = read(protocol, &[b"data: {\"half\n\n"]).unwrap_err();
        assert!(matches!(broken, Broken::Malformed(_)), "{broken:?}");
        assert_eq!(read(protocol, &[]).unwrap_err(), Broken::Short);
    }
}

#[test]
fn calls_come_with_and_without_an_index() {
    let calls = |chunks: &[Value]| {
        let event = |calls: &Value| format!("data: {}\n\n", json!({"choices": [{"delta": {"tool_calls": calls}}]}));
        let text = chunks.iter().map(event).collect::<Vec<_>>().concat() + "data: [DONE]\n\n";
        let fold = read(known::protocol("openai").unwrap(), &[text.as_bytes()]).unwrap();
        let asked = Asked { provider: "p", model: "m", key: None };
        json!(fold.into_completion(asked, None).unwrap().tool_calls)
    };
    let function = |name: &str, arguments: &str| json!({"name": name, "arguments": arguments});
    let expected =
        json!([{"id": "a", "name": "one", "arguments": {"x": 1}}, {"id": "b", "name": "two", "arguments": {}}]);
    let indexed = [
        json!([{"index": 0, "id": "a", "function": function("one", "{\"x\"")}]),
        json!([{"index": 1, "id": "b", "function": function("two", "")}]),
        json!([{"index": 0, "function": {"arguments": ":1}"}}]),
    ];
    assert_eq!(calls(&indexed), expected);
    let bare = [
        json!([{"id": "a", "function": function("one", "{\"x\":1}")}]),
        json!([{"id": "b", "function": function("two", "{}")}]),
    ];
    assert_eq!(calls(&bare), expected);
    let absurd = json!([{"index": 1_000_000_000, "id": "a", "function": function("one", "")}]);
    assert_eq!(calls(&[absurd]), json!([]));
}
