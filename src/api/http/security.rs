//! Who may call: role and scope are the type of a handler's access argument.
//!
//! A handler reaches the API's state through that argument alone, so that one
//! without it can do nothing. Each handler takes exactly one of these:
//!
//! | argument | who passes |
//! |---|---|
//! | [`Member<S>`] | any signed-in person; an API key that has the scope `S` |
//! | [`Admin<S>`] | an admin; an API key that has the scope `S` and no team |
//! | [`Person`] | any signed-in person, no API key |
//! | [`PersonAdmin`] | a signed-in admin, no API key |
//! | [`Open`] | anybody, without a credential |

use std::{marker::PhantomData, net::IpAddr, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use poem::{
    Request, RequestBody,
    http::{HeaderMap, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    auth::{Bearer, BearerAuthorization},
    registry::{MetaSecurityScheme, Registry},
};
use secrecy::{ExposeSecret, SecretString};

use super::{admit, gate, problem::Problem, state::ApiState};
use crate::{
    auth::{AuthError, Caller, Client, Need, Scope, Session},
    base::TenantScope,
};

/// The state as it is attached to the routes; nothing outside of this file can extract it.
#[derive(Clone)]
pub(in crate::api) struct Attached(pub Arc<ApiState>);

/// Any signed-in person, or an API key with the scope `S`.
pub struct Member<S> {
    pub state: Arc<ApiState>,
    caller: Caller,
    token: SecretString,
    need: PhantomData<S>,
}

/// An admin, or an API key with the scope `S` that is bound to no team.
pub struct Admin<S> {
    pub state: Arc<ApiState>,
    caller: Caller,
    need: PhantomData<S>,
}

/// Any signed-in person; an API key gets 403.
pub struct Person {
    pub state: Arc<ApiState>,
    session: Session,
    client: Option<IpAddr>,
}

/// A signed-in admin; an API key gets 403.
pub struct PersonAdmin {
    pub state: Arc<ApiState>,
    session: Session,
}

/// Anybody: the operation checks what it was sent itself.
pub struct Open {
    pub state: Arc<ApiState>,
    client: Option<IpAddr>,
}

impl<S: Need> Member<S> {
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        self.caller.scope()
    }

    /// For an answer that lasts: asks again whether its caller may have it, and as whom.
    /// `None` if not any more. While the database is unavailable what was known stands.
    pub fn still_may(&self) -> impl Fn() -> BoxFuture<'static, Option<TenantScope>> + Send + Sync + 'static {
        let (state, token, known) = (Arc::clone(&self.state), self.token.clone(), *self.caller.scope());
        move || {
            let (state, token) = (Arc::clone(&state), token.clone());
            let asked = async move {
                match state.auth.authenticate(token.expose_secret()).await {
                    Ok(caller) if caller.may(S::SCOPE) => Some(*caller.scope()),
                    Err(AuthError::Unavailable) => Some(known),
                    _ => None,
                }
            };
            asked.boxed()
        }
    }
}

impl<S> Admin<S> {
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        self.caller.scope()
    }

    /// Whether the credential may be used for something beside the operation's own need.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.caller.may(scope)
    }
}

impl Person {
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Where the request comes from, as far as it can be told.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.client
    }
}

impl Open {
    /// Who asks, as far as it can be told.
    #[must_use]
    pub fn client<'a>(&self, headers: &'a HeaderMap) -> Client<'a> {
        let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Client { user_agent, address: self.client }
    }
}

impl PersonAdmin {
    #[must_use]
    pub fn scope(&self) -> &TenantScope {
        self.session.scope()
    }

    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }
}

pub(super) fn state(request: &Request) -> Result<Arc<ApiState>, Problem> {
    let attached = request.data::<Attached>();
    let attached = attached.ok_or_else(|| Problem::internal(&"the API's state is not attached to its routes"))?;
    Ok(Arc::clone(&attached.0))
}

async fn caller(request: &Request) -> poem::Result<(Arc<ApiState>, Caller)> {
    let (state, caller, _) = caller_and_token(request).await?;
    Ok((state, caller))
}

async fn caller_and_token(request: &Request) -> poem::Result<(Arc<ApiState>, Caller, SecretString)> {
    let state = state(request)?;
    let bearer = Bearer::from_request(request)?;
    let caller = state.auth.authenticate(&bearer.token).await.map_err(Problem::from)?;
    admit::request(request, &state, caller.scope()).await?;
    Ok((state, caller, bearer.token.into()))
}

/// Who asks, for what is done before a handler. Their requests are not counted here.
pub(super) async fn identify(request: &Request, state: &ApiState) -> poem::Result<TenantScope> {
    let bearer = Bearer::from_request(request)?;
    Ok(*state.auth.authenticate(&bearer.token).await.map_err(Problem::from)?.scope())
}

fn needs_scope<S: Need>(caller: &Caller) -> Result<(), Problem> {
    if caller.may(S::SCOPE) {
        return Ok(());
    }
    let scope = S::SCOPE.as_str();
    let detail = format!("This API key does not have the scope {scope}; use one that does, made with POST /api-keys.");
    Err(Problem::forbidden("scope_missing", detail))
}

fn needs_admin(scope: &TenantScope) -> Result<(), Problem> {
    if scope.is_admin() {
        return Ok(());
    }
    Err(Problem::forbidden("role_too_low", "Only an admin of the agency may do this."))
}

fn needs_person(caller: &Caller) -> Result<Session, Problem> {
    caller
        .session()
        .copied()
        .ok_or_else(|| Problem::forbidden("people_only", "An API key may not do this; sign in with POST /auth/login."))
}

/// Names under which [`super::access`] finds an argument's demands in the
/// specification before it writes them out.
pub(super) mod mark {
    pub const MEMBER: &str = "member";
    pub const ADMIN: &str = "admin";
    pub const PERSON: &str = "person";
    pub const PERSON_ADMIN: &str = "person_admin";
}
/// Security schemes of the specification.
pub(super) const ACCESS_TOKEN: &str = "bearer";
pub(super) const API_KEY: &str = "api_key";

fn register_schemes(registry: &mut Registry) {
    let http = |format, description| MetaSecurityScheme {
        ty: "http",
        description: Some(description),
        name: None,
        key_in: None,
        scheme: Some("bearer"),
        bearer_format: Some(format),
        flows: None,
        openid_connect_url: None,
    };
    registry.create_security_scheme(ACCESS_TOKEN, http("JWT", "A person's access token, of POST /auth/login."));
    registry.create_security_scheme(API_KEY, http("tak_...", "An API key of POST /api-keys, within its scopes."));
}

/// What the five arguments differ in: the marks, and the checks between request and value.
macro_rules! access {
    ([$($generic:ident)?] $name:ty, [$($mark:expr),*], $request:ident => $extract:expr) => {
        impl<'a $(, $generic: Need)?> ApiExtractor<'a> for $name {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                register_schemes(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![$($mark),*]
            }

            /// Without a scheme the specification says outright that none is needed.
            fn has_security_fallback() -> bool {
                Self::security_schemes().is_empty()
            }

            async fn from_request(
                $request: &'a Request,
                _body: &mut RequestBody,
                _options: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                $extract
            }
        }
    };
}

access!([S] Member<S>, [mark::MEMBER, S::SCOPE.as_str()], request => {
    let (state, caller, token) = caller_and_token(request).await?;
    needs_scope::<S>(&caller)?;
    Ok(Self { state, caller, token, need: PhantomData })
});

access!([S] Admin<S>, [mark::ADMIN, S::SCOPE.as_str()], request => {
    let (state, caller) = caller(request).await?;
    needs_scope::<S>(&caller)?;
    needs_admin(caller.scope())?;
    Ok(Self { state, caller, need: PhantomData })
});

access!([] Person, [mark::PERSON], request => {
    let (state, caller) = caller(request).await?;
    let client = gate::client(request, &state.trusted_proxies);
    Ok(Self { state, session: needs_person(&caller)?, client })
});

access!([] PersonAdmin, [mark::PERSON_ADMIN], request => {
    let (state, caller) = caller(request).await?;
    let session = needs_person(&caller)?;
    needs_admin(session.scope())?;
    Ok(Self { state, session })
});

access!([] Open, [], request => {
    let state = state(request)?;
    let client = gate::client(request, &state.trusted_proxies);
    Ok(Self { state, client })
});
