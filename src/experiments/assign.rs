//! Assignment by salted hash: no state, no bias, the same answer every time.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The arm of a subject, an index below `arms`. The salt makes the assignments
/// of two experiments independent. `None` without arms.
#[must_use]
pub fn arm_of(salt: Uuid, subject: &str, arms: usize) -> Option<usize> {
    let arms = u128::try_from(arms).ok().filter(|n| *n > 0)?;
    let digest = Sha256::new().chain_update(salt.as_bytes()).chain_update(subject.as_bytes()).finalize();
    let mut head = [0_u8; 8];
    head.copy_from_slice(&digest[..8]);
    // The top bits of hash x arms: even to within 2^-64, unlike a remainder.
    usize::try_from((u128::from(u64::from_be_bytes(head)) * arms) >> 64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_keeps_its_arm() {
        let salt = Uuid::from_u128(7);
        assert_eq!(arm_of(salt, "client-1", 3), arm_of(salt, "client-1", 3));
        assert_eq!(arm_of(salt, "client-1", 0), None);
        assert_eq!(arm_of(salt, "client-1", 1), Some(0));
    }

    #[test]
    fn arms_are_filled_evenly() {
        let mut counts = [0_u32; 3];
        for n in 0..30_000 {
            counts[arm_of(Uuid::from_u128(42), &format!("subject-{n}"), 3).unwrap()] += 1;
        }
        // Four standard deviations around 10,000 are about 327.
        assert!(counts.iter().all(|n| n.abs_diff(10_000) < 330), "{counts:?}");
    }

    #[test]
    fn experiments_are_independent_of_each_other() {
        let same = (0..10_000)
            .map(|n| format!("subject-{n}"))
            .filter(|s| arm_of(Uuid::from_u128(1), s, 2) == arm_of(Uuid::from_u128(2), s, 2))
            .count();
        assert!(same.abs_diff(5_000) < 200, "{same}");
    }
}
