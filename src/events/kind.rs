//! The names of events.

/// Every kind of event. The triggers make the names of the statuses; a test holds them together.
macro_rules! kinds {
    ($($name:ident $text:literal $meaning:literal;)+) => {
        /// What can happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $(#[doc = $meaning] $name,)+
        }

        impl EventKind {
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As in streams, deliveries and the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it tells, for people.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)+ }
            }
        }
    };
}

kinds! {
    TaskQueued "task.queued" "The task waits for a worker: it is new, was handed back, or goes on";
    TaskStarted "task.started" "A worker claimed the task; attempt says for which time";
    TaskWaiting "task.waiting" "The task waits for an approval or a delay";
    TaskParked "task.parked" "The task waits for budget";
    TaskCompleted "task.completed" "The task completed";
    TaskFailed "task.failed" "The task failed";
    TaskCancelled "task.cancelled" "The task was cancelled";
    TaskDead "task.dead" "The task was claimed too often without finishing";
    StepStarted "step.started" "A node, or one item that it ran for, made its first call";
    StepCompleted "step.completed" "A node, or one item that it ran for, completed";
    StepFailed "step.failed" "A node, or one item that it ran for, failed";
    StepSkipped "step.skipped" "A node was skipped";
}

impl std::str::FromStr for EventKind {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text).ok_or(UnknownEvent)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of {}", list())]
pub struct UnknownEvent;

fn list() -> String {
    EventKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_comes_back_as_it_was_written_and_others_are_named() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        let error = "task.done".parse::<EventKind>().unwrap_err().to_string();
        assert!(error.contains("task.completed, task.failed"), "{error}");
    }
}
