//! A small OpenID Connect provider, real in everything that a client checks, which
//! can be told to misbehave.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use poem::{Response, http::StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use teamai::{auth::keys, base::Clock};

use crate::site::{Site, Visit};

pub const CLIENT_ID: &str = "teamai-client";
pub const CLIENT_SECRET: &str = "a secret of forty characters or so: x9";

/// What an installation is told to let people in through the provider, as `small`.
pub fn settings<'a>(issuer: &'a str, allowed: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("TEAMAI_AUTH__OIDC__SMALL__ISSUER", issuer),
        ("TEAMAI_AUTH__OIDC__SMALL__CLIENT_ID", CLIENT_ID),
        ("TEAMAI_AUTH__OIDC__SMALL__CLIENT_SECRET", CLIENT_SECRET),
        ("TEAMAI_EGRESS__ALLOW", allowed),
        ("TEAMAI_HTTP__PUBLIC_URL", "https://teamai.example.com"),
    ]
}

/// How the next ID tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    With(Algorithm),
    /// With a key that is not published, under the id of one that is, or under its own.
    Forged,
    UnknownKey,
    /// `alg: none`.
    NotAtAll,
    /// HS256, with the client's secret.
    WithTheSecret,
    /// Rightly, under a header that asks for an extension (`crit`).
    Critical,
}

pub struct IdentityProvider {
    site: Site,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    keys: Vec<Key>,
    signed: Signed,
    /// Laid over the good claims; null takes one away.
    claims: BTreeMap<&'static str, Value>,
    /// Laid over the good description.
    description: BTreeMap<&'static str, Value>,
    sub: String,
    email: String,
    down: bool,
    grants: BTreeMap<String, Grant>,
    issued: usize,
    /// Codes that were exchanged for tokens.
    exchanged: usize,
}

struct Key {
    algorithm: Algorithm,
    private: EncodingKey,
    kid: String,
}

/// What the browser asked for, until its code is used.
struct Grant {
    redirect_uri: String,
    nonce: String,
    challenge: String,
}

impl Key {
    fn new(algorithm: Algorithm, kid: &str) -> Self {
        let private = match algorithm {
            Algorithm::RS256 => {
                let der = KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
                EncodingKey::from_rsa_pem(pem(der.as_ref()).as_bytes())
            }
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_pem(pem(pair.to_pkcs8v1().unwrap().as_ref()).as_bytes())
            }
            _ => EncodingKey::from_ed_pem(keys::generate_pem().unwrap().expose_secret().as_bytes()),
        };
        Self { algorithm, private: private.unwrap(), kid: kid.to_owned() }
    }

    fn public(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.private, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

impl IdentityProvider {
    pub async fn start(clock: Arc<dyn Clock>) -> Self {
        let keys = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
        let keys = keys.iter().enumerate().map(|(n, algorithm)| Key::new(*algorithm, &format!("key-{n}"))).collect();
        let inner = Arc::new(Mutex::new(Inner {
            clock,
            keys,
            signed: Signed::With(Algorithm::RS256),
            claims: BTreeMap::new(),
            description: BTreeMap::new(),
            sub: "subject-1".into(),
            email: "mia@acme.example".into(),
            down: false,
            grants: BTreeMap::new(),
            issued: 0,
            exchanged: 0,
        }));
        let served = Arc::clone(&inner);
        let site = Site::serve(move |visit| lock(&served).answer(visit)).await;
        Self { site, inner }
    }

    /// As configured, character by character.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.site.address)
    }

    pub fn allowed(&self) -> String {
        self.site.allowed()
    }

    pub fn person(&self, sub: &str, email: &str) {
        let mut inner = lock(&self.inner);
        (inner.sub, inner.email) = (sub.to_owned(), email.to_owned());
    }

    pub fn sign(&self, signed: Signed) {
        lock(&self.inner).signed = signed;
    }

    pub fn claim(&self, name: &'static str, value: Value) {
        lock(&self.inner).claims.insert(name, value);
    }

    pub fn describe(&self, name: &'static str, value: Value) {
        lock(&self.inner).description.insert(name, value);
    }

    pub fn behave(&self) {
        let mut inner = lock(&self.inner);
        inner.claims.clear();
        inner.signed = Signed::With(Algorithm::RS256);
    }

    pub fn down(&self, down: bool) {
        lock(&self.inner).down = down;
    }

    /// New keys in place of all, under new ids.
    pub fn rotate(&self, kid: &str) {
        lock(&self.inner).keys = vec![Key::new(Algorithm::RS256, kid)];
    }

    /// How often a path was asked for.
    pub fn visits(&self, path: &str) -> usize {
        self.site.visits().iter().filter(|visit| visit.path == path).count()
    }

    /// How many codes were exchanged for tokens.
    pub fn exchanged(&self) -> usize {
        lock(&self.inner).exchanged
    }

    /// The browser signs in there and agrees: where it is sent.
    pub async fn agree(&self, authorize: &str) -> url::Url {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let response = http.get(authorize).send().await.unwrap();
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        let status = response.status();
        let location = location.unwrap_or_else(|| panic!("the provider answered {status}"));
        location.parse().unwrap()
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn answer_json(status: StatusCode, body: &Value) -> Response {
    Response::builder().status(status).content_type("application/json").body(body.to_string())
}

impl Inner {
    fn answer(&mut self, visit: &Visit) -> Response {
        if self.down {
            return Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).finish();
        }
        let issuer = format!("http://{}", visit.headers["host"].to_str().unwrap());
        match visit.path.as_str() {
            "/.well-known/openid-configuration" => answer_json(StatusCode::OK, &self.description(&issuer)),
            "/keys" => {
                let keys: Vec<Value> = self.keys.iter().map(Key::public).collect();
                answer_json(StatusCode::OK, &json!({"keys": keys}))
            }
            "/authorize" => self.authorize(&pairs(&visit.query)),
            "/token" => self.token(&issuer, visit),
            _ => Response::builder().status(StatusCode::NOT_FOUND).finish(),
        }
    }

    fn description(&self, issuer: &str) -> Value {
        let mut description = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            // More than is good for anybody.
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA", "HS256", "none"],
        });
        for (name, value) in &self.description {
            description[*name] = value.clone();
        }
        description
    }

    fn authorize(&mut self, query: &BTreeMap<String, String>) -> Response {
        let scopes: Vec<&str> = query["scope"].split(' ').collect();
        let good = query["client_id"] == CLIENT_ID
            && query["response_type"] == "code"
            && query["code_challenge_method"] == "S256"
            && scopes.contains(&"openid")
            && scopes.contains(&"email");
        if !good {
            return Response::builder().status(StatusCode::BAD_REQUEST).finish();
        }
        self.issued += 1;
        let code = format!("code-{}", self.issued);
        let mut back = url::Url::parse(&query["redirect_uri"]).unwrap();
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &query["state"]);
        let grant = Grant {
            redirect_uri: query["redirect_uri"].clone(),
            nonce: query["nonce"].clone(),
            challenge: query["code_challenge"].clone(),
        };
        self.grants.insert(code, grant);
        Response::builder().status(StatusCode::FOUND).header("location", back.as_str()).finish()
    }

    fn token(&mut self, issuer: &str, visit: &Visit) -> Response {
        let form = pairs(&visit.body);
        let encoded: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
        let credential = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{encoded}")));
        if visit.headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&credential) {
            return answer_json(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_client"}));
        }
        // A code is good once, for the browser that asked for it.
        let grant = form.get("code").and_then(|code| self.grants.remove(code));
        let verifier = form.get("code_verifier").map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)));
        let fits = |grant: &Grant| {
            Some(&grant.challenge) == verifier.as_ref() && Some(&grant.redirect_uri) == form.get("redirect_uri")
        };
        let Some(grant) = grant.filter(fits) else {
            return answer_json(StatusCode::BAD_REQUEST, &json!({"error": "invalid_grant"}));
        };
        self.exchanged += 1;
        let id_token = self.id_token(issuer, &grant.nonce);
        answer_json(
            StatusCode::OK,
            &json!({"access_token": "not used", "token_type": "Bearer", "expires_in": 60, "id_token": id_token}),
        )
    }

    fn id_token(&self, issuer: &str, nonce: &str) -> String {
        let now = self.clock.now().timestamp();
        let mut claims = json!({
            "iss": issuer, "aud": CLIENT_ID, "sub": self.sub, "iat": now, "exp": now + 300, "nonce": nonce,
            "email": self.email, "email_verified": true, "name": "Mia",
        });
        for (name, value) in &self.claims {
            claims[*name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.signed(&claims)
    }

    fn signed(&self, claims: &Value) -> String {
        let with = |algorithm, kid: &str, key: &EncodingKey| {
            let mut header = Header::new(algorithm);
            header.kid = Some(kid.to_owned());
            jsonwebtoken::encode(&header, claims, key).unwrap()
        };
        match self.signed {
            Signed::With(algorithm) => {
                let key = self.keys.iter().find(|key| key.algorithm == algorithm).unwrap();
                with(algorithm, &key.kid, &key.private)
            }
            Signed::Forged => with(Algorithm::RS256, &self.keys[0].kid, &Key::new(Algorithm::RS256, "").private),
            Signed::UnknownKey => with(Algorithm::RS256, "unknown", &Key::new(Algorithm::RS256, "").private),
            Signed::Critical => {
                let key = &self.keys[0];
                let header = json!({"alg": "RS256", "kid": key.kid, "crit": ["b64"], "b64": true}).to_string();
                let message =
                    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
                let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.private, key.algorithm).unwrap();
                format!("{message}.{signature}")
            }
            Signed::NotAtAll => {
                let header = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT"}).to_string());
                format!("{header}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()))
            }
            Signed::WithTheSecret => {
                with(Algorithm::HS256, &self.keys[0].kid, &EncodingKey::from_secret(CLIENT_SECRET.as_bytes()))
            }
        }
    }
}
