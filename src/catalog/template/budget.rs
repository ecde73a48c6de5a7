//! What all strings of one config may become together.

use std::{
    cell::Cell,
    io,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::base::weight;

/// Bytes of a rendered config, as JSON: as much as an output may have.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// One string is bounded by its fuel; thousands of them are by this.
const MAX_TIME: Duration = Duration::from_secs(5);

/// What is left for the strings that are still to be rendered.
#[derive(Debug)]
pub struct Budget {
    bytes: Cell<usize>,
    /// Of memory: many small values hold more than they say.
    weight: Cell<usize>,
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
        Self { bytes: Cell::new(bytes), weight: Cell::new(weight::MOST), until: Instant::now() + MAX_TIME }
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
            return Err(format!("the templates of one config take more than {} s; loop over less", MAX_TIME.as_secs()));
        }
        Ok(())
    }

    /// Takes what a value would have as JSON, without making it: a list can hold
    /// another many times over.
    ///
    /// # Errors
    /// As [`Budget::take`]; the value is no data.
    pub fn take_value(&self, value: &impl Serialize) -> Result<(), String> {
        let left = self.weight.get();
        let Some(weight) = weight::of_any(value, left).map_err(|error| error.to_string())? else {
            let most = weight::MOST >> 20;
            return Err(format!("the values of one config hold more than {most} MiB of memory together; pick fewer"));
        };
        self.weight.set(left - weight);
        let mut counter = Counter { bytes: 0, most: self.bytes.get() };
        match serde_json::to_writer(&mut counter, value) {
            Ok(()) => self.take(counter.bytes),
            Err(error) if error.is_io() => self.take(usize::MAX),
            Err(error) => Err(error.to_string()),
        }
    }
}

struct Counter {
    bytes: usize,
    most: usize,
}

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        if self.bytes > self.most { Err(io::Error::other("too long")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
