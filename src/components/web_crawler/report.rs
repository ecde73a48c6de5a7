//! The crawl's output, and the bounds of its lists.

use serde::Serialize;
use serde_json::Value;

use crate::{components::web::page::Page, egress::Url};

/// Skipped addresses that are listed; `skipped_total` counts them all.
const MAX_SKIPPED: usize = 2_000;

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub base_url: String,
    pub total_pages: usize,
    pub pages: Vec<PageEntry>,
    /// Every address that was asked for and answered, in order.
    pub visited_urls: Vec<String>,
    pub broken_links: Vec<BrokenLink>,
    pub redirects: Vec<RedirectEntry>,
    pub skipped: Vec<Skipped>,
    pub skipped_total: usize,
}

#[derive(Debug, Serialize)]
pub struct PageEntry {
    pub url: String,
    pub status_code: u16,
    #[serde(flatten)]
    pub page: Page,
    pub depth: u64,
    pub elapsed_ms: u64,
    pub content_type: String,
}

#[derive(Debug, Serialize)]
pub struct BrokenLink {
    pub url: String,
    /// `None` where no answer came.
    pub status_code: Option<u16>,
    pub error: Option<String>,
    pub found_on: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct RedirectEntry {
    pub from: String,
    pub to: String,
    pub status_code: u16,
    pub found_on: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Skipped {
    pub url: String,
    pub reason: String,
    pub found_on: Option<String>,
}

impl Report {
    pub fn skip(&mut self, url: &Url, reason: impl Into<String>, found_on: Option<String>) {
        self.skipped_total += 1;
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(Skipped { url: url.as_str().to_owned(), reason: reason.into(), found_on });
        }
    }

    pub fn into_value(mut self) -> Value {
        // Fetches finish in any order; a report that is the same each time can be compared.
        self.pages.sort_by(|a, b| (a.depth, &a.url).cmp(&(b.depth, &b.url)));
        self.broken_links.sort_by(|a, b| a.url.cmp(&b.url));
        self.total_pages = self.pages.len();
        serde_json::to_value(self).unwrap_or_default()
    }
}
