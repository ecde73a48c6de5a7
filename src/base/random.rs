//! Random bytes for keys, tokens and salts, from the operating system.

use rand::TryRng;

/// Fills an array from the operating system's generator.
///
/// # Errors
/// The operating system has no randomness to give; nothing secret may be made then.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut out = [0_u8; N];
    rand::rngs::SysRng.try_fill_bytes(&mut out).map_err(|_| NoRandomness)?;
    Ok(out)
}

#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;
