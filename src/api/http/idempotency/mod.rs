//! `Idempotency-Key`: a POST that is repeated with its key does its work once.
//!
//! One mechanism around every POST that takes a token. The key is the caller's own, for
//! one operation, for 24 hours. It is written down before the work begins. An answer of
//! success is kept, sealed with the agency's key as it may show a secret once, and given
//! again to the same request. Any other answer gives the key back: nothing was made.
//! The work goes on to its end when the client hangs up, so that asking again finds it.
//!
//! `POST /tasks` and `POST /tasks/batch` have a way of their own, in the commit that makes
//! the tasks: none of them is ever under way.
//!
//! - [`once`]: what stands around the resources
//! - [`stored_answers`]: the answers that are kept

mod once;
mod stored_answers;

pub use once::Idempotent;
