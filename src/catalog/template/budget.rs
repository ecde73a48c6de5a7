//! What all strings of one config may become together.

use std::{cell::Cell, io, time::Instant};

use serde::Serialize;

use super::deadline;
use crate::base::{apart, weight};

/// Bytes of a rendered config, as JSON: as much as an output may have.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What is left for the strings that are still to be rendered.
#[derive(Debug)]
pub struct Budget {
    bytes: Cell<usize>,
    /// Of memory: many small values hold more than they say.
    weight: Cell<usize>,
    /// Of all strings together. A program looks at it in its loops and before each work that
    /// is large.
    until: Instant,
}

/// Of one config.
impl Default for Budget {
    fn default() -> Self {
        Self::of(MAX_BYTES)
    }
}

impl Budget {
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        let (bytes, weight) = (Cell::new(bytes), Cell::new(weight::MOST));
        Self { bytes, weight, until: Instant::now() + apart::END }
    }

    /// As by default, with another end.
    #[cfg(test)]
    #[must_use]
    pub fn ending(until: Instant) -> Self {
        Self { until, ..Self::default() }
    }

    /// When its time is over.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.bytes.get()
    }

    /// Takes the bytes of a string.
    ///
    /// # Errors
    /// Nothing is left; says of what.
    pub fn take(&self, bytes: usize) -> Result<(), String> {
        let left = self.bytes.get().checked_sub(bytes).ok_or_else(|| {
            format!("the strings of one config are longer than {MAX_BYTES} bytes together; pick fewer fields")
        })?;
        self.bytes.set(left);
        if Instant::now() > self.until {
            return Err(deadline::late());
        }
        Ok(())
    }

    /// Takes what a value would have as JSON, without making it: a list can hold
    /// another many times over.
    ///
    /// # Errors
    /// As [`Budget::take`]; the value is no data.
    pub fn take_value(&self, value: &impl Serialize) -> Result<(), String> {
        let mut counter = Counter::to((self.bytes.get(), u64::MAX));
        let left = self.weight.get();
        match weight::of_any(value, left, &mut counter) {
            Ok(Some(weight)) => self.weight.set(left - weight),
            Ok(None) if Instant::now() > self.until || deadline::is_late() => return Err(deadline::late()),
            Ok(None) if counter.bytes > counter.most.0 => {}
            Ok(None) => {
                let most = weight::MOST >> 20;
                return Err(format!("the values of one config hold more than {most} MiB of memory; pick fewer"));
            }
            Err(error) => return Err(error.to_string()),
        }
        self.take(counter.bytes)
    }
}

/// Bytes that a value would have as JSON, and pieces that it is written in. Of a value that has
/// more of either than `most`, those up to there: a small list can hold another many times
/// over, so that it has no end that anybody waits for.
pub fn measure(value: &impl Serialize, most: (usize, u64)) -> (u64, u64) {
    let mut counter = Counter::to(most);
    // That it is no data, or too long, is for others to say.
    serde_json::to_writer(&mut counter, value).ok();
    (counter.bytes as u64, counter.pieces)
}

struct Counter {
    bytes: usize,
    pieces: u64,
    /// Of both.
    most: (usize, u64),
    /// Work since the last look at the clock.
    unwatched: usize,
}

impl Counter {
    fn to(most: (usize, u64)) -> Self {
        Self { bytes: 0, pieces: 0, most, unwatched: 0 }
    }

    /// Whether the time is over; looks at the clock after so many pieces, or fewer long ones.
    fn is_late(&mut self, piece: usize) -> bool {
        self.unwatched += 1 + piece / BYTES_A_PIECE;
        if self.unwatched < UNWATCHED {
            return false;
        }
        self.unwatched = 0;
        deadline::is_late()
    }
}

/// Pieces between two looks at the clock.
const UNWATCHED: usize = 4096;
/// Bytes of a text that are as much work as a piece: each is looked at.
const BYTES_A_PIECE: usize = 64;

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        self.pieces += 1;
        if self.bytes > self.most.0 || self.pieces > self.most.1 || self.is_late(bytes.len()) {
            return Err(io::Error::other("too long"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
