//! What has to hold of every row.

use std::collections::HashSet;

use super::*;

#[test]
fn names_keys_and_fields_are_unique() {
    let names: Vec<_> = ALL.iter().map(|spec| spec.name).collect();
    assert!(names.is_sorted() && names.iter().collect::<HashSet<_>>().len() == names.len(), "{names:?}");
    for spec in ALL {
        let keys = spec.keys();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "{}: {keys:?}", spec.name);
        let fields: Vec<_> = spec.output.fields().iter().map(|field| field.name).collect();
        assert_eq!(fields.iter().collect::<HashSet<_>>().len(), fields.len(), "{}: {fields:?}", spec.name);
        assert!(!spec.does.is_empty() && spec.settings().all(|setting| !setting.says.is_empty()), "{}", spec.name);
    }
}

#[test]
fn what_a_row_says_fits_together() {
    for spec in ALL {
        let name = spec.name;
        let open = spec.tool.iter().flat_map(|tool| tool.open.iter().map(|open| open.key));
        for key in open.chain(spec.tool.iter().flat_map(|tool| tool.fixed.iter().copied())) {
            assert!(spec.setting(key).is_some(), "{name}: {key} is not among its settings");
        }
        assert!(spec.waits.is_none() || !(spec.is_cacheable || spec.asks_model || spec.sends_secrets), "{name}");
        assert!(!spec.sends_secrets || spec.setting("url").is_some(), "{name}: secrets go to its url");
        assert!(!spec.asks_model || spec.setting("model").is_some(), "{name}");
        let capped = spec.settings().filter(|setting| setting.cap.is_some());
        for setting in capped {
            let with_default = matches!(setting.kind, Kind::Integer { default: Some(_), .. });
            assert!(with_default, "{name}: what {} is lowered from has to be known", setting.key);
        }
        let fields = |wanted: &[&str]| wanted.iter().all(|name| spec.output.fields().iter().any(|f| f.name == *name));
        match spec.gives {
            Gives::Data => {}
            Gives::Score => assert!(fields(&["quality_score"]), "{name}"),
            Gives::Report => assert!(fields(&["output", "content_type", "filename"]), "{name}"),
        }
    }
}
