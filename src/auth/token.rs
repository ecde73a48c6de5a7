//! Access tokens: signed with Ed25519, valid for ten minutes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    jwk::{AlgorithmParameters, Jwk},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::AuthError;
use crate::{
    base::{AgencyId, SessionId, TeamId, UserId, ids::uuid_at},
    tenancy::Role,
};

const ISSUER: &str = "teamai";
const AUDIENCE: &str = "teamai";
const TYPE: &str = "at+jwt";
/// Of an access token.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// How far clocks may be apart.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);

pub const EXPIRED: AuthError = AuthError::InvalidToken("the access token has expired; refresh it or sign in again");
const INVALID: AuthError = AuthError::InvalidToken("the access token is not valid; sign in again");

/// Claims of an access token; their names are part of the API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: UserId,
    pub sid: SessionId,
    pub jti: Uuid,
    /// Seconds since 1970, as the two that follow.
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    pub user_id: UserId,
    pub email: String,
    pub role: Role,
    pub agency_id: AgencyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
}

/// Whom a token is for.
#[derive(Debug)]
pub struct Subject<'a> {
    pub user_id: UserId,
    pub email: &'a str,
    pub role: Role,
    pub agency_id: AgencyId,
    pub team_id: Option<TeamId>,
    pub session_id: SessionId,
}

impl Claims {
    pub fn new(subject: &Subject<'_>, now: DateTime<Utc>) -> Self {
        Self {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: subject.user_id,
            sid: subject.session_id,
            jti: uuid_at(now),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + LIFETIME).timestamp(),
            user_id: subject.user_id,
            email: subject.email.to_owned(),
            role: subject.role,
            agency_id: subject.agency_id,
            team_id: subject.team_id,
        }
    }

    pub fn expires_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.exp, 0).unwrap_or_default()
    }
}

/// Whether a token with this end is no longer good at `now`.
pub fn expired(expires_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now >= expires_at + LEEWAY
}

/// Whether the header lists members that whoever takes the token must understand
/// (RFC 7515, 4.1.11). We know none of them, and `jsonwebtoken` passes over the list.
fn has_critical(token: &str) -> bool {
    let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let header = header.and_then(|bytes| serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(&bytes).ok());
    // What cannot be read is not good either.
    header.is_none_or(|header| header.contains_key("crit"))
}

/// Makes and checks access tokens with one key.
#[derive(Debug)]
pub struct Signer {
    header: Header,
    private: EncodingKey,
    public: DecodingKey,
    validation: Validation,
}

impl Signer {
    pub fn new(pem: &SecretString) -> Result<Self, AuthError> {
        let refused = |error: jsonwebtoken::errors::Error| AuthError::SigningKey(error.to_string());
        let private = EncodingKey::from_ed_pem(pem.expose_secret().as_bytes()).map_err(refused)?;
        let jwk = Jwk::from_encoding_key(&private, Algorithm::EdDSA).map_err(refused)?;
        let AlgorithmParameters::OctetKeyPair(public) = &jwk.algorithm else {
            return Err(AuthError::SigningKey("it is a key of another kind".into()));
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(hex::encode(&Sha256::digest(public.x.as_bytes())[..8]));
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // Times are checked below, against our clock.
        validation.validate_exp = false;
        Ok(Self { header, private, public: DecodingKey::from_jwk(&jwk).map_err(refused)?, validation })
    }

    pub fn sign(&self, claims: &Claims) -> Result<String, AuthError> {
        jsonwebtoken::encode(&self.header, claims, &self.private)
            .map_err(|error| AuthError::Internal(format!("the access token could not be signed: {error}")))
    }

    /// The claims of a token that we signed and that is good at `now`.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, AuthError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| INVALID)?;
        if header.typ != self.header.typ || header.kid != self.header.kid || has_critical(token) {
            return Err(INVALID);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.public, &self.validation).map_err(|_| INVALID)?.claims;
        if expired(claims.expires_at(), now) {
            return Err(EXPIRED);
        }
        if claims.nbf > (now + LEEWAY).timestamp() || claims.sub != claims.user_id {
            return Err(INVALID);
        }
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::keys::generate_pem;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn claims() -> Claims {
        let subject = Subject {
            user_id: UserId::at(now()),
            email: "ana@example.com",
            role: Role::TeamMember,
            agency_id: AgencyId::at(now()),
            team_id: None,
            session_id: SessionId::at(now()),
        };
        Claims::new(&subject, now())
    }

    fn signer() -> Signer {
        Signer::new(&generate_pem().unwrap()).unwrap()
    }

    /// A token with any header and claims, signed with the signer's own key.
    fn signed(signer: &Signer, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &signer.private).unwrap()
    }

    fn part(token: &str, n: usize) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_token_names_its_type_key_and_claims() {
        let signer = signer();
        let token = signer.sign(&claims()).unwrap();
        let header = part(&token, 0);
        assert_eq!((header["typ"].as_str(), header["alg"].as_str()), (Some("at+jwt"), Some("EdDSA")));
        assert_eq!(header["kid"].as_str().map(str::len), Some(16));
        let body = part(&token, 1);
        for name in ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "user_id", "email", "role", "agency_id"] {
            assert!(body.get(name).is_some(), "{name}");
        }
        assert_eq!(body["role"], "team_member");
        assert_eq!(body["exp"].as_i64().unwrap() - body["iat"].as_i64().unwrap(), 600);
        assert!(signer.verify(&token, now()).is_ok());
    }

    #[test]
    fn a_token_is_good_from_its_start_to_its_end_give_or_take_thirty_seconds() {
        let signer = signer();
        let token = signer.sign(&claims()).unwrap();
        for (seconds, good) in [(-31, false), (-30, true), (0, true), (629, true), (630, false)] {
            let at = now() + TimeDelta::seconds(seconds);
            assert_eq!(signer.verify(&token, at).is_ok(), good, "{seconds}");
        }
    }

    #[test]
    fn a_token_of_another_key_or_with_changed_claims_is_refused() {
        let signer = signer();
        let mut other = self::signer();
        // Even with our key's id in its header.
        other.header.kid.clone_from(&signer.header.kid);
        assert!(signer.verify(&other.sign(&claims()).unwrap(), now()).is_err());

        let token = signer.sign(&claims()).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let mut body = part(&token, 1);
        body["role"] = json!("agency_admin");
        let forged = URL_SAFE_NO_PAD.encode(body.to_string());
        assert!(signer.verify(&format!("{}.{forged}.{}", parts[0], parts[2]), now()).is_err());
    }

    #[test]
    fn other_algorithms_types_and_keys_are_refused() {
        let signer = signer();
        let body = serde_json::to_value(claims()).unwrap();
        let none = json!({"alg": "none", "typ": TYPE, "kid": signer.header.kid});
        let none =
            format!("{}.{}.", URL_SAFE_NO_PAD.encode(none.to_string()), URL_SAFE_NO_PAD.encode(body.to_string()));
        assert!(signer.verify(&none, now()).is_err());

        let mut hmac = signer.header.clone();
        hmac.alg = Algorithm::HS256;
        let public = EncodingKey::from_secret(signer.public.try_get_as_bytes().unwrap());
        assert!(signer.verify(&jsonwebtoken::encode(&hmac, &body, &public).unwrap(), now()).is_err());

        let good = signed(&signer, &signer.header, &body);
        assert!(signer.verify(&good, now()).is_ok());
        let typ = Header { typ: Some("JWT".into()), ..signer.header.clone() };
        assert!(signer.verify(&signed(&signer, &typ, &body), now()).is_err());
        let kid = Header { kid: Some("other".into()), ..signer.header.clone() };
        assert!(signer.verify(&signed(&signer, &kid, &body), now()).is_err());
        for text in ["", ".", "..", "a.b.c", "é.é.é"] {
            assert!(signer.verify(text, now()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_that_asks_for_extensions_is_refused() {
        let signer = signer();
        let body = serde_json::to_value(claims()).unwrap().to_string();
        let token = |more: &Value| {
            let mut header = serde_json::to_value(&signer.header).unwrap();
            header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(&body));
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &signer.private, Algorithm::EdDSA).unwrap();
            format!("{message}.{signature}")
        };
        assert!(signer.verify(&token(&json!({})), now()).is_ok());
        for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(null), json!("x"), json!({})] {
            assert!(signer.verify(&token(&json!({ "crit": crit, "b64": true })), now()).is_err(), "{crit}");
        }
    }

    #[test]
    fn every_required_claim_is_required() {
        let signer = signer();
        let whole = serde_json::to_value(claims()).unwrap();
        for name in ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "user_id", "role", "agency_id"] {
            let mut body = whole.clone();
            body.as_object_mut().unwrap().remove(name);
            assert!(signer.verify(&signed(&signer, &signer.header, &body), now()).is_err(), "{name}");
        }
        for (name, value) in [("iss", "other"), ("aud", "other"), ("sub", "0197f3c0-0000-7000-8000-000000000000")] {
            let mut body = whole.clone();
            body[name] = json!(value);
            assert!(signer.verify(&signed(&signer, &signer.header, &body), now()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_key_of_another_kind_is_refused_with_the_reason() {
        let error = Signer::new(&SecretString::from("not a key")).unwrap_err();
        assert!(error.to_string().contains("Ed25519"), "{error}");
    }
}
