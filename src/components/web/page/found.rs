//! What is read of a page, as it stands in a crawl's report.

use serde::Serialize;

/// Bytes that a text holds beside itself once it is a value, an image, and a page.
const VALUE: usize = 56;
const IMAGE: usize = 800;
const PAGE: usize = 4_000;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Page {
    pub title: Option<String>,
    pub meta_description: Option<String>,
    pub meta_keywords: Option<String>,
    pub canonical: Option<String>,
    pub h1_tags: Vec<String>,
    pub h2_tags: Vec<String>,
    /// Of the visible text.
    pub word_count: usize,
    /// Absolute http(s) addresses without fragment, each once, in order.
    pub links: Vec<String>,
    pub images: Vec<Image>,
    /// Images that have no `alt` at all; an empty one marks decoration.
    pub images_without_alt: usize,
    /// The page asks that its links be left alone.
    #[serde(skip)]
    pub nofollow: bool,
    #[serde(skip)]
    pub markdown: String,
}

impl Page {
    /// Bytes that the page takes up in a report, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts = self.links.iter().chain(&self.h1_tags).chain(&self.h2_tags).map(|text| VALUE + text.len());
        let images =
            self.images.iter().map(|image| IMAGE + image.src.len() + image.alt.as_ref().map_or(0, String::len));
        texts.chain(images).sum::<usize>() + PAGE
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    pub src: String,
    pub alt: Option<String>,
}
