//! How many tasks may run at once.

/// A limit on tasks that run at once: 1 to 100,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TasksAtOnce(i32);

impl TasksAtOnce {
    pub const MOST: i32 = 100_000;

    /// # Errors
    /// Out of bounds.
    pub fn parse(number: i32) -> Result<Self, OutOfBounds> {
        if (1..=Self::MOST).contains(&number) { Ok(Self(number)) } else { Err(OutOfBounds) }
    }

    #[must_use]
    pub fn get(self) -> i32 {
        self.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to {}, or null for no limit", TasksAtOnce::MOST)]
pub struct OutOfBounds;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_too_much_are_refused() {
        assert_eq!(TasksAtOnce::parse(1).map(TasksAtOnce::get), Ok(1));
        assert_eq!(TasksAtOnce::parse(100_000).map(TasksAtOnce::get), Ok(100_000));
        assert!(TasksAtOnce::parse(0).is_err() && TasksAtOnce::parse(100_001).is_err());
    }
}
