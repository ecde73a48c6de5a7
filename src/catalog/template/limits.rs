//! What one string may take and become.

/// Steps that one string may take. The engine charges for data as well, one step
/// for 64 bytes before it makes them, so that this bounds memory to 46 MiB. A
/// report over a thousand pages needs about two thirds of it.
pub const FUEL: u64 = 750_000;
/// The largest text that one string may become, in bytes.
pub const MAX_OUTPUT: usize = 8 * 1024 * 1024;
