//! Tokens of a prompt before it is sent, for the reservation against a budget, and
//! of an answer that was cut off before its provider said how many it has.
//!
//! Tokenizers differ by model and are slow to load; a reservation needs a bound
//! that is not far off. Each byte gets a weight by its kind, in sixths of a token,
//! from what the tokenizers in use make of prose, code, numbers and other scripts.

/// Roles and separators that a provider puts around a message.
const FRAME: u64 = 16;

/// At least as many tokens as the text has in the tokenizers of today's models,
/// ordinary text given; about half as many again for English prose.
#[must_use]
pub fn tokens(text: &str) -> u64 {
    weight(text).div_ceil(6) + FRAME
}

/// The text in sixths of a token: the weights of pieces add up.
#[must_use]
pub fn weight(text: &str) -> u64 {
    text.bytes().map(sixths).sum()
}

fn sixths(byte: u8) -> u64 {
    match byte {
        b'a'..=b'z' | b' ' => 2,
        b'A'..=b'Z' | b'0'..=b'9' => 4,
        0..=0x7f => 6,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Held against the tokenizers of OpenAI's models.
    #[test]
    fn bounds_real_tokenizers() {
        let prose = "The quick brown fox jumps over the lazy dog, and then it writes a report about it. ".repeat(20);
        let samples = [
            ("prose", prose.as_str(), 2.0),
            ("german", "Die Barrierefreiheit der Webseite wurde umfassend geprüft und für gut befunden.", 2.5),
            ("code", "fn main() { let x: Vec<u32> = (0..10).map(|i| i * i).collect(); println!(\"{x:?}\"); }", 3.5),
            ("json", r#"{"url":"https://example.com/a?b=1","status_code":200,"links":["/x","/y"],"ok":true}"#, 3.5),
            ("chinese", "网站的标题太长,描述缺失,图片没有替代文本,需要尽快修复这些问题。", 4.0),
            ("russian", "Сайт проверен полностью, найдено несколько ошибок в описаниях страниц.", 6.0),
            ("numbers", "3.14159265358979 27182818 1618033988 0123456789", 3.5),
            ("upper", "SELECT NAME FROM USERS WHERE STATUS IN (ACTIVE, DELETED)", 4.5),
        ];
        for tokenizer in [tiktoken_rs::o200k_base_singleton(), tiktoken_rs::cl100k_base_singleton()] {
            for (name, text, most) in samples {
                let real = u64::try_from(tokenizer.count_ordinary(text)).unwrap();
                let bound = tokens(text) - FRAME;
                assert!(bound >= real, "{name}: {bound} is below {real}");
                #[expect(clippy::cast_precision_loss, reason = "counts of a short text")]
                let ratio = bound as f64 / real as f64;
                assert!(ratio <= most, "{name}: {bound} for {real}, {ratio:.1} times");
            }
        }
    }

    #[test]
    fn empty_text_is_its_frame() {
        assert_eq!(tokens(""), FRAME);
    }
}
