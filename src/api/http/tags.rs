//! Headings of the OpenAPI document.

use poem_openapi::Tags;

#[derive(Tags)]
pub enum Tag {
    /// Registering, signing in and out.
    Auth,
    /// The agency, its teams and people.
    Agency,
    /// Seats bought, agents hired.
    Agents,
    /// Runs of recipes: enqueue, follow, read.
    Tasks,
    /// Roles, cookbooks and recipes.
    Catalogue,
    /// The queue, for administrators.
    Queue,
    /// The ledger: one line for each call that left.
    Ledger,
    /// Events, sent to where the agency wants to hear of them.
    Webhooks,
    /// Keys for providers and sites, kept encrypted.
    Secrets,
}
