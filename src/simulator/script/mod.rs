//! The script: what a model that is none answers, and which fault a model's name asks for.
//!
//! The same question gets the same answer, everywhere and always. Tokens are
//! counted by one rule: a text has a quarter of its UTF-8 bytes, rounded up.

mod answer;
mod hash;
mod plan;
mod question;
mod sample;
mod text;

pub use answer::{Answer, Counting, answer};
pub use plan::{Act, MODELS, Plan, Script};
pub use question::Question;
