//! The stream of every protocol, cut at every byte: the same answer as in one piece.

use serde_json::{Value, json};

use super::{
    anthropic, gemini, openai,
    script::{Answer, Counting},
};
use crate::{
    base::Usage,
    providers::{
        Completion, Heard,
        asked::Asked,
        known,
        protocol::Reply,
        stream::{Broken, Reading},
    },
};

const PROTOCOLS: [&str; 3] = ["openai", "anthropic", "gemini"];

fn answer(content: &str, call: Option<(String, Value)>) -> Answer {
    let usage = Usage { input: 9, output: 4, ..Usage::default() };
    Answer { content: content.into(), call, cut_short: false, usage, counting: Counting::True }
}

/// What the simulator streams, and what it gives in one piece.
fn both(protocol: &str, answer: &Answer) -> (String, Value) {
    let asked = super::asked::Asked { model: "m".into(), stream_usage: true, ..super::asked::Asked::default() };
    let (events, whole) = match protocol {
        "openai" => (openai::stream(&asked, answer, "1"), openai::answer(&asked.question(), answer, Some("1"))),
        "anthropic" => (anthropic::stream(&asked, None, answer, "1"), anthropic::answer(&asked, None, answer, "1")),
        _ => (gemini::stream(&asked, answer, "1"), gemini::answer(&asked, answer, "1")),
    };
    (events.concat(), whole)
}

const ASKED: Asked<'_> = Asked { provider: "p", model: "m", key: None };

fn read(protocol: &str, pieces: &[&[u8]], heard: &Heard) -> Result<Value, Broken> {
    let mut reading = Reading::new(known::protocol(protocol).unwrap(), heard);
    pieces.iter().try_for_each(|piece| reading.feed(piece))?;
    reading.finish().map(|fold| seen(&fold.into_completion(ASKED, None).unwrap()))
}

fn whole(protocol: &str, body: Value) -> Value {
    seen(&known::protocol(protocol).unwrap().answer(ASKED, Reply { request_id: None, body }).unwrap())
}

/// Content, calls, usage, end, id and model.
fn seen(done: &Completion) -> Value {
    let metered = &done.metered;
    json!([
        done.content,
        done.tool_calls,
        metered.usage,
        metered.raw,
        done.finish_reason,
        done.request_id,
        done.model,
        metered.mismatch
    ])
}

#[test]
fn a_stream_is_the_answer_in_one_piece_wherever_it_is_cut() {
    let call = || Some(("look".to_owned(), json!({"url": "https://example.com/ü?a=1&b=2", "n": [1, 2]})));
    for protocol in PROTOCOLS {
        for answer in
            [answer("Grüße an alle, die \"das\" lesen.\n\nData: yes", None), answer("", call()), answer("", None)]
        {
            let (text, body) = both(protocol, &answer);
            let whole = whole(protocol, body);
            let bytes = text.as_bytes();
            let streamed = |pieces: &[&[u8]]| read(protocol, pieces, &Heard::default()).unwrap();
            assert_eq!(streamed(&[bytes]), whole, "{protocol}");
            for at in 0..=bytes.len() {
                assert_eq!(streamed(&[&bytes[..at], &bytes[at..]]), whole, "{protocol}, cut at {at}");
            }
            assert_eq!(streamed(&bytes.chunks(1).collect::<Vec<_>>()), whole, "{protocol}, byte by byte");
        }
    }
}

#[test]
fn a_stream_that_ends_too_soon_is_short_and_what_was_heard_is_counted() {
    for protocol in PROTOCOLS {
        let (text, _) = both(protocol, &answer(&"word ".repeat(40), None));
        let events: Vec<&str> = text.split_inclusive("\n\n").collect();
        let mut counted = 0;
        for sent in 1..events.len() - 3 {
            let heard = Heard::default();
            let begun = events[..sent].concat();
            assert_eq!(read(protocol, &[begun.as_bytes()], &heard), Err(Broken::Short), "{protocol} after {sent}");
            let usage = heard.partial(7).unwrap().usage;
            assert!(usage.output >= counted, "{protocol}: what arrives adds up");
            assert_eq!(
                usage.input,
                if protocol == "anthropic" { 9 } else { 7 },
                "{protocol}: the provider's own, if told"
            );
            counted = usage.output;
        }
        assert!(counted > 40, "{protocol}: {counted}");
    }
}
