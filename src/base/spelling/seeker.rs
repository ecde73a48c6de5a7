//! Secrets as they are searched for, and a text without them.

use std::{fmt, ops::Range};

use super::{
    forms::{Forms, UNESCAPED},
    layer::Layer,
    needles::{Needles, merged},
};

/// Some secrets, and all spellings of each.
pub struct Seeker {
    /// Searched for in small letters.
    plain: Needles,
    /// Searched for in letters and digits alone.
    joined: Needles,
}

impl fmt::Debug for Seeker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seeker")
    }
}

impl Seeker {
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut plain, mut joined) = (Vec::new(), Vec::new());
        for forms in secrets.into_iter().map(Forms::of) {
            plain.extend(forms.plain);
            joined.extend(forms.joined);
        }
        Self { plain: Needles::new(&plain), joined: Needles::new(&joined) }
    }

    /// Whether there is nothing to search for.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.plain.shortest() == usize::MAX && self.joined.shortest() == usize::MAX
    }

    /// The text with `sign` where one of the secrets stands, in whatever spelling. `None` if none does.
    #[must_use]
    pub fn without(&self, text: &str, sign: &str) -> Option<String> {
        let found = self.find(text);
        if found.is_empty() {
            return None;
        }
        let mut clean = String::with_capacity(text.len());
        let mut done = 0;
        for range in &found {
            clean.push_str(text.get(done..range.start).unwrap_or_default());
            clean.push_str(sign);
            done = range.end;
        }
        clean.push_str(text.get(done..).unwrap_or_default());
        Some(clean)
    }

    /// Where secrets stand, in order and apart from each other, on boundaries of characters.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let shortest = self.plain.shortest().min(self.joined.shortest());
        let mut layers = vec![Layer::of(text.as_bytes())];
        for depth in 0..=UNESCAPED {
            let Some(layer) = layers.get(depth).filter(|layer| layer.bytes.len() >= shortest) else { break };
            for range in self.find_in(layer) {
                let range = origin(&layers, depth, range);
                found.push(text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end));
            }
            if depth < UNESCAPED
                && let Some(next) = layer.unescaped()
            {
                layers.push(next);
            }
        }
        merged(found)
    }

    fn find_in(&self, layer: &Layer<'_>) -> Vec<Range<usize>> {
        let len = layer.bytes.len();
        let mut found = if len < self.plain.shortest() { Vec::new() } else { self.plain.find(&layer.folded()) };
        if len >= self.joined.shortest() {
            let joined = layer.joined();
            found.extend(self.joined.find(&joined.bytes).iter().map(|range| joined.origin(layer, range)));
        }
        merged(found)
    }
}

/// Where in the text a range of a layer comes from.
fn origin(layers: &[Layer<'_>], depth: usize, range: Range<usize>) -> Range<usize> {
    let below = (1..=depth).rev().filter_map(|depth| Some((layers.get(depth)?, layers.get(depth - 1)?)));
    below.fold(range, |range, (layer, source)| layer.origin(source, &range))
}
