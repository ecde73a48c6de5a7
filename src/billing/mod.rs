//! What calls cost, and the ledger of them: the price book, its rows and where they come from.

mod book;
mod file;
pub mod ledger;
pub mod litellm;
mod price;
pub mod store;

pub use book::{PriceBook, PriceBooks};
pub use price::{NewPrice, Price, Rates};
