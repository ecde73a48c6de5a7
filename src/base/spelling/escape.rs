//! One escape, of URLs, JSON, scripts, C or HTML, and what it stands for.

use html5ever::data::NAMED_ENTITIES;

/// What one escape, or one byte that is none, stands for.
pub struct Unit {
    /// Bytes that it takes up.
    pub taken: usize,
    bytes: [u8; 8],
    len: usize,
}

impl Unit {
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// A byte that is left out.
    pub const fn nothing() -> Self {
        Self { taken: 1, bytes: [0; 8], len: 0 }
    }

    pub const fn of_byte(taken: usize, byte: u8) -> Self {
        Self { taken, bytes: [byte, 0, 0, 0, 0, 0, 0, 0], len: 1 }
    }

    fn of_char(taken: usize, code: u32) -> Option<Self> {
        let mut bytes = [0; 8];
        let len = char::from_u32(code)?.encode_utf8(&mut bytes).len();
        Some(Self { taken, bytes, len })
    }

    /// Some names stand for a letter and a sign above it; the second is zero with the others.
    fn of_chars(taken: usize, (first, second): (u32, u32)) -> Option<Self> {
        let mut unit = Self::of_char(taken, first)?;
        if second != 0 {
            let mark = char::from_u32(second)?;
            unit.len += mark.encode_utf8(unit.bytes.get_mut(unit.len..)?).len();
        }
        Some(unit)
    }
}

/// What stands at a place; `None` at the end.
pub fn unit(text: &[u8], at: usize) -> Option<Unit> {
    let first = *text.get(at)?;
    let rest = text.get(at + 1..).unwrap_or_default();
    let escape = match first {
        b'%' => percent(rest),
        b'&' => entity(rest),
        b'\\' => backslash(rest),
        _ => None,
    };
    Some(escape.unwrap_or(Unit::of_byte(1, first)))
}

/// `%6b`, or the `%u006b` of old scripts.
fn percent(rest: &[u8]) -> Option<Unit> {
    match rest {
        [b'u' | b'U', digits @ ..] => Unit::of_char(6, number(digits, 4, 16)?),
        _ => Some(Unit::of_byte(3, u8::try_from(number(rest, 2, 16)?).ok()?)),
    }
}

/// As in JSON, scripts and C: `\u006b`, `\u{6b}`, `\U0000006b`, `\x6b`, `\153`, `\n`, `\"`. Letters
/// of either case: the text may have been made small or large after it was escaped.
fn backslash(rest: &[u8]) -> Option<Unit> {
    let (kind, digits) = rest.split_first()?;
    match kind.to_ascii_lowercase() {
        b'u' | b'x' if digits.first() == Some(&b'{') => {
            let len = digits.iter().take(10).position(|byte| *byte == b'}')?.checked_sub(1)?;
            Unit::of_char(len + 4, number(digits.get(1..)?, len, 16)?)
        }
        b'u' => (*kind == b'U').then(|| Unit::of_char(10, number(digits, 8, 16)?)).flatten().or_else(|| short(digits)),
        b'x' => Some(Unit::of_byte(4, u8::try_from(number(digits, 2, 16)?).ok()?)),
        b'0'..=b'7' => octal(rest),
        b'n' => Some(Unit::of_byte(2, b'\n')),
        b'r' => Some(Unit::of_byte(2, b'\r')),
        b't' => Some(Unit::of_byte(2, b'\t')),
        b'b' => Some(Unit::of_byte(2, 8)),
        b'f' => Some(Unit::of_byte(2, 12)),
        b' ' => Some(Unit::of_byte(2, b' ')),
        sign if sign.is_ascii_punctuation() => Some(Unit::of_byte(2, *kind)),
        _ => None,
    }
}

/// The four digits after `\u`, and the second half of a pair.
fn short(digits: &[u8]) -> Option<Unit> {
    let code = number(digits, 4, 16)?;
    match pair(code, digits) {
        Some(both) => Unit::of_char(12, both),
        None => Unit::of_char(6, code),
    }
}

/// The character of two halves, the second one being escaped as well.
fn pair(high: u32, digits: &[u8]) -> Option<u32> {
    let [b'\\', b'u' | b'U', rest @ ..] = digits.get(4..)? else { return None };
    let low = number(rest, 4, 16)?;
    let halves = (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(&low);
    halves.then(|| 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00))
}

/// `\153`, or the `\0153` of `echo`, which is told by what follows: another escape or an end.
fn octal(digits: &[u8]) -> Option<Unit> {
    let len = digits.iter().take(4).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    let goes_on = digits.get(4).is_some_and(u8::is_ascii_alphanumeric);
    let most = if digits.first() == Some(&b'0') && !goes_on { 4 } else { 3 };
    let byte = |len| Some(Unit::of_byte(len + 1, u8::try_from(number(digits, len, 8)?).ok()?));
    (2..=len.min(most)).rev().find_map(byte)
}

/// `&#107;`, `&#x6b;` and HTML's names. Browsers do without the semicolon of a number, and
/// of the oldest names.
fn entity(rest: &[u8]) -> Option<Unit> {
    const MOST_DIGITS: usize = 8;
    const LONGEST: usize = 32;
    const LONGEST_OF_OLD: usize = 6;
    if let [b'#', digits @ ..] = rest {
        let (digits, radix, sign) = match digits {
            [b'x' | b'X', digits @ ..] => (digits, 16, 3),
            _ => (digits, 10, 2),
        };
        let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
        let len = digits.iter().take(MOST_DIGITS).take_while(|byte| is_digit(byte)).count();
        let ends = usize::from(digits.get(len) == Some(&b';'));
        return Unit::of_char(sign + len + ends, number(digits, len, radix)?);
    }
    let len = rest.iter().take(LONGEST).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let whole = if rest.get(len) == Some(&b';') { rest.get(..=len).and_then(named) } else { None };
    whole.or_else(|| (2..=len.min(LONGEST_OF_OLD)).rev().find_map(|len| named(rest.get(..len)?)))
}

/// They are looked for in vain once the text has been made small or large.
const NAMES_IN_MIXED_CASE: [(&str, u32); 6] = [
    ("Tab;", 0x09),
    ("NewLine;", 0x0A),
    ("Hat;", 0x5E),
    ("UnderBar;", 0x5F),
    ("DiacriticalGrave;", 0x60),
    ("VerticalLine;", 0x7C),
];

fn named(name: &[u8]) -> Option<Unit> {
    const NO_BREAK: u32 = 0xA0;
    let name = str::from_utf8(name).ok()?;
    let small = || name.bytes().any(|byte| byte.is_ascii_uppercase()).then(|| name.to_ascii_lowercase());
    let known = NAMED_ENTITIES.get(name).or_else(|| NAMED_ENTITIES.get(small()?.as_str())).copied();
    let sign =
        || NAMES_IN_MIXED_CASE.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, sign)| (*sign, 0));
    match known.filter(|(first, _)| *first != 0).or_else(sign)? {
        // Pages have it for a blank.
        (NO_BREAK, _) => Some(Unit::of_byte(name.len() + 1, b' ')),
        signs => Unit::of_chars(name.len() + 1, signs),
    }
}

/// A number of exactly so many digits.
fn number(text: &[u8], len: usize, radix: u32) -> Option<u32> {
    let digits = text.get(..len).filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u32, |sum, digit| sum.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?))
}
