//! Which addresses belong to the site, which were seen, and which come next.

use std::collections::{HashSet, VecDeque};

use crate::egress::Url;

/// An address to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub url: Url,
    pub depth: u64,
    /// The page that linked to it; `None` for the start.
    pub found_on: Option<String>,
    /// Redirects that led here since the link.
    pub hops: usize,
    /// How often the server has put this address off.
    pub delays: usize,
}

/// A queue in order of discovery, which is breadth-first, with every address at most once.
#[derive(Debug, Default)]
pub struct Frontier {
    queue: VecDeque<Item>,
    seen: HashSet<String>,
}

impl Frontier {
    /// Marks the address as seen; false if it was.
    pub fn claim(&mut self, url: &Url) -> bool {
        self.seen.insert(url.as_str().to_owned())
    }

    /// The same for many links without making a string of each.
    pub fn is_new(&self, link: &str) -> bool {
        !self.seen.contains(link)
    }

    pub fn push(&mut self, item: Item) {
        self.queue.push_back(item);
    }

    /// Puts an address in front: it continues one that was already due.
    pub fn push_front(&mut self, item: Item) {
        self.queue.push_front(item);
    }

    /// The next address if it is no deeper than `depth`.
    pub fn pop_within(&mut self, depth: u64) -> Option<Item> {
        self.queue.pop_front_if(|item| item.depth <= depth)
    }

    pub fn pop(&mut self) -> Option<Item> {
        self.queue.pop_front()
    }
}

/// The host that a crawl stays on. http and https on their own ports are one site.
#[derive(Debug, Clone)]
pub struct Site {
    hosts: Vec<String>,
    port: Option<u16>,
}

impl Site {
    #[must_use]
    pub fn of(start: &Url) -> Self {
        Self { hosts: vec![start.host_str().unwrap_or_default().to_owned()], port: start.port() }
    }

    #[must_use]
    pub fn holds(&self, url: &Url) -> bool {
        self.port == url.port() && url.host_str().is_some_and(|host| self.hosts.iter().any(|own| own == host))
    }

    /// Takes the other of `example.com` and `www.example.com` in, if that is where the start redirects to.
    pub fn adopt_www(&mut self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let twin = self.hosts.iter().any(|own| {
            own.strip_prefix("www.").is_some_and(|apex| apex == host)
                || host.strip_prefix("www.").is_some_and(|apex| apex == own)
        });
        if twin && self.port == url.port() {
            self.hosts.push(host.to_owned());
        }
        self.holds(url)
    }
}

/// One spelling for each address: no fragment. Case of the host, the default
/// port and `.` segments are the URL parser's doing; a trailing slash is the server's.
#[must_use]
pub fn canonical(mut url: Url) -> Url {
    url.set_fragment(None);
    if url.query() == Some("") {
        url.set_query(None);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_site_is_its_host_and_port() {
        let site = Site::of(&url("https://example.com/x"));
        for inside in ["https://example.com/", "http://example.com/y", "https://EXAMPLE.com:443/"] {
            assert!(site.holds(&url(inside)), "{inside}");
        }
        for outside in [
            "https://www.example.com/",
            "https://example.com:8443/",
            "https://example.com.evil.org/",
            "https://sub.example.com/",
        ] {
            assert!(!site.holds(&url(outside)), "{outside}");
        }
    }

    #[test]
    fn www_is_adopted_and_nothing_else() {
        let mut site = Site::of(&url("https://example.com/"));
        assert!(!site.adopt_www(&url("https://shop.example.com/")));
        assert!(!site.adopt_www(&url("https://www.example.org/")));
        assert!(site.adopt_www(&url("https://www.example.com/")));
        assert!(site.holds(&url("https://example.com/")) && site.holds(&url("https://www.example.com/")));
        let mut site = Site::of(&url("https://www.example.com/"));
        assert!(site.adopt_www(&url("http://example.com/")));
    }

    #[test]
    fn one_spelling() {
        assert_eq!(canonical(url("HTTP://Example.com:80/a/../b?#x")).as_str(), "http://example.com/b");
        assert_ne!(canonical(url("http://e.com/a")), canonical(url("http://e.com/a/")));
    }

    #[test]
    fn each_address_once() {
        let mut frontier = Frontier::default();
        assert!(frontier.claim(&url("http://e.com/")));
        assert!(!frontier.claim(&url("http://e.com/")));
        assert!(!frontier.is_new("http://e.com/") && frontier.is_new("http://e.com/x"));
    }
}
