//! Small sites of a test's own, which remember who came.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use poem::{
    Request, Response, Server,
    endpoint::make,
    http::{HeaderMap, StatusCode},
    listener::TcpAcceptor,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// A request as the site saw it.
#[derive(Debug, Clone)]
pub struct Visit {
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: String,
}

pub struct Site {
    pub address: SocketAddr,
    visits: Arc<Mutex<Vec<Visit>>>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Site {
    pub async fn serve(answer: impl Fn(&Visit) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let visits = Arc::<Mutex<Vec<Visit>>>::default();
        let (seen, answer) = (Arc::clone(&visits), Arc::new(answer));
        let endpoint = make(move |mut request: Request| {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            async move {
                let body = request.take_body().into_string().await.unwrap_or_default();
                let path = request.uri().path().to_owned();
                let query = request.uri().query().unwrap_or_default().to_owned();
                let visit = Visit { path, query, headers: request.headers().clone(), body };
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(visit.clone());
                Ok::<_, std::convert::Infallible>(answer(&visit))
            }
        });
        let server = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap());
        Self { address, visits, server: tokio::spawn(server.run(endpoint)) }
    }

    /// Pages by path; anything else is 404.
    pub async fn pages(pages: &'static [(&'static str, &'static str)]) -> Self {
        Self::serve(move |visit| match pages.iter().find(|(path, _)| *path == visit.path) {
            Some((_, html)) => html_page(StatusCode::OK, html),
            None => html_page(StatusCode::NOT_FOUND, "<title>Not found</title>"),
        })
        .await
    }

    /// The bakery of the demonstration, whose faults are listed in its FAULTS.md.
    pub async fn bakery() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/site");
        Self::serve(move |visit| {
            if visit.path == "/shop" {
                return Response::builder()
                    .status(StatusCode::MOVED_PERMANENTLY)
                    .header("location", "/bread.html")
                    .finish();
            }
            let name = if visit.path == "/" { "index.html" } else { visit.path.trim_start_matches('/') };
            match std::fs::read_to_string(folder.join(name)) {
                Ok(text) if name == "robots.txt" => Response::builder().content_type("text/plain").body(text),
                Ok(text) => html_page(StatusCode::OK, &text),
                Err(_) => html_page(StatusCode::NOT_FOUND, "<title>Not found</title>"),
            }
        })
        .await
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn allowed(&self) -> String {
        self.address.to_string()
    }

    pub fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub fn html_page(status: StatusCode, html: &str) -> Response {
    Response::builder().status(status).content_type("text/html; charset=utf-8").body(html.to_owned())
}
