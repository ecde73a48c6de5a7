//! The bundled site of a small bakery, with faults on purpose, served over HTTP for the audit.

use std::net::SocketAddr;

use anyhow::Context;
use poem::{
    Endpoint, Request, Response, Server,
    endpoint::make_sync,
    http::{StatusCode, header},
    listener::{Acceptor, Listener, TcpListener},
};
use tokio::task::JoinHandle;

/// A fault of the site and what a report must say to have found it.
#[derive(Debug)]
pub struct Fault {
    pub what: &'static str,
    /// Each must be in the report.
    pub named_by: &'static [&'static str],
}

/// As listed in `demo/site/FAULTS.md`.
pub const FAULTS: &[Fault] = &[
    Fault { what: "a page without a title", named_by: &["/visit.html"] },
    Fault { what: "a page without a meta description", named_by: &["/catering.html"] },
    Fault { what: "two pages with one title", named_by: &["/story.html", "/team.html"] },
    Fault { what: "images without a text alternative", named_by: &["/cakes.html"] },
    Fault { what: "a broken internal link", named_by: &["/courses/sourdough-spring.html"] },
    Fault { what: "a page with next to no text", named_by: &["/gift-cards.html"] },
];

const HTML: &str = "text/html; charset=utf-8";

macro_rules! files {
    ($($path:literal => $kind:expr, $file:literal;)+) => {
        &[$(($path, $kind, include_str!(concat!("../../../../demo/site/", $file)))),+]
    };
}

/// Path, content type and content.
const FILES: &[(&str, &str, &str)] = files! {
    "/" => HTML, "index.html";
    "/bread.html" => HTML, "bread.html";
    "/cakes.html" => HTML, "cakes.html";
    "/catering.html" => HTML, "catering.html";
    "/contact.html" => HTML, "contact.html";
    "/courses.html" => HTML, "courses.html";
    "/gift-cards.html" => HTML, "gift-cards.html";
    "/story.html" => HTML, "story.html";
    "/team.html" => HTML, "team.html";
    "/visit.html" => HTML, "visit.html";
    "/staff/rota.html" => HTML, "staff/rota.html";
    "/robots.txt" => "text/plain", "robots.txt";
    "/img/cake.svg" => "image/svg+xml", "img/cake.svg";
    "/img/loaf.svg" => "image/svg+xml", "img/loaf.svg";
    "/img/tart.svg" => "image/svg+xml", "img/tart.svg";
};

/// The site while it is served; dropping it ends that.
#[derive(Debug)]
pub struct Site {
    pub address: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves the site; port 0 takes a free one.
///
/// # Errors
/// The port cannot be opened.
pub async fn serve(bind: SocketAddr) -> anyhow::Result<Site> {
    let acceptor = TcpListener::bind(bind)
        .into_acceptor()
        .await
        .with_context(|| format!("the bundled site cannot listen on {bind}"))?;
    let address = acceptor.local_addr().into_iter().find_map(|address| address.as_socket_addr().copied());
    let address = address.context("the bundled site has no address")?;
    let server = tokio::spawn(Server::new_with_acceptor(acceptor).run(endpoint()));
    Ok(Site { address, server })
}

fn endpoint() -> impl Endpoint<Output = Response> {
    make_sync(|request: Request| answer(request.uri().path()))
}

fn answer(path: &str) -> Response {
    if path == "/shop" {
        return Response::builder()
            .status(StatusCode::MOVED_PERMANENTLY)
            .header(header::LOCATION, "/bread.html")
            .finish();
    }
    match FILES.iter().find(|(known, ..)| *known == path) {
        Some((_, kind, content)) => Response::builder().content_type(*kind).body(*content),
        None => Response::builder()
            .status(StatusCode::NOT_FOUND)
            .content_type(HTML)
            .body("<!doctype html><title>Not found</title><h1>There is no such page</h1>"),
    }
}

/// The faults that a report does not name.
#[must_use]
pub fn missed(report: &str) -> Vec<&'static str> {
    FAULTS
        .iter()
        .filter(|fault| !fault.named_by.iter().all(|name| report.contains(name)))
        .map(|fault| fault.what)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str) -> &'static str {
        FILES.iter().find(|(known, ..)| *known == path).unwrap().2
    }

    #[test]
    fn the_faults_are_there_and_no_others() {
        let html = || FILES.iter().filter(|(_, kind, _)| *kind == HTML);
        let without = |tag: &str| -> Vec<&str> {
            html().filter(|(.., text)| !text.contains(tag)).map(|(path, ..)| *path).collect()
        };
        assert_eq!(without("<title>"), ["/visit.html"]);
        assert_eq!(without("name=\"description\""), ["/catering.html"]);
        let title = |path| page(path).split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
        assert_eq!(title("/story.html"), title("/team.html"));
        let bare: Vec<_> = html()
            .filter(|(.., text)| text.matches("<img").count() != text.matches(" alt=\"").count())
            .map(|(path, ..)| *path)
            .collect();
        assert_eq!(bare, ["/cakes.html"]);
    }

    #[test]
    fn one_link_alone_is_broken() {
        let mut broken = Vec::new();
        for (.., text) in FILES {
            for link in text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                if answer(link).status() == StatusCode::NOT_FOUND {
                    broken.push(link);
                }
            }
        }
        assert_eq!(broken, ["/courses/sourdough-spring.html"]);
        assert_eq!(answer("/shop").status(), StatusCode::MOVED_PERMANENTLY);
    }

    #[test]
    fn a_report_must_name_every_fault() {
        let full = "/visit.html /catering.html /story.html /team.html /cakes.html /courses/sourdough-spring.html /gift-cards.html";
        assert!(missed(full).is_empty());
        assert_eq!(missed(&full.replace("/team.html", "")), ["two pages with one title"]);
        assert_eq!(missed("").len(), FAULTS.len());
    }
}
