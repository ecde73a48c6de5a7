//! Chances that can be repeated: everything follows from one printed seed.

use std::ops::RangeInclusive;

/// The generator known as `SplitMix64`.
#[derive(Debug, Clone)]
pub struct Random {
    pub seed: u64,
    state: u64,
}

impl Random {
    /// From `TEAMAI_FAULT_SEED`, or a new one.
    pub fn from_environment() -> Self {
        let seed = setting("TEAMAI_FAULT_SEED").map_or_else(
            || u64::from(u32::from_le_bytes(teamai::base::random::bytes().unwrap())),
            |seed| seed.parse().expect("TEAMAI_FAULT_SEED is a number"),
        );
        Self { seed, state: seed }
    }

    /// Another sequence that follows from the same seed.
    pub fn fork(&mut self) -> Self {
        Self { seed: self.seed, state: self.next() }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let last = u64::try_from(from.len() - 1).unwrap();
        &from[usize::try_from(self.within(0..=last)).unwrap()]
    }
}

/// A variable of whoever runs the bench; an empty one is none.
#[expect(clippy::disallowed_methods, reason = "the test's own configuration")]
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
