//! The environment as the process found it.

use std::collections::BTreeMap;

/// Variables by their names, handed to whatever needs it.
pub type Env = BTreeMap<String, String>;

/// What is not Unicode cannot be a setting of ours and is left out.
pub fn environment() -> Env {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
