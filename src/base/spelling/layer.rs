//! A text in small letters, or what is left of it when its escapes are taken off once.

use std::ops::Range;

use memchr::memchr3;

/// After so many bytes it is noted where they come from.
const STRIDE: usize = 64;

pub struct Layer {
    pub bytes: Vec<u8>,
    /// Where in this layer, and where in the one before: of every [`STRIDE`] bytes the first.
    marks: Vec<(usize, usize)>,
}

/// What one escape, or one byte that is none, stands for.
struct Unit {
    taken: usize,
    bytes: [u8; 4],
    len: usize,
}

impl Layer {
    /// The text itself, letter for letter.
    pub fn folded(text: &[u8]) -> Self {
        Self { bytes: text.iter().map(|byte| folded(*byte)).collect(), marks: Vec::new() }
    }

    /// `None` if there is nothing to take off.
    pub fn unescaped(&self) -> Option<Self> {
        memchr3(b'%', b'&', b'\\', &self.bytes)?;
        let (mut bytes, mut marks) = (Vec::with_capacity(self.bytes.len()), Vec::new());
        let (mut from, mut changed) = (0, false);
        while let Some(unit) = unit(&self.bytes, from) {
            if bytes.len() >= marks.len() * STRIDE {
                marks.push((bytes.len(), from));
            }
            changed |= unit.taken > 1;
            bytes.extend_from_slice(unit.bytes.get(..unit.len).unwrap_or_default());
            from += unit.taken;
        }
        changed.then_some(Self { bytes, marks })
    }

    /// Where in the layer before this one a range of it comes from, whole escapes.
    pub fn origin(&self, before: &Self, range: &Range<usize>) -> Range<usize> {
        let (start, _) = self.source(before, range.start);
        let (_, end) = self.source(before, range.end.saturating_sub(1));
        start..end
    }

    /// What the byte at a place comes from.
    fn source(&self, before: &Self, place: usize) -> (usize, usize) {
        let mark = self.marks.partition_point(|(at, _)| *at <= place).checked_sub(1);
        let (mut at, mut from) = mark.and_then(|mark| self.marks.get(mark)).copied().unwrap_or_default();
        while let Some(unit) = unit(&before.bytes, from) {
            if place < at + unit.len {
                return (from, from + unit.taken);
            }
            at += unit.len;
            from += unit.taken;
        }
        (from, from)
    }
}

/// Small letters, and a blank for the sign that forms have for it.
fn folded(byte: u8) -> u8 {
    if byte == b'+' { b' ' } else { byte.to_ascii_lowercase() }
}

fn unit(text: &[u8], at: usize) -> Option<Unit> {
    let first = *text.get(at)?;
    let rest = text.get(at + 1..).unwrap_or_default();
    let escape = match first {
        b'%' => percent(rest),
        b'&' => entity(rest),
        b'\\' => backslash(rest),
        _ => None,
    };
    Some(escape.unwrap_or(Unit { taken: 1, bytes: [first, 0, 0, 0], len: 1 }))
}

fn of_byte(taken: usize, byte: u8) -> Unit {
    Unit { taken, bytes: [folded(byte), 0, 0, 0], len: 1 }
}

fn of_char(taken: usize, code: u32) -> Option<Unit> {
    let mut bytes = [0; 4];
    let len = char::from_u32(code)?.encode_utf8(&mut bytes).len();
    Some(Unit { taken, bytes: bytes.map(folded), len })
}

/// `%6b`, or the `%u006b` of old scripts.
fn percent(rest: &[u8]) -> Option<Unit> {
    match rest {
        [b'u', digits @ ..] => of_char(6, number(digits, 4, 16)?),
        _ => Some(of_byte(3, u8::try_from(number(rest, 2, 16)?).ok()?)),
    }
}

/// As in JSON and in scripts: `\u006b`, `\u{6b}`, `\x6b`, `\n`, `\"`.
fn backslash(rest: &[u8]) -> Option<Unit> {
    let (kind, digits) = rest.split_first()?;
    match kind {
        b'u' if digits.first() == Some(&b'{') => {
            let len = digits.iter().take(8).position(|byte| *byte == b'}')?.checked_sub(1)?;
            of_char(len + 4, number(digits.get(1..)?, len, 16)?)
        }
        b'u' => {
            let code = number(digits, 4, 16)?;
            match pair(code, digits) {
                Some(both) => of_char(12, both),
                None => of_char(6, code),
            }
        }
        b'x' => Some(of_byte(4, u8::try_from(number(digits, 2, 16)?).ok()?)),
        b'n' => Some(of_byte(2, b'\n')),
        b'r' => Some(of_byte(2, b'\r')),
        b't' => Some(of_byte(2, b'\t')),
        b'b' => Some(of_byte(2, 8)),
        b'f' => Some(of_byte(2, 12)),
        sign if sign.is_ascii_punctuation() => Some(of_byte(2, *sign)),
        _ => None,
    }
}

/// The character of two halves, the second one being escaped as well.
fn pair(high: u32, digits: &[u8]) -> Option<u32> {
    let low = number(digits.get(4..)?.strip_prefix(b"\\u")?, 4, 16)?;
    let halves = (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(&low);
    halves.then(|| 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00))
}

/// `&#107;`, `&#x6b;` and the names of signs. Browsers do without the semicolon of a number.
fn entity(rest: &[u8]) -> Option<Unit> {
    const MOST: usize = 8;
    if let [b'#', digits @ ..] = rest {
        let (digits, radix, sign) = match digits {
            [b'x', digits @ ..] => (digits, 16, 3),
            _ => (digits, 10, 2),
        };
        let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
        let len = digits.iter().take(MOST).take_while(|byte| is_digit(byte)).count();
        let ends = usize::from(digits.get(len) == Some(&b';'));
        return of_char(sign + len + ends, number(digits, len, radix)?);
    }
    let len = rest.iter().take(MOST).position(|byte| *byte == b';')?;
    let name = rest.get(..len)?;
    let (_, sign) = NAMES.iter().find(|(known, _)| known.as_bytes() == name)?;
    Some(of_byte(len + 2, *sign))
}

/// A number of exactly so many digits.
fn number(text: &[u8], len: usize, radix: u32) -> Option<u32> {
    let digits = text.get(..len).filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u32, |sum, digit| sum.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?))
}

/// HTML's names of the signs that keys have, in small letters.
const NAMES: [(&str, u8); 36] = [
    ("amp", b'&'),
    ("lt", b'<'),
    ("gt", b'>'),
    ("quot", b'"'),
    ("apos", b'\''),
    ("nbsp", b' '),
    ("tab", b'\t'),
    ("newline", b'\n'),
    ("excl", b'!'),
    ("num", b'#'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("ast", b'*'),
    ("midast", b'*'),
    ("plus", b'+'),
    ("comma", b','),
    ("period", b'.'),
    ("sol", b'/'),
    ("colon", b':'),
    ("semi", b';'),
    ("equals", b'='),
    ("quest", b'?'),
    ("commat", b'@'),
    ("lsqb", b'['),
    ("lbrack", b'['),
    ("bsol", b'\\'),
    ("rsqb", b']'),
    ("rbrack", b']'),
    ("hat", b'^'),
    ("lowbar", b'_'),
    ("grave", b'`'),
    ("lcub", b'{'),
    ("verbar", b'|'),
    ("rcub", b'}'),
];
