//! Writes into the specification who may call each operation, from the type of its access argument.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use poem::{endpoint::BoxEndpoint, http::Method};
use poem_openapi::{
    OpenApi,
    registry::{MetaApi, MetaOperation, Registry},
};

use super::security::{ACCESS_TOKEN, API_KEY, mark};

/// An API whose operations say what their callers need.
#[derive(Clone)]
pub struct Stated<T>(pub T);

impl<T: OpenApi> OpenApi for Stated<T> {
    fn meta() -> Vec<MetaApi> {
        let mut apis = T::meta();
        for operation in apis.iter_mut().flat_map(|api| &mut api.paths).flat_map(|path| &mut path.operations) {
            state(operation);
        }
        apis
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn add_routes(self, routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {
        self.0.add_routes(routes);
    }
}

/// Replaces the marks of [`super::security`] by security schemes and a sentence.
fn state(operation: &mut MetaOperation) {
    let marks: Vec<&str> = operation.security.iter().flat_map(HashMap::keys).copied().collect();
    let Some(sentence) = sentence(&marks) else { return };
    operation.security = marks.iter().map(|mark| HashMap::from([(scheme(mark), Vec::new())])).collect();
    let before = operation.description.map_or_else(String::new, |text| format!("{text}\n\n"));
    operation.description = Some(kept(format!("{before}{sentence}")));
}

fn scheme(mark: &str) -> &'static str {
    if mark.contains(':') { API_KEY } else { ACCESS_TOKEN }
}

fn sentence(marks: &[&str]) -> Option<String> {
    let scope = marks.iter().find(|mark| mark.contains(':'));
    let person = *marks.iter().find(|mark| !mark.contains(':'))?;
    Some(match (person, scope) {
        (mark::PERSON, _) => "For signed-in people; API keys are refused.".to_owned(),
        (mark::PERSON_ADMIN, _) => "For signed-in admins; API keys are refused.".to_owned(),
        (mark::ADMIN, Some(scope)) => {
            format!("For admins, and for API keys without a team that have the scope `{scope}`.")
        }
        (_, Some(scope)) => format!("For signed-in people, and for API keys that have the scope `{scope}`."),
        _ => return None,
    })
}

/// The text for as long as the process runs: the framework takes no other.
/// Each is kept once, however often the specification is made.
fn kept(text: String) -> &'static str {
    static KEPT: LazyLock<Mutex<HashMap<String, &'static str>>> = LazyLock::new(Mutex::default);
    let mut known = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(text).or_insert_with_key(|text| Box::leak(text.clone().into_boxed_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    /// What keeps a handler without an access argument out, beside its having no state.
    #[test]
    fn every_operation_says_who_may_call_it() {
        let spec: Value = serde_json::from_str(&crate::api::spec()).unwrap();
        let mut open = Vec::new();
        for (path, operations) in spec["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let security = operation["security"].as_array();
                let security = security.unwrap_or_else(|| panic!("{method} {path} has no access argument"));
                if security.iter().any(|scheme| scheme.as_object().unwrap().is_empty()) {
                    assert_eq!(security.len(), 1, "{method} {path}");
                    open.push(operation["operationId"].as_str().unwrap().to_owned());
                    continue;
                }
                let told = operation["description"].as_str().unwrap_or_default();
                assert_eq!(told.contains("API keys are refused"), security.len() == 1, "{method} {path}: {told}");
                assert_eq!(told.contains("the scope `"), security.len() == 2, "{method} {path}: {told}");
            }
        }
        open.sort_unstable();
        assert_eq!(open, OPEN, "an operation that anybody may call needs a reason and a line here");
    }

    /// They check a password, a refresh token, an invite or a provider's answer themselves.
    const OPEN: [&str; 9] = [
        "accept_invite",
        "exchange_oidc_code",
        "finish_oidc",
        "list_oidc_providers",
        "login",
        "logout",
        "refresh",
        "register",
        "start_oidc",
    ];
}
