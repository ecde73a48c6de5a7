//! A TCP proxy that passes, delays, swallows, truncates, trickles, cuts and refuses.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// What happens to the connections, those that stand included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Every piece is late by so much.
    Delay(Duration),
    /// Nothing gets through, and nobody is told. What was sent arrives when this ends.
    Blackhole,
    /// Questions get through, answers do not.
    Deaf,
    /// New connections are reset.
    Refuse,
    /// A connection is reset once so many bytes of answers went through it.
    CutAfter(usize),
    /// Answers come a few bytes at a time.
    Trickle {
        bytes: usize,
        pause: Duration,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Question,
    Answer,
}

struct Shared {
    target: watch::Sender<Option<SocketAddr>>,
    mode: watch::Sender<Mode>,
    cuts: watch::Sender<u64>,
    buried: watch::Sender<u64>,
    accepted: AtomicU64,
}

/// Listens until it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Proxy {
    /// Without a target connections wait for one.
    pub async fn start(target: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: watch::Sender::new(target),
            mode: watch::Sender::new(Mode::Pass),
            cuts: watch::Sender::new(0),
            buried: watch::Sender::new(0),
            accepted: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, Arc::clone(&accepting)));
            }
        });
        Self { address, shared, server }
    }

    pub fn to(&self, target: SocketAddr) {
        self.shared.target.send_replace(Some(target));
    }

    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// The connections that stand are dead from now on, and nobody is told; new ones are not.
    pub fn bury(&self) {
        self.shared.buried.send_replace(self.shared.accepted.load(Ordering::Relaxed));
    }

    /// Resets every connection; what was on its way is lost.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn connection(mut client: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    let number = shared.accepted.fetch_add(1, Ordering::Relaxed) + 1;
    let refused = *shared.mode.borrow() == Mode::Refuse;
    let target = shared.target.subscribe().wait_for(Option::is_some).await.ok().and_then(|target| *target);
    let server = match target {
        Some(target) if !refused => TcpStream::connect(target).await.ok(),
        _ => None,
    };
    let Some(mut server) = server else {
        client.set_zero_linger().ok();
        return;
    };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let broken = {
        let ((questions, answered), (answers, asked)) = (client.split(), server.split());
        let both = async {
            tokio::try_join!(
                pump(questions, asked, Way::Question, &shared),
                pump(answers, answered, Way::Answer, &shared)
            )
        };
        let mut buried = shared.buried.subscribe();
        tokio::select! {
            // A cut that is followed by a pass at once lets nothing through.
            biased;
            _ = cuts.changed() => Some(true),
            () = async { drop(buried.wait_for(|last| number <= *last).await) } => None,
            ended = both => Some(ended.is_err()),
        }
    };
    let broken = match broken {
        Some(broken) => broken,
        // Open, and nobody reads it, until the bench ends.
        None => std::future::pending().await,
    };
    if broken {
        // A reset, not an orderly end.
        client.set_zero_linger().ok();
        server.set_zero_linger().ok();
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    shared: &Shared,
) -> io::Result<()> {
    let mut mode = shared.mode.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    loop {
        let count = from.read(&mut buffer).await?;
        let mut piece = &buffer[..count];
        let open = |mode: &Mode| !(*mode == Mode::Blackhole || (*mode == Mode::Deaf && way == Way::Answer));
        let now = *mode.wait_for(open).await.map_err(io::Error::other)?;
        if piece.is_empty() {
            return to.shutdown().await;
        }
        match (now, way) {
            (Mode::Delay(by), _) => tokio::time::sleep(by).await,
            (Mode::Trickle { bytes, pause }, Way::Answer) => {
                while piece.len() > bytes && *mode.borrow() == now {
                    let (first, rest) = piece.split_at(bytes);
                    to.write_all(first).await?;
                    piece = rest;
                    tokio::time::sleep(pause).await;
                }
            }
            (Mode::CutAfter(limit), Way::Answer) if passed + count > limit => {
                to.write_all(&piece[..limit.saturating_sub(passed)]).await?;
                to.flush().await?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            _ => {}
        }
        to.write_all(piece).await?;
        passed += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every question with ten bytes.
    async fn ten() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut question = [0; 1];
                    while stream.read_exact(&mut question).await.is_ok() {
                        stream.write_all(b"0123456789").await.unwrap();
                    }
                });
            }
        });
        address
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<usize> {
        let mut answer = [0; 10];
        stream.write_all(b"?").await?;
        let limit = Duration::from_millis(300);
        let read = tokio::time::timeout(limit, stream.read_exact(&mut answer)).await;
        read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    #[tokio::test]
    async fn each_mode_does_what_it_says() {
        let proxy = Proxy::start(Some(ten().await)).await;
        let connect = || TcpStream::connect(proxy.address);
        let mut standing = connect().await.unwrap();
        assert_eq!(ask(&mut standing).await.unwrap(), 10);
        for silent in [Mode::Blackhole, Mode::Deaf] {
            proxy.set(silent);
            assert_eq!(ask(&mut standing).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "{silent:?}");
            proxy.set(Mode::Pass);
            let mut late = [0; 10];
            standing.read_exact(&mut late).await.unwrap();
        }
        proxy.set(Mode::CutAfter(4));
        let mut cut = connect().await.unwrap();
        assert!(matches!(
            ask(&mut cut).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof
        ));
        proxy.set(Mode::Trickle { bytes: 2, pause: Duration::from_millis(1) });
        assert_eq!(ask(&mut standing).await.unwrap(), 10);
        proxy.set(Mode::Refuse);
        let refused = async { ask(&mut connect().await?).await };
        assert!(refused.await.is_err());
        proxy.set(Mode::Pass);
        assert_eq!(ask(&mut standing).await.unwrap(), 10, "what stood before is kept");
        proxy.bury();
        assert_eq!(ask(&mut standing).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let mut standing = connect().await.unwrap();
        assert_eq!(ask(&mut standing).await.unwrap(), 10, "a new one is not dead");
        proxy.cut();
        assert!(ask(&mut standing).await.is_err());
        assert_eq!(ask(&mut connect().await.unwrap()).await.unwrap(), 10);
    }
}
