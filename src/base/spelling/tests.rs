//! Secrets in every form that servers repeat them in, and texts that hold none.

use std::fmt::Write;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "S \"k/+é<&'~*";

fn clean(secret: &str, text: &str) -> Option<String> {
    Seeker::of([secret]).without(text, "#")
}

#[track_caller]
fn is_found(secret: &str, spelled: &str) {
    for (before, after) in [("a", "b"), ("ключ=", ";й"), ("%zz&x;\\q", "%2"), ("", "")] {
        let text = format!("{before}{spelled}{after}");
        assert_eq!(clean(secret, &text), Some(format!("{before}#{after}")), "{text}");
    }
}

/// Each byte as `sign` writes it.
fn each(secret: &str, sign: impl Fn(u8) -> String) -> String {
    secret.bytes().map(sign).collect()
}

#[test]
fn a_secret_is_found_in_every_form() {
    for spelled in [
        SECRET,
        "S+%22k%2F%2B%C3%A9%3C%26%27~%2A",
        "S%20%22k/%2B%C3%A9%3C%26%27~%2A",
        "S+%22k%2F%2B%C3%A9%3C%26%27%7E*",
        "S%20%22k%2f%2B%c3%A9%3C%26%27~%2a",
        "S \\\"k/+é<&'~*",
        "S \\\"k\\/+\\u00e9\\u003C\\u0026'~*",
        "S &quot;k/+é&lt;&amp;&#39;~*",
        "S&nbsp;&QUOT;k&sol;&plus;&#xE9;&lt;&AMP;&#x27~&ast;",
    ] {
        is_found(SECRET, spelled);
    }
    is_found(SECRET, &hex::encode(SECRET));
    is_found(SECRET, &hex::encode_upper(SECRET));
}

#[test]
fn letters_of_either_case_are_the_same() {
    is_found("Sk-Live_ABCdef", "sk-live_abcdef");
    is_found("Sk-Live_ABCdef", "SK-LIVE_ABCDEF");
    is_found("Sk-Live_ABCdef", "sK-lIVE%5fabcDEF");
    is_found("Straße-Ärger", "straße-ärger");
    is_found("Straße-Ärger", "STRASSE-ÄRGER");
    is_found("Sk-Live_ABCdef", "536B2d4c6976655f414243646566");
}

#[test]
fn every_byte_may_be_escaped_in_any_way() {
    let secret = "Sk-Live_ABCdef";
    is_found(secret, &each(secret, |byte| format!("%{byte:02x}")));
    is_found(secret, &each(secret, |byte| format!("%{byte:02X}")));
    is_found(secret, &each(secret, |byte| if byte % 2 == 0 { format!("%{byte:02x}") } else { format!("%{byte:02X}") }));
    is_found(secret, &each(&secret.to_uppercase(), |byte| format!("%{byte:02x}")));
    is_found(secret, &each(secret, |byte| format!("\\u{byte:04x}")));
    is_found(secret, &each(secret, |byte| format!("\\u{{{byte:X}}}")));
    is_found(secret, &each(secret, |byte| format!("\\x{byte:02X}")));
    is_found(secret, &each(secret, |byte| format!("%u{byte:04X}")));
    is_found(secret, &each(secret, |byte| format!("&#{byte};")));
    is_found(secret, &each(secret, |byte| format!("&#x{byte:04X};")));
    is_found(
        secret,
        &each(secret, |byte| match byte % 4 {
            0 => format!("%{byte:02x}"),
            1 => format!("&#{byte};"),
            2 => format!("\\u{byte:04x}"),
            _ => char::from(byte).to_string(),
        }),
    );
    is_found("key-\u{1f511}-here", "key-\\uD83D\\uDD11-here");
    is_found("key-\u{1f511}-here", "key-%f0%9F%94%91-here");
}

#[test]
fn escapes_are_taken_off_three_times() {
    let secret = "a/\"b\"&c d\\e";
    let json = |text: &str| serde_json::Value::from(text).to_string().trim_matches('"').to_owned();
    is_found(secret, &json(secret).replace("\\\"", "\\\\\\\""));
    let percent = |text: &str| each(text, |byte| format!("%{byte:02X}"));
    is_found(secret, &percent(&percent(secret)));
    is_found(secret, &percent(&percent(&percent(secret))));
    is_found(secret, &each(&percent(secret), |byte| format!("&#{byte};")));
}

#[test]
fn a_secret_that_looks_escaped_is_found_as_it_is_and_escaped() {
    for secret in ["ab%41cd&#65;ef", "pa\\nss\\word", "100%2541%25"] {
        is_found(secret, secret);
        is_found(secret, &each(secret, |byte| format!("%{byte:02x}")));
        is_found(secret, &secret.replace('&', "&amp;").replace('\\', "\\\\"));
    }
    // Not so short that ordinary text would have it.
    assert_eq!(clean("%41%42%43", "abc"), None);
}

#[test]
fn other_text_stays() {
    for text in
        ["", "%", "&", "\\", "%6", "&#", "&#;", "\\u12", "\\u{", "ünï %c3%bc &uuml; \\ud83d", "secre", "%73ecre"]
    {
        assert_eq!(clean("secret", text), None, "{text}");
    }
    assert_eq!(clean("secret", "two: secret, %73ECRET!").unwrap(), "two: #, #!");
}

#[test]
fn a_short_secret_is_not_looked_for_in_base64() {
    assert_eq!(clean("abcdef", &BASE64_STANDARD.encode("abcdef")), None);
}

#[test]
fn secrets_that_overlap_go_whole() {
    let both = Seeker::of(["abc-def-ghi", "ghi-jkl-mno"]);
    assert_eq!(both.without("<abc-def-ghi-jkl-mno>", "#").unwrap(), "<#>");
}

/// A secret and a text of strangers: the time goes with their lengths, not with the product.
#[test]
fn long_secrets_and_texts_that_nearly_match_take_no_time() {
    let secret = "a".repeat(16_000) + "b";
    let mut text = "a%61&#97;".repeat(100_000);
    let started = std::time::Instant::now();
    assert_eq!(clean(&secret, &text), None);
    write!(text, "{secret}").unwrap();
    assert!(clean(&secret, &text).unwrap().ends_with('#'));
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn base64_is_found_wherever_the_secret_stands(
        before in proptest::collection::vec(any::<u8>(), 0..9),
        secret in "[ -~]{12,60}",
        after in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let whole = [before.as_slice(), secret.as_bytes(), &after].concat();
        for encoded in [BASE64_STANDARD.encode(&whole), BASE64_URL_SAFE.encode(&whole)] {
            prop_assert!(clean(&secret, &encoded).is_some());
            prop_assert!(clean(&secret, &encoded.replace('+', "%2B").replace('/', "\\/")).is_some());
        }
    }

    /// Whatever stands around, and whichever signs are escaped how: the secret goes and the rest stays.
    #[test]
    fn any_choice_of_escapes_is_found(
        before in "[ -~é]{0,90}",
        secret in "[A-Za-z0-9_/.=-]{8,40}",
        ways in proptest::collection::vec(0_u8..6, 40),
        after in "[A-Zé ]{0,9}",
    ) {
        let mut spelled = String::new();
        for (byte, way) in secret.bytes().zip(ways) {
            match way {
                0 => write!(spelled, "%{byte:02x}"),
                1 => write!(spelled, "%{byte:02X}"),
                2 => write!(spelled, "&#x{byte:x};"),
                3 => write!(spelled, "\\u{byte:04X}"),
                4 => write!(spelled, "{}", char::from(byte).to_ascii_uppercase()),
                _ => write!(spelled, "{}", char::from(byte)),
            }.unwrap();
        }
        let text = format!("{before} {spelled} {after}");
        let clean = clean(&secret, &text);
        prop_assert!(clean.is_some(), "{}", text);
        let clean = clean.unwrap();
        prop_assert!(clean.ends_with(&format!("# {after}")), "{} of {}", clean, text);
    }
}
