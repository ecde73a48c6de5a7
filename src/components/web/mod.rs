//! What is read from the web: pages and their markup, in any character set, and who may read them.
//!
//! - [`charset`]: bytes to text
//! - [`html_tokens`]: text to tags and words
//! - [`page`], [`markdown`]: what a page holds, and its text as Markdown
//! - [`robots`]: what a site lets crawlers read

pub mod charset;
pub mod html_tokens;
pub mod markdown;
pub mod page;
pub mod robots;
