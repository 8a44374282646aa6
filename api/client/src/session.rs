//! A program in a partition, and this side of its streams: [`septum_api_types::v1::session`] tells what is said.

use std::sync::Arc;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::body::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use septum_api_types::v1::session::{LONGEST_MESSAGE, WINDOW, cost, stream};
use septum_api_types::v1::{FromProgram, Problem, TerminalSize, ToProgram};
use tokio::sync::{Mutex, Semaphore};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::no_answer;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Bytes of a message that is sent.
const PIECE: usize = 32 << 10;

/// What the program, or the server, says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The program, to its standard output.
    Output(Bytes),
    /// The program, to its standard error.
    Errors(Bytes),
    /// The server: the last word.
    Last(FromProgram),
}

/// Speaks to the program, for several who take turns.
#[derive(Clone, Debug)]
pub struct Speaker {
    sink: Arc<Mutex<SplitSink<Socket, Message>>>,
    /// What may be sent before the server takes it.
    window: Arc<Semaphore>,
}

/// Hears the program.
#[derive(Debug)]
pub struct Listener {
    stream: SplitStream<Socket>,
    window: Arc<Semaphore>,
}

/// Both sides of a connection that is a WebSocket by now.
pub(crate) async fn open(upgraded: Upgraded) -> (Speaker, Listener) {
    let config = WebSocketConfig::default()
        .read_buffer_size(PIECE)
        .write_buffer_size(0)
        .max_message_size(Some(LONGEST_MESSAGE))
        .max_frame_size(Some(LONGEST_MESSAGE));
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await;
    let (sink, stream) = socket.split();
    let window = Arc::new(Semaphore::new(WINDOW));
    (Speaker { sink: Arc::new(Mutex::new(sink)), window: Arc::clone(&window) }, Listener { stream, window })
}

impl Speaker {
    async fn send(&self, message: Message) -> Result<(), Problem> {
        self.sink.lock().await.send(message).await.map_err(no_answer)
    }

    pub(crate) async fn say(&self, word: &impl serde::Serialize) -> Result<(), Problem> {
        self.send(Message::text(serde_json::to_string(word).map_err(no_answer)?)).await
    }

    /// What the program reads next. Waits while it does not.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn input(&self, bytes: &[u8]) -> Result<(), Problem> {
        for piece in bytes.chunks(PIECE) {
            let places = u32::try_from(cost(piece.len())).unwrap_or(u32::MAX);
            // Given back by the listener, when the server has taken them.
            self.window.acquire_many(places).await.map_err(no_answer)?.forget();
            let message = [&[stream::INPUT], piece].concat();
            self.send(Message::binary(message)).await?;
        }
        Ok(())
    }

    /// Its input ends.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn close_input(&self) -> Result<(), Problem> {
        self.say(&ToProgram::CloseInput).await
    }

    /// Its terminal has another size.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn resize(&self, size: TerminalSize) -> Result<(), Problem> {
        self.say(&ToProgram::Resize(size)).await
    }

    /// It gets a signal, by name or number.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn signal(&self, signal: &str) -> Result<(), Problem> {
        self.say(&ToProgram::Signal { signal: signal.to_owned() }).await
    }
}

impl Listener {
    /// What is said next; `None` after the last word, when the connection is closed.
    ///
    /// # Errors
    /// The connection broke, or what came is nothing that can be said.
    pub async fn next(&mut self) -> Result<Option<Said>, Problem> {
        while let Some(message) = self.stream.next().await {
            match message.map_err(no_answer)? {
                Message::Binary(mut bytes) => match bytes.first() {
                    Some(&stream::OUTPUT) => return Ok(Some(Said::Output(bytes.split_off(1)))),
                    Some(&stream::ERRORS) => return Ok(Some(Said::Errors(bytes.split_off(1)))),
                    _ => return Err(no_answer("it sends a stream that there is not")),
                },
                Message::Text(text) => match serde_json::from_str(&text).map_err(no_answer)? {
                    FromProgram::Took { bytes } => {
                        // Never more than there was.
                        let missing = WINDOW.saturating_sub(self.window.available_permits());
                        self.window.add_permits(missing.min(usize::try_from(bytes).unwrap_or(usize::MAX)));
                    }
                    last => return Ok(Some(Said::Last(last))),
                },
                // What follows a close is its answer being sent, and the end.
                _ => {}
            }
        }
        Ok(None)
    }
}
