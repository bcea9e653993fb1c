//! The socket against a real client over loopback: what the engine's side makes of
//! what the client does, as a list of words.

use std::any::Any;
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use actix_http::{HttpService, Request, Response};
use actix_service::{ServiceFactoryExt as _, fn_service};
use actix_web::dev::Server as HttpServer;
use bytes::BytesMut;
use futures_util::{SinkExt as _, StreamExt as _, poll};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_blocking, spawn_local};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async};

use super::connection::Connection;
use super::door::{HttpConnection, accept, read_goodbye};
use super::socket::{Incoming, Received, SendError};
use super::{Outbound, Socket, SocketLimits};
use crate::actors::link::Visits;
use crate::config::WebSocketRefusal;
use crate::transports::Places;
use crate::transports::listener::accept as accept_stream;
use crate::transports::tls::Stream;
use crate::transports::tls::tests::{Certified, certified};

const MESSAGE_BYTES_MAX: usize = 10_000;
const LIMITS: SocketLimits = SocketLimits {
    message_bytes_max: MESSAGE_BYTES_MAX,
    idle_ms_max: 60_000,
    refusal: WebSocketRefusal::Close,
};
const PATIENCE: Duration = Duration::from_secs(20);

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server whose connections say what they receive, and the words of its sockets.
struct Server {
    port: u16,
    words: mpsc::Receiver<String>,
}

impl Server {
    fn start(idle_ms_max: u32) -> Self {
        let (sender, words) = mpsc::channel(100);
        let limits = SocketLimits { idle_ms_max, ..LIMITS };
        let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let number = port.local_addr().expect("bound").port();
        let server = HttpServer::build().workers(1).disable_signals();
        let server = server.listen("test", port, move || {
            let sender = sender.clone();
            let upgrade = fn_service(move |(request, connection): (Request, HttpConnection)| {
                let sender = sender.clone();
                async move {
                    let accepted = accept(&request, connection).await.expect("an open one");
                    let socket = accepted.into_socket(Visits::every_10_ms(), limits).await;
                    serve(socket.expect("a socket").0, sender).await;
                    Ok::<_, Infallible>(())
                }
            });
            let plain = fn_service(|_: Request| async { Ok::<_, Infallible>(Response::ok()) });
            let plain = HttpService::build().upgrade(upgrade).h1(plain);
            let places = Places::new(100, 0);
            fn_service(move |tcp| accept_stream(tcp, None, places.clone())).and_then(plain)
        });
        actix_web::rt::spawn(server.expect("a free port").run());
        Self { port: number, words }
    }

    async fn raw(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.expect("the server listens")
    }

    async fn client(&self) -> Client {
        let stream = MaybeTlsStream::Plain(self.raw().await);
        client_async("ws://127.0.0.1/", stream).await.expect("a websocket").0
    }

    async fn word(&mut self) -> String {
        timeout(PATIENCE, self.words.recv()).await.expect("in time").expect("the server runs")
    }
}

/// Writes down what is received, and says it back; ends as the transports do.
async fn serve(mut socket: Socket, words: mpsc::Sender<String>) {
    loop {
        let (word, code) = received(&mut socket.incoming).await;
        words.send(word.clone()).await.expect("the test listens");
        match code {
            None => {
                let echo = Outbound::Text(word);
                if socket.outgoing.send(echo).await.is_err() {
                    return;
                }
            }
            Some(code) => return socket.close(code, "over").await,
        }
    }
}

async fn received(incoming: &mut Incoming) -> (String, Option<CloseCode>) {
    match incoming.next().await {
        Received::Message(Message::Text(text)) => (text.to_string(), None),
        Received::Message(message) => (format!("{message:?}"), None),
        Received::Closed => ("closed".to_owned(), Some(CloseCode::Normal)),
        Received::Failed => ("failed".to_owned(), Some(CloseCode::Normal)),
        Received::Lost => ("lost".to_owned(), Some(CloseCode::Away)),
        Received::Silent => ("silent".to_owned(), Some(CloseCode::Error)),
        Received::TooLarge => ("too large".to_owned(), Some(CloseCode::Size)),
        Received::TooManyControls => ("too many".to_owned(), Some(CloseCode::Policy)),
        Received::Violation(code) => (format!("violation {}", u16::from(code)), Some(code)),
    }
}

/// The code of the close frame that the client gets, whatever comes before it.
async fn close_code(client: &mut Client) -> Option<u16> {
    let closing = async {
        while let Some(message) = client.next().await {
            if let Ok(Message::Close(frame)) = message {
                return frame.map(|frame| frame.code.into());
            }
        }
        None
    };
    timeout(PATIENCE, closing).await.expect("in time")
}

async fn closed_with(code: u16) -> (String, Option<u16>) {
    let mut server = Server::start(60_000);
    let mut client = server.client().await;
    let frame = CloseFrame { code: code.into(), reason: "".into() };
    client.close(Some(frame)).await.expect("still open");
    (server.word().await, close_code(&mut client).await)
}

#[actix_web::test]
async fn messages_come_whole_and_go_back() {
    let mut server = Server::start(60_000);
    let mut client = server.client().await;
    client.send(Message::text("hello")).await.expect("open");
    assert_eq!(server.word().await, "hello");
    let reply = timeout(PATIENCE, client.next()).await.expect("in time");
    assert!(matches!(reply, Some(Ok(Message::Text(text))) if text.as_str() == "hello"));
}

#[actix_web::test]
async fn an_orderly_close_is_told_from_a_failed_one() {
    assert_eq!(closed_with(1000).await, ("closed".to_owned(), Some(1000)));
    assert_eq!(closed_with(1001).await, ("closed".to_owned(), Some(1001)));
    assert_eq!(closed_with(1011).await, ("failed".to_owned(), Some(1011)));
}

#[actix_web::test]
async fn a_connection_that_breaks_is_lost() {
    let mut server = Server::start(60_000);
    drop(server.client().await);
    assert_eq!(server.word().await, "lost");
}

#[actix_web::test]
async fn a_message_over_the_limit_is_refused_and_its_sender_gets_to_read_why() {
    for bytes in [MESSAGE_BYTES_MAX + 1, 20 << 20] {
        let mut server = Server::start(60_000);
        let mut client = server.client().await;
        client.send(Message::text("x".repeat(MESSAGE_BYTES_MAX))).await.expect("open");
        assert_eq!(server.word().await.len(), MESSAGE_BYTES_MAX);
        client.send(Message::text("x".repeat(bytes))).await.expect("the rest is swallowed");
        assert_eq!(server.word().await, "too large");
        assert_eq!(close_code(&mut client).await, Some(1009));
    }
}

#[actix_web::test]
async fn silence_is_not_death_as_long_as_pings_are_answered() {
    let mut server = Server::start(1_500);
    let mut client = server.client().await;
    for _ in 0..4 {
        let message = timeout(PATIENCE, client.next()).await.expect("in time");
        assert!(matches!(message, Some(Ok(Message::Ping(_)))), "{message:?}");
    }
    client.send(Message::text("still here")).await.expect("open");
    assert_eq!(server.word().await, "still here");
    // Nobody reads the client's side any more, so nobody answers.
    assert_eq!(server.word().await, "silent");
}

/// A second of audio, and what no buffer on the way may come to: half a minute of it.
const AUDIO_BYTES: usize = 32_000;
const HELD_BYTES_MAX: usize = 30 * AUDIO_BYTES;

#[tokio::test(start_paused = true)]
async fn little_is_kept_for_a_peer_that_does_not_read_and_soon_it_counts_as_slow() {
    for tls in [None, Some(certified("localhost"))] {
        let refused = LocalSet::new().run_until(send_until_refused(tls)).await;
        assert_eq!(refused, SendError::Slow);
    }
}

#[tokio::test]
async fn the_rest_of_a_large_reply_does_not_wait_for_the_round() {
    let carried = timeout(PATIENCE, carried_when_awaited(HELD_BYTES_MAX));
    let carried = LocalSet::new().run_until(carried).await.expect("what is written is awaited");
    assert_eq!(carried, HELD_BYTES_MAX as u64);
}

/// What a peer reads who begins with that when no more can be written.
async fn carried_when_awaited(bytes: usize) -> u64 {
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let client = std::net::TcpStream::connect(port.local_addr().expect("bound"));
    let mut client = client.expect("the port listens");
    SockRef::from(&client).set_recv_buffer_size(AUDIO_BYTES).expect("an option");
    let stream = port.accept().expect("a peer").0;
    let mut writing = Box::pin(async move {
        let visits = Visits::when_awaited();
        let mut connection =
            Connection::new(stream, None, BytesMut::new(), visits).expect("its options");
        connection.write_all(&vec![0; bytes]).await.expect("it is open");
        connection.shutdown().await.expect("it is open");
    });
    assert!(poll!(&mut writing).is_pending(), "nobody reads");
    let reading = spawn_blocking(move || io::copy(&mut client, &mut io::sink()));
    // A task of its own is polled when it is woken only.
    spawn_local(writing).await.expect("it writes");
    reading.await.expect("it ends").expect("it is open")
}

async fn send_until_refused(tls: Option<Certified>) -> SendError {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = port.local_addr().expect("bound");
    let (client, accepted) = tokio::join!(TcpStream::connect(address), port.accept());
    let (client, accepted) = (client.expect("the port listens"), accepted.expect("a peer").0);
    let (show, trust) = tls.map(|it| (it.tls, it.connector)).unzip();
    let (_never_reads, stream) =
        tokio::join!(shake_hands(client, trust), Stream::accept(accepted, show));
    let limits = LIMITS;
    let (stream, session) = stream.expect("a handshake").into_parts().expect("it is open");
    let connection = Connection::new(stream, session, BytesMut::new(), Visits::every_10_ms());
    let mut socket = Socket::new(connection.expect("its options"), limits).await;
    let mut sent = 0;
    loop {
        match socket.outgoing.send(Outbound::Binary(vec![0; AUDIO_BYTES].into())).await {
            Ok(()) => sent += AUDIO_BYTES,
            Err(error) => break error,
        }
        assert!(sent < HELD_BYTES_MAX, "{sent} bytes are kept");
    }
}

/// The client's end, held open.
async fn shake_hands(tcp: TcpStream, trust: Option<TlsConnector>) -> Box<dyn Any> {
    let Some(connector) = trust else { return Box::new(tcp) };
    let name = ServerName::try_from("localhost").expect("a name");
    Box::new(connector.connect(name, tcp).await.expect("a handshake"))
}

#[tokio::test(start_paused = true)]
async fn whoever_floods_instead_of_saying_goodbye_is_not_waited_for() {
    for bytes in [0, 640] {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let mut server = WebSocketStream::from_raw_socket(server, Role::Server, None).await;
        let flood = async { while client.send(Message::binary(vec![0; bytes])).await.is_ok() {} };
        let waiting = async { read_goodbye(&mut server).await };
        let waiting = timeout(PATIENCE, waiting);
        tokio::select! {
            () = flood => panic!("the server hung up"),
            read = waiting => read.expect("it ends").expect("nothing is wrong with the flood"),
        }
    }
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n";

/// A WebSocket whose frames are made by hand.
async fn upgraded(server: &Server) -> TcpStream {
    let mut stream = server.raw().await;
    stream.write_all(UPGRADE.as_bytes()).await.expect("open");
    let mut head = [0; 1_024];
    assert!(stream.read(&mut head).await.is_ok_and(|bytes| bytes > 0));
    stream
}

/// Sends a frame by hand and returns the word for it.
async fn word_for(frame: &[u8]) -> String {
    let mut server = Server::start(60_000);
    let mut stream = upgraded(&server).await;
    stream.write_all(frame).await.expect("open");
    server.word().await
}

/// A ping with a number.
fn ping(number: u8) -> [u8; 7] {
    [0x89, 0x81, 0, 0, 0, 0, number]
}

#[actix_web::test]
async fn of_pings_that_came_together_the_newest_is_answered() {
    let server = Server::start(60_000);
    let mut stream = upgraded(&server).await;
    let pings: Vec<u8> = (1..=80).flat_map(ping).collect();
    stream.write_all(&pings).await.expect("open");
    let mut pongs = Vec::new();
    while pongs.last() != Some(&80) {
        let mut pong = [0; 3];
        timeout(PATIENCE, stream.read_exact(&mut pong)).await.expect("in time").expect("a pong");
        assert_eq!(pong[..2], [0x8a, 1]);
        pongs.push(pong[2]);
    }
    // The system may have handed over the pings in two pieces.
    assert!(pongs.len() <= 2, "{pongs:?}");
}

#[actix_web::test]
async fn a_pong_goes_out_before_what_is_said_later() {
    let mut server = Server::start(60_000);
    let mut stream = upgraded(&server).await;
    stream.write_all(&[&ping(7)[..], b"\x81\x81\0\0\0\0x"].concat()).await.expect("open");
    assert_eq!(server.word().await, "x");
    let mut told = [0; 6];
    timeout(PATIENCE, stream.read_exact(&mut told)).await.expect("in time").expect("both");
    assert_eq!(&told, b"\x8a\x01\x07\x81\x01x");
}

#[actix_web::test]
async fn whoever_floods_with_control_frames_is_sent_away() {
    for frame in [ping(1), [0x8a, 0x81, 0, 0, 0, 0, 1]] {
        let mut server = Server::start(60_000);
        let mut stream = upgraded(&server).await;
        stream.write_all(&frame.repeat(200)).await.expect("open");
        assert_eq!(server.word().await, "too many");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_are_work_however_short_they_are() {
    let empty = b"\x82\x80\0\0\0\0";
    let in_pieces = b"\x00\x81\0\0\0\0x";
    for frame in [&empty[..], in_pieces] {
        let read = LocalSet::new().run_until(read_in_a_second(frame)).await / frame.len();
        // What is allowed, and a buffer's worth that was begun.
        assert!((2_500..=3_500).contains(&read), "{read} frames");
    }
}

/// How many bytes are read in a second of endlessly many frames.
async fn read_in_a_second(frame: &[u8]) -> usize {
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let client = std::net::TcpStream::connect(port.local_addr().expect("bound")).expect("listens");
    client.set_nonblocking(true).expect("an option");
    let stream = port.accept().expect("a peer").0;
    let mut connection =
        Connection::new(stream, None, frame.repeat(100)[..].into(), Visits::every_10_ms())
            .expect("its options");
    let frames = frame.repeat(10_000);
    let (mut read, mut written, mut buffer) = (0, 0, [0; 2_048]);
    let reading = async {
        loop {
            // As much as fits; the rest when there is room again.
            while let Ok(bytes) = (&client).write(&frames[written..]) {
                written = (written + bytes) % frames.len();
            }
            read += connection.read(&mut buffer).await.expect("open");
        }
    };
    let _a_second_is_over = timeout(Duration::from_secs(1), reading).await;
    read
}

#[actix_web::test]
async fn a_peer_that_breaks_the_protocol_is_told_which_way() {
    let cases: [(&str, &[u8]); 4] = [
        ("violation 1002", b"\x81\x01x"),
        ("violation 1002", b"\xf1\x81\0\0\0\0x"),
        ("violation 1007", b"\x81\x81\0\0\0\0\xff"),
        ("too large", b"\x81\xff\0\0\0\xff\0\0\0\0\0\0\0\0"),
    ];
    for (word, frame) in cases {
        assert_eq!(word_for(frame).await, word, "{frame:x?}");
    }
}

#[actix_web::test]
async fn a_connection_stays_up_until_the_peer_has_answered_the_close() {
    let server = Server::start(60_000);
    let mut stream = upgraded(&server).await;
    let mut bytes = [0; 1_024];
    stream.write_all(b"\x81\x01x").await.expect("open");
    let read = timeout(PATIENCE, stream.read(&mut bytes)).await.expect("in time");
    assert!(read.is_ok_and(|length| bytes[..length].starts_with(b"\x88")), "a close frame");
    let more = timeout(Duration::from_millis(200), stream.read(&mut bytes)).await;
    assert!(more.is_err(), "the server hung up at once");
    stream.write_all(b"\x88\x82\0\0\0\0\x03\xe8").await.expect("still open");
    let end = timeout(PATIENCE, stream.read(&mut bytes)).await.expect("in time");
    assert_eq!(end.ok(), Some(0));
}
