//! Names that an object of a JSON body gives twice.
//!
//! Parsers differ in which of the two they take, so that what stands in front of us
//! may have let through something else than what we read.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Where in the text, which is known to be JSON, a name is given for the second time:
/// `tasks[2].inputs.url`.
pub fn name(json: &[u8]) -> Option<String> {
    let mut path = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let outcome = Distinct(&mut path).deserialize(&mut deserializer);
    // On its way back from a doubled name the path is left as it was there.
    outcome.is_err().then(|| path.concat().trim_start_matches('.').to_owned())
}

/// Reads one value and keeps nothing of it but the names of the objects around.
struct Distinct<'p>(&'p mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Distinct<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Distinct<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            self.0.push(format!(".{name}"));
            if !seen.insert(name) {
                return Err(A::Error::custom("a name is given twice"));
            }
            map.next_value_seed(Distinct(self.0))?;
            self.0.pop();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            self.0.push(format!("[{index}]"));
            if items.next_element_seed(Distinct(self.0))?.is_none() {
                self.0.pop();
                break;
            }
            self.0.pop();
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_given_twice_is_found_at_any_depth_and_in_any_spelling() {
        for (json, path) in [
            (r#"{"a": 1, "a": 1}"#, "a"),
            (r#"{"a": 1, "\u0061": 2}"#, "a"),
            (r#"{"a": null, "b": {}, "a": [1]}"#, "a"),
            (r#"{"tasks": [{}, {"inputs": {"url": 1, "x": [], "url": 2}}]}"#, "tasks[1].inputs.url"),
            (r#"[[{"": 1, "": 2}]]"#, "[0][0]."),
        ] {
            assert_eq!(name(json.as_bytes()).as_deref(), Some(path), "{json}");
        }
        for json in [
            r#"{"a": {"a": {"a": 1}}, "A": 2, "a ": 3}"#,
            r#"[{"a": 1}, {"a": 1}, -1, 1.5, 18446744073709551615, true, null, "x\n"]"#,
            "1",
            "[]",
            "{}",
        ] {
            assert_eq!(name(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn a_wide_object_is_read_once() {
        let members: Vec<String> = (0..100_000).map(|n| format!("\"{n}\": {n}")).collect();
        assert_eq!(name(format!("{{{}}}", members.join(",")).as_bytes()), None);
    }
}
