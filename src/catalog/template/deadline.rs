//! When what is rendered on this thread has to end.

use std::{cell::Cell, time::Instant};

use crate::base::apart;

thread_local! {
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs work whose templates end when the time is over.
pub fn until<T>(end: Instant, work: impl FnOnce() -> T) -> T {
    let _before = Restored(UNTIL.replace(Some(end)));
    work()
}

struct Restored(Option<Instant>);

impl Drop for Restored {
    fn drop(&mut self) {
        UNTIL.set(self.0);
    }
}

/// Whether the time of what is rendered on this thread is over.
pub fn is_late() -> bool {
    UNTIL.get().is_some_and(|end| Instant::now() > end)
}

/// Why a rendering ended.
pub fn late() -> String {
    format!("the templates of one config take more than {} s; loop over fewer items", apart::END.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalog::template::{Escape, program::Program};

    #[test]
    fn a_loop_ends_when_its_time_is_over() {
        let program = Program::template("{% for i in range(9) %}{{ i }}{% endfor %}", Escape::None).unwrap();
        let scope = || minijinja::Value::from(minijinja::value::Serde(serde_json::json!({})));
        let now = Instant::now();
        let late = until(now, || program.text(scope())).unwrap_err();
        assert!(late.to_string().contains("more than"), "{late}");
        assert_eq!(until(now + Duration::from_mins(1), || program.text(scope())).unwrap(), "012345678");
        assert_eq!(UNTIL.get(), None);
    }
}
