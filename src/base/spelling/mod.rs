//! The spellings in which a server repeats a secret that it was sent, and texts without them.
//!
//! What programs make of a text by themselves is found, whole secrets only: letters of either
//! case; any of the bytes escaped as in URLs, JSON, scripts, C or HTML, each of these up to three
//! times over; Latin-1, and either normal form of Unicode; hexadecimal, decimal and base64, alone or in
//! the middle of something longer, as in `Basic` credentials. Secrets of twelve letters and digits are
//! also found with whatever other signs in between, or without their own: in groups,
//! over several lines, with other line ends, in quotes that were doubled.
//!
//! What is searched is the text as it stands and as each unescaping leaves it, all in small
//! letters, and each of these once more with nothing but its letters and digits: so no choice of signs that
//! are escaped, no case and no place of a line break is a spelling of its own.

mod escape;
mod forms;
mod layer;
mod needles;
mod seeker;

#[cfg(test)]
mod relatives;
#[cfg(test)]
mod tests;

pub use seeker::Seeker;
