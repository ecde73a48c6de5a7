//! Checks of `inputs`.

use super::Check;
use crate::catalog::{
    inputs,
    model::{InputSpec, InputType, Validation},
    problem::Path,
};

/// Inputs of one recipe.
const MAX_INPUTS: usize = 100;

impl<'a> Check<'a> {
    pub(super) fn inputs(&mut self) {
        let path = Path::default().key("recipe").key("inputs");
        let specs = &self.recipe.inputs;
        if specs.len() > MAX_INPUTS {
            self.problem(&path, format!("{} inputs; at most {MAX_INPUTS} are accepted", specs.len()));
        }
        for (index, spec) in specs.iter().enumerate() {
            let path = path.index(index);
            if !spec.name.is_missing() && specs[..index].iter().any(|earlier| earlier.name == spec.name) {
                self.problem(
                    &path.key("name"),
                    format!("the input `{}` is declared twice; rename or drop one", spec.name),
                );
            }
            self.input_bounds(&path, spec);
            self.input_values(&path, spec);
        }
    }

    /// A bound on a type that has no such bound would silently do nothing.
    fn input_bounds(&mut self, path: &Path<'a>, spec: &InputSpec) {
        let kind = spec.kind.as_str();
        if spec.range.is_some() && !matches!(spec.kind, InputType::Integer | InputType::Float) {
            self.problem(&path.key("range"), format!("`range` bounds numbers, and the type is {kind}; drop it"));
        }
        let measured = matches!(spec.kind, InputType::String | InputType::Array | InputType::Object);
        if spec.max_length.is_some() && !measured {
            self.problem(&path.key("max_length"), format!("`max_length` has no meaning for type {kind}; use `range`"));
        }
        if spec.validation != Validation::None && spec.kind != InputType::String {
            self.problem(
                &path.key("validation"),
                format!("`validation` is for strings, and the type is {kind}; drop it"),
            );
        }
    }

    fn input_values(&mut self, path: &Path<'a>, spec: &InputSpec) {
        let of_type = InputSpec { kind: spec.kind, ..InputSpec::default() };
        if let Some(values) = &spec.values {
            if values.is_empty() {
                self.problem(&path.key("enum"), "the list is empty, so that no value would do; drop it or fill it");
            }
            for (index, value) in values.iter().enumerate() {
                for fault in inputs::faults(&of_type, value) {
                    self.problem(&path.key("enum").index(index), fault);
                }
            }
        }
        if let Some(default) = &spec.default {
            for fault in inputs::faults(spec, default) {
                self.problem(&path.key("default"), format!("the default would be refused: {fault}"));
            }
        }
        if let Some(example) = &spec.example {
            for fault in inputs::faults(spec, example) {
                self.warn(&path.key("example"), format!("the example would be refused: {fault}"));
            }
        }
    }
}
