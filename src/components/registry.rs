//! The components of an installation, one for each row of the table that does its work itself.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Shared, agent::Agent, data_fetcher::DataFetcher, http_request::HttpRequest, llm_processor::LLMProcessor,
    quality_judge::QualityJudge, report_generator::ReportGenerator, subscription_tracker::SubscriptionTracker,
    transform::Transform, web_crawler::WebCrawler, website_connector::WebsiteConnector,
};

/// Every component by the name that recipes use. Those that wait are carried out by the engine.
#[must_use]
pub fn registry() -> BTreeMap<&'static str, Shared> {
    let plain = plain();
    let agent: Shared = Arc::new(Agent::with_tools_of(&plain));
    plain.into_iter().chain([agent]).map(|component| (component.spec().name, component)).collect()
}

/// The components that use no other.
pub(super) fn plain() -> [Shared; 9] {
    [
        Arc::new(DataFetcher),
        Arc::new(HttpRequest),
        Arc::new(LLMProcessor),
        Arc::new(QualityJudge),
        Arc::new(ReportGenerator),
        Arc::new(SubscriptionTracker),
        Arc::new(Transform),
        Arc::new(WebCrawler),
        Arc::new(WebsiteConnector),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::components::ALL;

    #[test]
    fn every_row_that_does_not_wait_has_its_component() {
        let names: Vec<_> = registry().into_keys().collect();
        let rows: Vec<_> = ALL.iter().filter(|spec| spec.waits.is_none()).map(|spec| spec.name).collect();
        assert_eq!(names, rows);
    }

    #[test]
    fn every_row_that_may_be_a_tool_is_of_a_component_that_uses_no_other() {
        let plain = plain();
        let rows = ALL.iter().filter(|spec| spec.tool.is_some());
        for spec in rows {
            assert!(plain.iter().any(|component| component.spec().name == spec.name), "{}", spec.name);
        }
    }
}
