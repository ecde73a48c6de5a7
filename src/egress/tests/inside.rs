//! Ways into the inside. In this laboratory 127.0.0.2 is the public internet and
//! 127.0.0.1 is the inside, where a trap counts who comes.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

const PUBLIC: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const INSIDE: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn refusal(address: IpAddr) -> Option<&'static str> {
    if address == IpAddr::V4(PUBLIC) { None } else { address::refusal(address) }
}

/// The same port outside and inside.
struct Laboratory {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Laboratory {
    /// `answer` is what the public server says to every request; it closes the connection each time.
    async fn new(answer: impl Fn(u16) -> String) -> Self {
        for _ in 0..20 {
            let public = TcpListener::bind((PUBLIC, 0)).await.unwrap();
            let port = public.local_addr().unwrap().port();
            let Ok(inside) = TcpListener::bind((INSIDE, port)).await else { continue };
            let visits = Arc::<AtomicUsize>::default();
            let seen = Arc::clone(&visits);
            tokio::spawn(async move {
                while inside.accept().await.is_ok() {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
            });
            let answer = answer(port);
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = public.accept().await {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
            return Self { port, visits };
        }
        panic!("no port is free on both addresses");
    }

    fn client(&self, lookup: impl Lookup + 'static) -> Client {
        Client::with_lookup(Policy::laboratory(&[self.port], refusal), Arc::new(lookup)).unwrap()
    }

    fn url(&self, host: &str) -> Url {
        url(format!("http://{host}:{}/", self.port))
    }

    #[track_caller]
    fn assert_nobody_came_inside(&self) {
        assert_eq!(self.visits.load(Ordering::SeqCst), 0);
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\npublic";

fn addresses(of: &[IpAddr]) -> Vec<IpAddr> {
    of.to_vec()
}

/// Answers each question with the next of its answers, and the last one from then on.
#[derive(Debug)]
struct Turning {
    answers: Vec<Vec<IpAddr>>,
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl Lookup for Turning {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let nth = self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.answers[nth.min(self.answers.len() - 1)].clone())
    }
}

/// A name that is public when it is checked and inside when it is dialled: what was
/// checked is dialled, and the next answer is checked again.
#[tokio::test]
async fn a_name_that_turns_inside_is_never_dialled_there() {
    let lab = Laboratory::new(|_| HELLO.to_owned()).await;
    let asked = Arc::<AtomicUsize>::default();
    let answers = vec![addresses(&[PUBLIC.into()]), addresses(&[INSIDE.into()])];
    let client = lab.client(Turning { answers, asked: Arc::clone(&asked) });
    let response = send(&client, Request::get(lab.url("turning.example"))).await.unwrap();
    assert_eq!((&response.body[..], asked.load(Ordering::SeqCst)), (&b"public"[..], 1), "one look-up, one dial");
    let error = send(&client, Request::get(lab.url("turning.example"))).await.unwrap_err();
    assert!(matches!(&error.kind, ErrorKind::Refused(why) if why.contains("loopback")), "{error}");
    assert!(!error.sent);
    lab.assert_nobody_came_inside();
}

#[tokio::test]
async fn one_inside_answer_spoils_all_wherever_it_stands() {
    let lab = Laboratory::new(|_| HELLO.to_owned()).await;
    let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
    let nat64: IpAddr = "64:ff9b::7f00:1".parse().unwrap();
    for inside in [IpAddr::V4(INSIDE), mapped, nat64, "10.0.0.1".parse().unwrap(), "0.0.0.0".parse().unwrap()] {
        for answer in [[PUBLIC.into(), inside], [inside, PUBLIC.into()]] {
            let client = lab.client(Turning { answers: vec![addresses(&answer)], asked: Arc::default() });
            let error = send(&client, Request::get(lab.url("mixed.example"))).await.unwrap_err();
            assert!(matches!(error.kind, ErrorKind::Refused(_)), "{answer:?}: {error}");
        }
    }
    lab.assert_nobody_came_inside();
}

#[tokio::test]
async fn no_redirect_leads_inside() {
    let targets = |port: u16| {
        [
            format!("http://127.0.0.1:{port}/"),
            format!("http://2130706433:{port}/"),
            format!("http://0x7f.1:{port}/"),
            format!("http://0177.0.0.1:{port}/"),
            format!("//127.1:{port}/"),
            format!("http://[::ffff:127.0.0.1]:{port}/"),
            format!("http://[::1]:{port}/"),
            format!("http://0:{port}/"),
            format!("http://localhost.:{port}/"),
            format!("http://inside.example:{port}/"),
            format!("https://inside.example:{port}/"),
            format!("http://user:pw@public.example:{port}/"),
            "http://public.example:22/".to_owned(),
            "http://169.254.169.254/latest/meta-data/".to_owned(),
            "ftp://public.example/".to_owned(),
            "file:///etc/passwd".to_owned(),
        ]
    };
    for nth in 0..targets(0).len() {
        let lab = Laboratory::new(|port| {
            let to = &targets(port)[nth];
            format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        })
        .await;
        let to = &targets(lab.port)[nth];
        let answers = [("public.example", PUBLIC), ("inside.example", INSIDE), ("localhost.", INSIDE)];
        let answers = answers.into_iter().map(|(host, address)| (host, vec![address.into()])).collect();
        let client = lab.client(Fixed { answers, ..Fixed::default() });
        let error = send(&client, Request::get(lab.url("public.example"))).await.expect_err(to);
        assert!(matches!(error.kind, ErrorKind::Refused(_) | ErrorKind::InvalidUrl(_)), "{to}: {error}");
        assert!(error.sent, "the first request did leave: {to}");
        lab.assert_nobody_came_inside();
    }
}
