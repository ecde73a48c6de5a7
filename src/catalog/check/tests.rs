//! Faults that validation finds.
