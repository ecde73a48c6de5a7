//! Texts that are searched for in a long one: many short ones at once, few or long ones one by one.

use std::ops::Range;

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;
use zeroize::Zeroizing;

/// So few are found sooner one by one, at some eight bytes a nanosecond each.
const FEW: usize = 16;
/// Longer ones are searched for one by one: the automaton has a state for each byte.
const LONGEST_TOGETHER: usize = 128;
/// Bytes of those in the automaton: it takes about 40 times as much while it is built.
const MOST_TOGETHER: usize = 1 << 20;

/// Its tables are not wiped when it is dropped, as the requests in which the secrets were sent are not.
pub struct Needles {
    together: Option<AhoCorasick>,
    one_by_one: Vec<Finder<'static>>,
    shortest: usize,
}

impl Needles {
    pub fn new(needles: &[Zeroizing<Vec<u8>>]) -> Self {
        let mut room = MOST_TOGETHER;
        let (short, long): (Vec<_>, Vec<_>) = needles.iter().partition(|needle| {
            let fits = needle.len() <= LONGEST_TOGETHER && needle.len() <= room;
            room -= if fits { needle.len() } else { 0 };
            fits
        });
        // It would look for first bytes, which are of every kind, before each step.
        let automaton = || AhoCorasick::builder().prefilter(false).build(short.iter().map(|needle| needle.as_slice()));
        let together = if short.len() > FEW { automaton().ok() } else { None };
        let apart = if together.is_some() { long } else { needles.iter().collect() };
        Self {
            together,
            one_by_one: apart.into_iter().map(|needle| Finder::new(needle.as_slice()).into_owned()).collect(),
            shortest: needles.iter().map(|needle| needle.len()).min().unwrap_or(usize::MAX),
        }
    }

    /// Bytes; above every text's length if there is none.
    pub const fn shortest(&self) -> usize {
        self.shortest
    }

    /// Where they stand, one range where they overlap.
    pub fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::<Range<usize>>::new();
        if let Some(together) = &self.together {
            // They come in the order of their ends.
            for hit in together.find_overlapping_iter(text) {
                let mut range = hit.range();
                while let Some(last) = found.pop_if(|last| last.end > range.start) {
                    range.start = range.start.min(last.start);
                }
                found.push(range);
            }
        }
        for needle in self.one_by_one.iter().filter(|needle| needle.needle().len() <= text.len()) {
            found.extend(needle.find_iter(text).map(|start| start..start + needle.needle().len()));
        }
        merged(found)
    }
}

/// Ranges that overlap become one, so that nothing of two secrets that do stays.
pub fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}
