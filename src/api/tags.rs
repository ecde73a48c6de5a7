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
    /// Keys for providers and sites, kept encrypted.
    Secrets,
}
