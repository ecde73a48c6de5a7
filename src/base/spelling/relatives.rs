//! What is promised in docs/secrets.md, each kind of spelling with a dozen relatives; and what is not.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::Seeker;

const KEY: &str = "sk-Live_4242/abcDEF+ghi=jkl";
const SIGNS: &str = "S<&>\"'{|}_^`@!#$%()*+,./:;=?[\\]~Z";
const WORD: &str = "Café-Über-Öl-2024-Straße-é";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEA\n3q2+7w==\n-----END PRIVATE KEY-----\n";

/// Each is found, between other texts, and as a whole.
#[track_caller]
fn all_are_found(secret: &str, spelled: &[String]) {
    assert!(spelled.len() >= 12, "a dozen");
    let seeker = Seeker::of([secret]);
    for (before, after) in [("", ""), ("<", ">"), ("ключ=", ",й"), ("{ ", " }")] {
        for spelled in spelled {
            let clean = seeker.without(&format!("{before}{spelled}{after}"), "#");
            let rest = clean.unwrap_or_else(|| panic!("not found: {spelled}"));
            // The first and last signs of base64 belong to what stands around, too.
            let inner = rest.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).unwrap();
            let left = inner.chars().filter(char::is_ascii_alphanumeric).count();
            assert!(left <= 20, "{spelled}: {rest}");
        }
    }
}

#[track_caller]
fn none_is_found(secret: &str, texts: &[&str]) {
    let seeker = Seeker::of([secret]);
    for text in texts {
        assert_eq!(seeker.without(text, "#"), None, "{secret} in {text}");
    }
}

fn each(secret: &str, sign: impl Fn(u8) -> String) -> String {
    secret.bytes().map(sign).collect()
}

fn groups(text: &str, len: usize, between: &str) -> String {
    let chars: Vec<_> = text.chars().collect();
    chars.chunks(len).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join(between)
}

#[test]
fn names_of_html_are_found() {
    let named = |names: &[(&str, &str)]| {
        SIGNS
            .chars()
            .map(|sign| {
                names
                    .iter()
                    .find(|(of, _)| sign.to_string() == **of)
                    .map_or(sign.to_string(), |(_, name)| format!("&{name}"))
            })
            .collect::<String>()
    };
    let common = [("<", "lt;"), ("&", "amp;"), (">", "gt;"), ("\"", "quot;"), ("'", "apos;")];
    let rare = [
        ("{", "lbrace;"),
        ("|", "VerticalLine;"),
        ("}", "rbrace;"),
        ("_", "UnderBar;"),
        ("^", "Hat;"),
        ("`", "DiacriticalGrave;"),
        ("@", "commat;"),
        ("!", "excl;"),
        ("#", "num;"),
        ("$", "dollar;"),
    ];
    let others = [
        ("%", "percnt;"),
        ("(", "lpar;"),
        (")", "rpar;"),
        ("*", "midast;"),
        ("+", "plus;"),
        (",", "comma;"),
        (".", "period;"),
        ("/", "sol;"),
        (":", "colon;"),
        (";", "semi;"),
        ("=", "equals;"),
        ("?", "quest;"),
        ("[", "lbrack;"),
        ("\\", "bsol;"),
        ("]", "rsqb;"),
    ];
    let all = [&common[..], &rare, &others].concat();
    all_are_found(
        SIGNS,
        &[
            named(&common),
            named(&common).replace("&amp;", "&AMP;").replace("&lt;", "&LT;"),
            named(&common).replace("&quot;", "&QUOT;").replace("&apos;", "&#39;"),
            named(&common).replace("&quot;", "&quot").replace("&lt;", "&lt"),
            named(&common).replace("&apos;", "&#x27;"),
            named(&rare),
            named(&others),
            named(&all),
            named(&all).to_uppercase(),
            named(&all).to_lowercase(),
            named(&common).replace('&', "&amp;"),
            named(&all).replace('&', "%26"),
            named(&[("{", "lcub;"), ("|", "vert;"), ("}", "rcub;"), ("_", "lowbar;"), ("`", "grave;"), ("*", "ast;")]),
        ],
    );
    all_are_found(
        WORD,
        &[
            "Caf&eacute;-&Uuml;ber-&Ouml;l-2024-Stra&szlig;e-&eacute;".into(),
            "CAF&Eacute;-&Uuml;BER-&Ouml;L-2024-STRASSE-&Eacute;".into(),
            "caf&eacute;-&uuml;ber-&ouml;l-2024-stra&szlig;e-&eacute;".into(),
            "Caf&eacute-&Uuml;ber-&Ouml;l-2024-Stra&szlig;e-&eacute".into(),
            "Caf&#233;-&#220;ber-&#214;l-2024-Stra&#223;e-&#233;".into(),
            "Caf&#xE9;-&#xDC;ber-&#xd6;l-2024-Stra&#xdf;e-&#xe9;".into(),
            "Caf&#XE9;-&Uuml;ber-&#214;l-2024-Stra&szlig;e-é".into(),
            "Caf&amp;eacute;-&amp;Uuml;ber-&amp;Ouml;l-2024-Stra&amp;szlig;e-&amp;eacute;".into(),
            "Caf&eacute;-Über-Öl-2024-Straße-é".into(),
            "Café-Über-&Ouml;l-2024-Straße-é".into(),
            "Caf%26eacute%3B-Über-Öl-2024-Stra%26szlig%3Be-é".into(),
            "Caf\\u0026eacute;-Über-Öl-2024-Straße-é".into(),
        ],
    );
}

#[test]
fn octal_and_long_escapes_are_found() {
    all_are_found(
        KEY,
        &[
            each(KEY, |byte| format!("\\{byte:03o}")),
            each(KEY, |byte| format!("\\{byte:o}")),
            each(KEY, |byte| format!("\\0{byte:03o}")),
            each(KEY, |byte| {
                if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("\\{byte:03o}") }
            }),
            each(
                KEY,
                |byte| if byte.is_ascii_alphabetic() { format!("\\{byte:03o}") } else { char::from(byte).to_string() },
            ),
            each(KEY, |byte| format!("\\\\{byte:03o}")),
            each(KEY, |byte| format!("%5C{byte:03o}")),
            each(KEY, |byte| format!("\\U{byte:08x}")),
            each(KEY, |byte| format!("\\U{byte:08X}")),
            each(KEY, |byte| format!("\\x{{{byte:x}}}")),
            each(KEY, |byte| format!("\\u{{{byte:06x}}}")),
            each(KEY, |byte| format!("\\X{byte:02X}")),
            each(&KEY.to_uppercase(), |byte| format!("\\{byte:03o}")),
        ],
    );
    all_are_found(
        WORD,
        &(0..12)
            .map(|nth| {
                each(WORD, |byte| match nth {
                    _ if byte.is_ascii() && nth % 2 == 0 => char::from(byte).to_string(),
                    _ => format!("{}{byte:03o}", "\\".repeat([1, 2, 4][nth % 3])),
                })
            })
            .collect::<Vec<_>>(),
    );
    // Short secrets, too: there are no letters left to be found by.
    assert_eq!(Seeker::of(["a.b-c!"]).without("<\\141.\\142\\055c\\41>", "#").unwrap(), "<#>");
}

#[test]
fn base64_is_found_in_lines_and_of_either_alphabet() {
    let mut all = Vec::new();
    for before in ["", "u", "us", "user:"] {
        let whole = format!("{before}{KEY}{}", "z".repeat(before.len()));
        for (nth, encoded) in [
            BASE64_STANDARD.encode(&whole),
            BASE64_STANDARD_NO_PAD.encode(&whole),
            BASE64_URL_SAFE.encode(&whole),
            BASE64_URL_SAFE_NO_PAD.encode(&whole),
        ]
        .into_iter()
        .enumerate()
        {
            let between =
                ["\n", "\r\n", "\\n", "\n  ", "=\r\n", "\" +\n \"", "%0A", "\\\n", "\n> ", "&#10;", "\\r\\n", "\t"]
                    [all.len() / 3 % 12];
            all.extend([groups(&encoded, [4, 8, 19, 76][nth], between), encoded.to_lowercase(), encoded]);
        }
    }
    all_are_found(KEY, &all);
    // Its own signs that are coded as such: + and / against - and _.
    let secret = "~~~???>>>ÿÿÿ~abcdef012345";
    all_are_found(
        secret,
        &(0..12)
            .map(|nth| {
                let whole = format!("{}{secret}", &"xyz"[..nth % 3]);
                let encoded =
                    if nth < 6 { BASE64_STANDARD.encode(whole) } else { BASE64_URL_SAFE_NO_PAD.encode(whole) };
                if nth % 2 == 0 { encoded } else { encoded.replace('+', "%2B").replace('/', "\\/") }
            })
            .collect::<Vec<_>>(),
    );
    // Short ones in one line.
    for encoded in [BASE64_STANDARD.encode("a:p4ss-w0rd"), BASE64_URL_SAFE_NO_PAD.encode("ab:p4ss-w0rd")] {
        assert!(Seeker::of(["p4ss-w0rd"]).without(&encoded, "#").is_some(), "{encoded}");
    }
}

#[test]
fn bytes_are_found_as_numbers_in_any_style() {
    let hexadecimal = hex::encode(KEY);
    let mixed: String = hexadecimal
        .chars()
        .enumerate()
        .map(|(nth, digit)| if nth % 3 == 0 { digit.to_ascii_uppercase() } else { digit })
        .collect();
    let list = |sign: fn(u8) -> String, between: &str| KEY.bytes().map(sign).collect::<Vec<_>>().join(between);
    all_are_found(
        KEY,
        &[
            mixed.clone(),
            groups(&mixed, 2, ":"),
            groups(&mixed, 2, " "),
            groups(&mixed, 4, " "),
            groups(&mixed, 2, "-"),
            groups(&mixed, 32, "\n"),
            groups(&mixed, 2, "\\n"),
            format!("\\x{hexadecimal}"),
            list(|byte| format!("0x{byte:02x}"), ", "),
            list(|byte| format!("0X{byte:02X}"), ","),
            list(|byte| byte.to_string(), ", "),
            list(|byte| byte.to_string(), " "),
            list(|byte| byte.to_string(), ",\n\t"),
        ],
    );
}

#[test]
fn groups_and_other_signs_in_between_are_found() {
    let without: String = KEY.chars().filter(char::is_ascii_alphanumeric).collect();
    all_are_found(
        KEY,
        &[
            groups(KEY, 4, " "),
            groups(KEY, 4, "-"),
            groups(KEY, 1, " "),
            groups(KEY, 1, "."),
            groups(KEY, 3, "\n"),
            groups(KEY, 5, "\u{200b}"),
            groups(KEY, 5, "\u{a0}"),
            groups(KEY, 2, "&nbsp;"),
            groups(KEY, 6, " | "),
            groups(KEY, 8, "\" + \""),
            groups(KEY, 8, "&shy;"),
            groups(&KEY.to_uppercase(), 4, "%20"),
            without.clone(),
            groups(&without, 4, "\u{2013}"),
            KEY.replace('/', "//").replace('=', "=="),
            KEY.replace(['-', '_', '/', '+', '='], ""),
        ],
    );
    // Quotes as shells, SQL and CSV write them.
    assert!(Seeker::of(["it's-\"quoted\"-4711"]).without("'it'\\''s-\"\"quoted\"\"-4711'", "#").is_some());
}

#[test]
fn secrets_of_lines_are_found_with_other_ends() {
    let crlf = PEM.replace('\n', "\r\n");
    all_are_found(
        PEM,
        &[
            PEM.trim().into(),
            crlf.clone(),
            crlf.trim().into(),
            PEM.replace('\n', "\r"),
            PEM.replace('\n', " "),
            PEM.replace('\n', ""),
            PEM.replace('\n', "\n    "),
            PEM.replace('\n', "\\n"),
            crlf.replace('\r', "\\r").replace('\n', "\\n"),
            PEM.replace('\n', "\n> "),
            PEM.replace('\n', "%0D%0A"),
            PEM.replace('\n', "\n\n"),
            PEM.replace('\n', "\u{2028}"),
        ],
    );
    for text in [PEM.trim(), &crlf, crlf.trim(), &serde_json::to_string(PEM).unwrap()] {
        for before in ["", "a", "ab"] {
            let encoded = BASE64_STANDARD.encode(format!("{before}{text}"));
            assert!(Seeker::of([PEM]).without(&groups(&encoded, 64, "\n"), "#").is_some(), "{text}");
        }
        assert!(Seeker::of([&crlf[..]]).without(&hex::encode(text), "#").is_some(), "{text}");
    }
    // Without the blanks around it, however short.
    assert_eq!(Seeker::of([" a.b-c!\n"]).without("<a.b-c!>", "#").unwrap(), "<#>");
    assert_eq!(Seeker::of(["a.b\r\nc!d"]).without("<a.b\nc!d>", "#").unwrap(), "<#>");
}

#[test]
fn both_normal_forms_and_latin_1_are_found() {
    let composed = WORD.to_owned();
    let apart = "Cafe\u{301}-U\u{308}ber-O\u{308}l-2024-Straße-e\u{301}".to_owned();
    let json = |text: &str| each_char(text, |code| format!("\\u{code:04x}"));
    let latin = |sign: fn(u32) -> String| each_char(WORD, sign);
    for secret in [&composed, &apart] {
        all_are_found(
            secret,
            &[
                composed.clone(),
                apart.clone(),
                composed.to_uppercase(),
                apart.to_uppercase(),
                composed.to_lowercase(),
                apart.to_lowercase(),
                each(&apart, |byte| format!("%{byte:02X}")),
                each(&composed, |byte| format!("%{byte:02X}")),
                json(&composed),
                json(&apart),
                BASE64_STANDARD.encode(&composed),
                BASE64_STANDARD.encode(&apart),
                hex::encode(&composed),
                hex::encode(&apart),
                latin(|code| format!("%{code:02X}")),
                latin(|code| format!("\\x{code:02x}")),
                latin(|code| format!("\\{code:03o}")),
            ],
        );
    }
    // Short ones have no letters enough to be found by alone.
    for (secret, text) in [
        ("éü-öäß", "e\u{301}u\u{308}-o\u{308}a\u{308}ß"),
        ("e\u{301}u\u{308}-oaß", "éü-oaß"),
        ("éü-öäß", "\\xe9\\xfc-\\xf6%E4%DF"),
    ] {
        assert_eq!(Seeker::of([secret]).without(text, "#").as_deref(), Some("#"), "{text}");
    }
}

/// Those that are not ASCII.
fn each_char(text: &str, sign: impl Fn(u32) -> String) -> String {
    text.chars().map(|char| if char.is_ascii() { char.to_string() } else { sign(u32::from(char)) }).collect()
}

#[test]
fn ordinary_words_and_numbers_stay() {
    // Of fewer than twelve letters and digits: not in pieces.
    none_is_found("pass-word", &["pass word", "password", "Pass: word", "pass\nword", "p a s s - w o r d"]);
    none_is_found("2024-01-02", &["2024 01 02", "20240102", "2024/01/02"]);
    none_is_found("123456", &["12 34 56", "1,2,3,4,5,6", "31 32 33 34 35 36", "49, 50, 51, 52, 53, 54"]);
    none_is_found("12345678", &["31, 32, 33, 34, 35, 36, 37, 38", "49 50 51 52 53 54 55 56"]);
    // Of few different ones.
    none_is_found("0000-0000-0000", &["0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0", "000000000000"]);
    none_is_found("a  a  b", &["a a b", "aab"]);
    // Of blanks around what is too short: whole.
    none_is_found("  ab   ", &["ab", "cab  drive"]);
    none_is_found("correct-horse-battery", &["correct horse", "horse battery", "the correct horses battery"]);
    none_is_found("%41%42%43", &["abc", "ABC"]);
}

/// The line that docs/secrets.md draws.
#[test]
fn what_is_not_promised_is_not_found() {
    let reversed: String = KEY.chars().rev().collect();
    none_is_found(
        KEY,
        &[
            &reversed,
            &groups(KEY, 4, "x"),
            &BASE64_STANDARD.encode(BASE64_STANDARD.encode(KEY)),
            &KEY[..KEY.len() - 1],
            &KEY.replace("Live", "L!ve"),
        ],
    );
}

proptest! {
    /// Other signs anywhere, and the rest stays.
    #[test]
    fn any_signs_in_between_are_no_hiding_place(
        secret in "[A-Za-z0-9]{12,40}",
        signs in proptest::collection::vec("[ \\-.:,;_/|\n\r\t\u{200b}é]{0,3}", 40),
    ) {
        let different = secret.to_lowercase().bytes().collect::<std::collections::HashSet<_>>().len();
        prop_assume!(different >= 6);
        let spelled: String = secret.chars().zip(&signs).flat_map(|(char, signs)| [char.to_string(), signs.clone()]).collect();
        let clean = Seeker::of([secret.as_str()]).without(&format!("<й {spelled}й>"), "#").unwrap();
        prop_assert!(clean.starts_with("<й #") && clean.ends_with("й>"), "{}", clean);
    }

    /// However many there are, one by one or all at once: none stays, and nothing goes with them.
    #[test]
    fn of_many_secrets_none_stays(
        secrets in proptest::collection::vec("[ab]{1,5}", 1..40),
        text in "[abc]{0,60}",
    ) {
        let mut covered = vec![false; text.len()];
        for secret in &secrets {
            for start in 0..text.len() {
                if text[start..].starts_with(secret.as_str()) {
                    covered[start..start + secret.len()].fill(true);
                }
            }
        }
        let clean = Seeker::of(secrets.iter().map(String::as_str)).without(&text, "#").unwrap_or_else(|| text.clone());
        prop_assert!(!secrets.iter().any(|secret| clean.contains(secret.as_str())), "{}", clean);
        let kept: String = text.chars().zip(&covered).filter(|(_, covered)| !**covered).map(|(char, _)| char).collect();
        let count = |text: &str| text.matches('c').count();
        prop_assert!(count(&clean) == count(&text) && clean.len() >= kept.len(), "{}", clean);
    }
}
