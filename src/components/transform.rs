//! `Transform`: gives its rendered `value` on to the nodes after it.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{Component, ComponentError, Context, settings::Settings, settings::wrong};
use crate::catalog::components::{self, ComponentSpec};

#[derive(Debug)]
pub struct Transform;

#[async_trait]
impl Component for Transform {
    fn spec(&self) -> &'static ComponentSpec {
        &components::TRANSFORM
    }

    async fn run(&self, _context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError> {
        Settings::of(&components::TRANSFORM, config)?;
        config.get("value").cloned().ok_or_else(|| wrong("value", "is missing; put the templated value there"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::components::testing::World;

    #[tokio::test]
    async fn gives_the_value_as_it_is() {
        let world = World::allowing(&[]);
        for value in [json!({"a": [1, "{{ 7*7 }}"]}), json!("text"), json!(null), json!(3)] {
            assert_eq!(world.run(&Transform, json!({"value": value})).await.unwrap(), value);
        }
        assert_eq!(world.run(&Transform, json!({})).await.unwrap_err().field.as_deref(), Some("config.value"));
        assert_eq!(
            world.run(&Transform, json!({"values": 1})).await.unwrap_err().field.as_deref(),
            Some("config.values")
        );
        assert!(world.calls().is_empty());
    }
}
