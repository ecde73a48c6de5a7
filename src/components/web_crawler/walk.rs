//! The loop of a crawl: politeness, parallel fetches, limits.

use std::{collections::HashMap, time::Duration};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use super::{
    fetch::{Found, fetch},
    frontier::{Frontier, Item, Site, canonical},
    plan::Plan,
    report::{BrokenLink, PageEntry, RedirectEntry, Report},
};
use crate::{
    base::weight,
    components::{ComponentError, Context, Retry, outgoing, web::robots::Robots},
    egress::{self, ErrorKind, StatusCode, Url},
};

/// Of all bodies together; they are not kept.
const MAX_BYTES: usize = 512 * 1024 * 1024;
/// Of what is kept of all pages, for the report.
const MAX_KEPT_BYTES: usize = weight::MOST / 4 * 3;
const MAX_DURATION: Duration = Duration::from_mins(30);
const MAX_HOPS: usize = 5;
/// How often a page that answers 429 or 503 is asked again, and how long it can make us wait.
const MAX_DELAYS: usize = 2;
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

pub struct Walk<'a> {
    context: &'a Context<'a>,
    plan: &'a Plan,
    site: Site,
    frontier: Frontier,
    /// By origin.
    robots: HashMap<String, Robots>,
    report: Report,
    /// No fetch starts before.
    next_start: Instant,
    bytes: usize,
    kept_bytes: usize,
    /// The room for them.
    held: Vec<Option<Box<dyn Send + Sync>>>,
    /// The depth being fetched. The next one waits until it is done, so that every
    /// page is found by its shortest way.
    level: u64,
    /// Fetches left; a site of broken links or redirects has an end too.
    budget: usize,
}

impl<'a> Walk<'a> {
    pub fn new(context: &'a Context<'a>, plan: &'a Plan) -> Self {
        Self {
            context,
            plan,
            site: Site::of(&plan.url),
            frontier: Frontier::default(),
            robots: HashMap::new(),
            report: Report::default(),
            next_start: Instant::now(),
            bytes: 0,
            kept_bytes: 0,
            held: Vec::new(),
            level: 0,
            budget: plan.max_pages.saturating_mul(5).saturating_add(50),
        }
    }

    pub async fn run(mut self) -> Result<Report, ComponentError> {
        let start = canonical(self.plan.url.clone());
        start.as_str().clone_into(&mut self.report.base_url);
        self.frontier.claim(&start);
        self.frontier.push(Item { url: start, depth: 0, found_on: None, hops: 0, delays: 0 });
        let deadline = Instant::now() + MAX_DURATION;
        let (context, plan) = (self.context, self.plan);
        let mut fetches = FuturesUnordered::new();
        loop {
            while fetches.len() < plan.max_parallel {
                if let Some(reason) = self.full(deadline, fetches.len()) {
                    // A fetch on its way may fail and leave room for another page.
                    if fetches.is_empty() {
                        self.skip_rest(reason);
                    }
                    break;
                }
                let Some(item) = self.next(fetches.is_empty()).await? else { break };
                self.budget -= 1;
                fetches.push(fetch(context.egress, plan, item, context.cancel));
            }
            let Some((item, found)) = fetches.next().await else { break };
            if context.cancel.is_cancelled() {
                return Err(outgoing::cancelled());
            }
            self.take(item, found)?;
        }
        Ok(self.report)
    }

    /// Why nothing more is fetched now.
    fn full(&self, deadline: Instant, running: usize) -> Option<&'static str> {
        if self.report.pages.len() + running >= self.plan.max_pages {
            Some("max_pages is reached")
        } else if self.bytes >= MAX_BYTES {
            Some("the crawl has read as many bytes as it may")
        } else if self.kept_bytes >= MAX_KEPT_BYTES {
            Some("the report is as large as it may be")
        } else if self.budget == 0 {
            Some("the crawl has made as many requests as it may")
        } else if Instant::now() >= deadline {
            Some("the crawl has taken as long as it may")
        } else {
            None
        }
    }

    fn skip_rest(&mut self, reason: &str) {
        while let Some(item) = self.frontier.pop() {
            self.report.skip(&item.url, reason, item.found_on);
        }
    }

    /// The next address that may be fetched, when it may be.
    async fn next(&mut self, idle: bool) -> Result<Option<Item>, ComponentError> {
        while let Some(item) = self.frontier.pop_within(if idle { u64::MAX } else { self.level }) {
            let mut delay = self.plan.rate_limit_delay;
            if self.plan.respect_robots {
                let robots = self.rules(&item.url).await?;
                if let Some(reason) = robots.refusal(&item.url) {
                    if item.found_on.is_none() {
                        return Err(start_refused(&item.url, &reason, robots));
                    }
                    self.report.skip(&item.url, reason, item.found_on);
                    continue;
                }
                delay = delay.max(robots.delay());
            }
            tokio::select! {
                () = self.context.cancel.cancelled() => return Err(outgoing::cancelled()),
                () = tokio::time::sleep_until(self.next_start) => {}
            }
            self.next_start = Instant::now() + delay;
            self.level = item.depth;
            return Ok(Some(item));
        }
        Ok(None)
    }

    /// The robots rules for the address, fetched once for each origin.
    async fn rules(&mut self, url: &Url) -> Result<&Robots, ComponentError> {
        let origin = url.origin().ascii_serialization();
        if !self.robots.contains_key(&origin) {
            let robots = match Robots::request(url, self.plan.user_agent.clone(), self.plan.timeout) {
                Some(request) => {
                    let answer = self.context.egress.send(request, self.context.cancel).await;
                    if let Err(error) = &answer
                        && (error.kind == ErrorKind::Cancelled || (self.robots.is_empty() && error.kind.is_transient()))
                    {
                        // A site that cannot be reached is that, and not one that keeps us out.
                        return Err(outgoing::explain(error, true));
                    }
                    Robots::from_answer(&answer, self.plan.user_agent.to_str().unwrap_or_default())
                }
                None => Robots::Open,
            };
            self.robots.insert(origin.clone(), robots);
        }
        Ok(self.robots.entry(origin).or_insert(Robots::Open))
    }

    fn take(&mut self, item: Item, found: Found) -> Result<(), ComponentError> {
        if !matches!(found, Found::Failed(_)) {
            self.report.visited_urls.push(item.url.as_str().to_owned());
        }
        match found {
            Found::Page { status, content_type, elapsed, bytes, page } => {
                self.bytes = self.bytes.saturating_add(bytes);
                let weight = page.weight();
                self.kept_bytes = self.kept_bytes.saturating_add(weight);
                let no_room = |kind| egress::Error { kind, url: egress::shown(&item.url), sent: true };
                let held = self.context.egress.hold(weight).map_err(no_room);
                self.held.push(held.map_err(|error| outgoing::explain(&error, true))?);
                if !(self.plan.respect_robots && page.nofollow) {
                    self.enqueue(&item, &page.links);
                }
                self.report.pages.push(PageEntry {
                    url: item.url.into(),
                    status_code: status.as_u16(),
                    page: *page,
                    depth: item.depth,
                    elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
                    content_type,
                });
                Ok(())
            }
            Found::Redirect { status, to } => self.redirect(item, status, canonical(to)),
            Found::Other { status, content_type } => self.not_html(item, status, &content_type),
            Found::Broken { status, content_type, retry_after } => self.broken(item, status, content_type, retry_after),
            Found::Failed(error) => self.failed(item, &error),
        }
    }

    fn enqueue(&mut self, item: &Item, links: &[String]) {
        let depth = item.depth + 1;
        for link in links {
            if !self.frontier.is_new(link) {
                continue;
            }
            let Ok(url) = Url::parse(link).map(canonical) else { continue };
            if !self.frontier.claim(&url) {
                continue;
            }
            let found_on = Some(item.url.as_str().to_owned());
            if !self.site.holds(&url) {
                self.report.skip(&url, "another host", found_on);
            } else if depth > self.plan.max_depth {
                self.report.skip(&url, format!("deeper than max_depth {}", self.plan.max_depth), found_on);
            } else {
                self.frontier.push(Item { url, depth, found_on, hops: 0, delays: 0 });
            }
        }
    }

    fn redirect(&mut self, item: Item, status: StatusCode, to: Url) -> Result<(), ComponentError> {
        let is_start = item.found_on.is_none();
        self.report.redirects.push(RedirectEntry {
            from: item.url.as_str().to_owned(),
            to: to.as_str().to_owned(),
            status_code: status.as_u16(),
            found_on: item.found_on.clone(),
        });
        let inside = self.site.holds(&to) || (is_start && self.site.adopt_www(&to));
        if !inside {
            if is_start {
                let shown = egress::shown(&to);
                return Err(start_error("redirected", &format!("redirects to another host, {shown}; start there")));
            }
            self.report.skip(&item.url, format!("redirects to another host: {}", egress::shown(&to)), item.found_on);
            return Ok(());
        }
        if item.hops == MAX_HOPS {
            return self.give_up(item, None, format!("leads to more than {MAX_HOPS} redirects"), Retry::Never);
        }
        if is_start {
            to.as_str().clone_into(&mut self.report.base_url);
        }
        if self.frontier.claim(&to) {
            self.frontier.push_front(Item { url: to, hops: item.hops + 1, ..item });
        } else if is_start {
            return self.give_up(item, None, "redirects in a circle".to_owned(), Retry::Never);
        }
        Ok(())
    }

    fn not_html(&mut self, item: Item, status: StatusCode, content_type: &str) -> Result<(), ComponentError> {
        let reason = format!(
            "not HTML: {} (HTTP {})",
            if content_type.is_empty() { "no content type" } else { content_type },
            status.as_u16()
        );
        if item.found_on.is_none() {
            return Err(start_error("not_html", &format!("is {reason}; start at a page")));
        }
        self.report.skip(&item.url, reason, item.found_on);
        Ok(())
    }

    fn broken(
        &mut self,
        item: Item,
        status: StatusCode,
        content_type: Option<String>,
        retry_after: Option<Duration>,
    ) -> Result<(), ComponentError> {
        let later = matches!(status.as_u16(), 429 | 503);
        if later && item.delays < MAX_DELAYS {
            // Everything slows down: the server speaks of us, not of one page.
            let wait = retry_after.unwrap_or(Duration::from_secs(1)).min(MAX_RETRY_AFTER);
            self.next_start = self.next_start.max(Instant::now() + wait);
            self.frontier.push_front(Item { delays: item.delays + 1, ..item });
            return Ok(());
        }
        let body = content_type.map(|kind| format!(" with a body of type {kind}")).unwrap_or_default();
        let retry = if later || status.is_server_error() { Retry::May { after: retry_after } } else { Retry::Never };
        self.give_up(item, Some(status), format!("answered HTTP {}{body}", status.as_u16()), retry)
    }

    fn failed(&mut self, item: Item, error: &egress::Error) -> Result<(), ComponentError> {
        if item.found_on.is_none() {
            return Err(outgoing::explain(error, true));
        }
        match error.kind {
            ErrorKind::NoRoom { .. } => Err(outgoing::explain(error, true)),
            ErrorKind::TooLarge(_) | ErrorKind::Refused(_) | ErrorKind::InvalidUrl(_) => {
                self.report.skip(&item.url, error.kind.to_string(), item.found_on);
                Ok(())
            }
            _ => self.give_up(item, None, error.kind.to_string(), Retry::Never),
        }
    }

    /// A page that cannot be had is data; the start is the crawl's own failure.
    fn give_up(
        &mut self,
        item: Item,
        status: Option<StatusCode>,
        why: String,
        retry: Retry,
    ) -> Result<(), ComponentError> {
        if item.found_on.is_none() {
            let code = if status.is_some() { "http_status" } else { "too_many_redirects" };
            let shown = egress::shown(&item.url);
            return Err(start_error(code, &format!("{shown} {why}, so there is nothing to crawl")).retry(retry));
        }
        self.report.broken_links.push(BrokenLink {
            url: item.url.into(),
            status_code: status.map(|status| status.as_u16()),
            error: if status.is_some() { None } else { Some(why) },
            found_on: item.found_on,
        });
        Ok(())
    }
}

fn start_error(code: &'static str, why: &str) -> ComponentError {
    ComponentError::new(code, format!("config.url {why}")).field("config.url")
}

fn start_refused(url: &Url, reason: &str, robots: &Robots) -> ComponentError {
    let shown = egress::shown(url);
    let retry = if matches!(robots, Robots::Closed(_)) { Retry::May { after: None } } else { Retry::Never };
    let remedy = "ask the site's owner, or set respect_robots to false if it is your own";
    start_error("robots_disallowed", &format!("{shown} may not be crawled: {reason}; {remedy}")).retry(retry)
}
