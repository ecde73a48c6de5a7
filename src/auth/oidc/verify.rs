//! What an ID token proves: signed by its issuer, for us, now, for this sign-in, for a verified address.

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::{
    ClaimsVerificationError, ClientId, IssuerUrl, Nonce, SignatureVerificationError,
    core::{CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJwsSigningAlgorithm, CoreProviderMetadata},
};

use super::{error::OidcError, identity::Identity};
use crate::tenancy::{Email, Name};

/// How far clocks may be apart.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);
/// Of OpenID Connect Core, section 2.
const MAX_SUBJECT_CHARS: usize = 255;

/// Signed with a private key, never with a shared secret or not at all.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("its ID token is signed with a key that it does not publish")]
    UnknownKey,
    #[error("its ID token is not valid: {0}")]
    Wrong(String),
}

/// Knows no secret, so that no symmetric signature can be right.
pub fn verifier<'a>(
    client_id: &ClientId,
    issuer: &IssuerUrl,
    metadata: &CoreProviderMetadata,
    now: DateTime<Utc>,
) -> CoreIdTokenVerifier<'a> {
    CoreIdTokenVerifier::new_public_client(client_id.clone(), issuer.clone(), metadata.jwks().clone())
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || now - LEEWAY)
        .set_issue_time_verifier_fn(move |issued| {
            if issued <= now + LEEWAY { Ok(()) } else { Err("it was issued in the future".to_owned()) }
        })
}

pub fn claims(
    token: &CoreIdToken,
    verifier: &CoreIdTokenVerifier<'_>,
    nonce: &Nonce,
) -> Result<CoreIdTokenClaims, Failure> {
    token.claims(verifier, nonce).cloned().map_err(|error| match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            Failure::UnknownKey
        }
        // Of the rest only the kind: texts of the token may stand in the message.
        error => Failure::Wrong(kind(&error).to_owned()),
    })
}

fn kind(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "it has expired, or was issued in the future",
        ClaimsVerificationError::InvalidAudience(_) => "it is for another client",
        ClaimsVerificationError::InvalidIssuer(_) => "it names another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "it belongs to another sign-in (nonce)",
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::DisallowedAlg(_)) => {
            "its algorithm is not accepted"
        }
        ClaimsVerificationError::SignatureVerification(_) => "its signature is wrong, or there is none",
        _ => "it has an unknown format",
    }
}

/// Who the claims are about.
pub fn identity(issuer: &str, claims: &CoreIdTokenClaims, trust_email: bool) -> Result<Identity, OidcError> {
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.chars().count() > MAX_SUBJECT_CHARS || subject.contains(char::is_control) {
        return Err(OidcError::Refused);
    }
    let email = claims.email().ok_or(OidcError::Refused)?;
    // One that the provider says is not verified is never taken.
    if !claims.email_verified().unwrap_or(trust_email) {
        return Err(OidcError::EmailNotVerified);
    }
    let full_name = claims.name().and_then(|name| name.get(None)).and_then(|name| Name::parse(name).ok());
    Ok(Identity { issuer: issuer.to_owned(), subject: subject.to_owned(), email: address(email)?, full_name })
}

/// In lower case, where that is a matter of A to Z alone: some letters of other
/// scripts become those of somebody else's address.
fn address(text: &str) -> Result<Email, OidcError> {
    let email = Email::parse(text).map_err(|_| OidcError::Refused)?;
    if email.as_str() == text.trim().to_ascii_lowercase() { Ok(email) } else { Err(OidcError::Refused) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(changes: &[(&str, Value)], trust_email: bool) -> Result<Identity, OidcError> {
        let mut claims = json!({"iss": "https://idp.example", "aud": "teamai", "sub": "s-1", "iat": 1, "exp": 2,
            "email": "Ana@Example.com", "email_verified": true, "name": "Ana"});
        for (name, value) in changes {
            claims[name] = value.clone();
        }
        identity("https://idp.example", &serde_json::from_value(claims).unwrap(), trust_email)
    }

    #[test]
    fn who_it_is_is_read_from_the_claims() {
        let ana = parsed(&[], false).unwrap();
        assert_eq!((ana.subject.as_str(), ana.email.as_str()), ("s-1", "ana@example.com"));
        assert_eq!(ana.full_name.unwrap().as_str(), "Ana");
        assert!(parsed(&[("email_verified", json!("true"))], false).is_ok());
        assert!(parsed(&[("name", json!(" "))], false).unwrap().full_name.is_none());
    }

    #[test]
    fn an_address_counts_when_the_provider_or_else_the_operator_vouches_for_it() {
        for trust in [false, true] {
            let denied = parsed(&[("email_verified", json!(false))], trust);
            assert!(matches!(denied, Err(OidcError::EmailNotVerified)));
        }
        assert!(matches!(parsed(&[("email_verified", Value::Null)], false), Err(OidcError::EmailNotVerified)));
        assert!(parsed(&[("email_verified", Value::Null)], true).is_ok());
    }

    #[test]
    fn letters_that_only_look_like_others_make_no_address() {
        // A Kelvin sign, which becomes a k.
        for email in ["\u{212a}arl@example.com", "not an address", ""] {
            assert!(matches!(parsed(&[("email", json!(email))], false), Err(OidcError::Refused)), "{email}");
        }
    }

    #[test]
    fn subjects_have_bounds() {
        for subject in [String::new(), "x".repeat(256), "a\u{0}b".to_owned()] {
            assert!(matches!(parsed(&[("sub", json!(subject))], false), Err(OidcError::Refused)), "{subject:?}");
        }
    }
}
