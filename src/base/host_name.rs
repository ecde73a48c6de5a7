//! Whether a host that somebody wrote can be one: the URL parser takes more than names can be.

use url::{Host, Url};

/// For the end of a message.
pub const RULE: &str = "between its dots a name has 1 to 63 letters, digits and hyphens, no hyphen first or last, and a \
                        port is 1 to 65535";
/// Of a name, in bytes and without a dot at its end.
const MAX_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// Whether the URL has a host that can be one, and no port 0.
#[must_use]
pub fn is_possible(url: &Url) -> bool {
    let host = match url.host() {
        Some(Host::Domain(name)) => is_name(name),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    };
    host && url.port() != Some(0)
}

/// `_` is no letter of a host's name and is used in some all the same.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.chars().all(is_sign)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= MAX_BYTES && name.split('.').all(is_label)
}
