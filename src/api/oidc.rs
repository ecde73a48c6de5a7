//! `/auth/oidc`: signing in through an OpenID Connect provider.
//!
//! A browser is sent to `start`, comes back to `callback`, and ends at the front
//! end's own address with `#code=...`, which the front end exchanges for tokens.

use poem::http::{HeaderMap, header};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Password,
};
use secrecy::SecretString;

use super::{
    Open, Person, Result,
    auth::SignIn,
    http::{
        body::{Body, SmallBody},
        page::Listing,
        tags::Tag,
    },
};
use crate::auth::oidc::{Callback, Departure};

const DEFAULT_RETURN_TO: &str = "/console";

/// A provider that people may sign in through.
#[derive(Debug, Object)]
struct Provider {
    name: String,
}

/// To another address, with the cookie that binds the sign-in to this browser.
#[derive(ApiResponse)]
enum Away {
    #[oai(status = 302)]
    Found(#[oai(header = "Location")] String, #[oai(header = "Set-Cookie")] String),
}

impl From<Departure> for Away {
    fn from(departure: Departure) -> Self {
        Self::Found(departure.to.into(), departure.set_cookie)
    }
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct ExchangeBody {
    /// What stood behind `#code=`.
    #[oai(validator(max_length = 100))]
    code: Password,
}

#[derive(ApiResponse)]
enum Exchanged {
    #[oai(status = 200)]
    SignedIn(Json<SignIn>, #[oai(header = "Set-Cookie")] String),
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct LinkBody {
    /// As at `start`.
    #[oai(validator(max_length = 2000))]
    return_to: Option<String>,
}

#[derive(Object)]
struct LinkStart {
    /// Where the browser is to go, within ten minutes.
    url: String,
}

#[derive(ApiResponse)]
enum LinkStarted {
    #[oai(status = 200)]
    Begun(Json<LinkStart>, #[oai(header = "Set-Cookie")] String),
}

#[derive(Clone)]
pub struct OidcApi;

#[OpenApi(prefix_path = "/auth/oidc", tag = "Tag::Auth")]
impl OidcApi {
    /// List the providers that people may sign in through.
    #[oai(path = "/", method = "get", operation_id = "list_oidc_providers")]
    #[expect(clippy::unused_async, reason = "the form of a handler")]
    async fn list_oidc_providers(&self, open: Open) -> Result<Json<Listing<Provider>>> {
        let items = open.state.oidc.providers().map(|name| Provider { name: name.to_owned() }).collect();
        Ok(Json(Listing { items, next_cursor: None }))
    }

    /// Begin a sign-in: sends the browser to the provider. It comes back to `callback`
    /// within ten minutes, in the same browser.
    #[oai(path = "/:provider/start", method = "get", operation_id = "start_oidc")]
    async fn start_oidc(
        &self,
        open: Open,
        #[oai(validator(max_length = 100))] provider: Path<String>,
        /// Where the browser is sent in the end: a path of this installation, or an address
        /// under an origin that the operator allows. `/console` unless given.
        #[oai(validator(max_length = 2000))]
        return_to: Query<Option<String>>,
    ) -> Result<Away> {
        let return_to = return_to.0.as_deref().unwrap_or(DEFAULT_RETURN_TO);
        Ok(open.state.oidc.begin(&provider.0, return_to, None).await?.into())
    }

    /// Where the provider sends the browser back to. On to `return_to#code=...`; the code
    /// is for POST /auth/oidc/exchange, once, within a minute. 403 `invitation_required`
    /// for an address that nobody invited; 409 `link_required` for the address of an
    /// account that signs in with a password.
    #[oai(path = "/:provider/callback", method = "get", operation_id = "finish_oidc")]
    #[expect(clippy::too_many_arguments, reason = "what the protocol sends, one by one for the specification")]
    async fn finish_oidc(
        &self,
        open: Open,
        headers: &HeaderMap,
        #[oai(validator(max_length = 100))] provider: Path<String>,
        #[oai(validator(max_length = 4096))] code: Query<Option<String>>,
        #[oai(validator(max_length = 100))] state: Query<Option<String>>,
        /// In place of a code, when the provider signed nobody in.
        #[oai(validator(max_length = 500))]
        error: Query<Option<String>>,
        /// The provider's issuer, where it says so.
        #[oai(validator(max_length = 500))]
        iss: Query<Option<String>>,
    ) -> Result<Away> {
        let callback = Callback { code: code.0.map(SecretString::from), state: state.0, error: error.0, iss: iss.0 };
        let cookies = cookies(headers);
        let oidc = &open.state.oidc;
        Ok(oidc.finish(&provider.0, callback, oidc.cookie(&cookies)).await?.into())
    }

    /// Get tokens for the code that came with the browser, from the same browser.
    #[oai(path = "/exchange", method = "post", operation_id = "exchange_oidc_code")]
    async fn exchange_oidc_code(
        &self,
        open: Open,
        headers: &HeaderMap,
        body: SmallBody<ExchangeBody>,
    ) -> Result<Exchanged> {
        let cookies = cookies(headers);
        let oidc = &open.state.oidc;
        let signed_in = oidc.exchange(&body.0.code.0, oidc.cookie(&cookies), open.client(headers).user_agent).await?;
        Ok(Exchanged::SignedIn(Json(signed_in.into()), oidc.cleared_cookie()))
    }

    /// Link one's user to an account of a provider: send the browser to the URL of the
    /// answer. It comes back to `return_to`, without a code; from then on that account
    /// signs the user in.
    #[oai(path = "/:provider/link", method = "post", operation_id = "link_oidc")]
    async fn link_oidc(
        &self,
        person: Person,
        #[oai(validator(max_length = 100))] provider: Path<String>,
        body: Body<LinkBody>,
    ) -> Result<LinkStarted> {
        let return_to = body.0.return_to.as_deref().unwrap_or(DEFAULT_RETURN_TO);
        let Departure { to, set_cookie } =
            person.state.oidc.begin(&provider.0, return_to, Some(person.session())).await?;
        Ok(LinkStarted::Begun(Json(LinkStart { url: to.into() }), set_cookie))
    }
}

/// All that the browser sent: HTTP/2 may send each cookie in a header of its own.
fn cookies(headers: &HeaderMap) -> String {
    let all: Vec<&str> = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
    all.join("; ")
}
