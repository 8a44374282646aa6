//! A program's streams over a WebSocket, as [`septum_api_types::v1::session`] describes.
//!
//! ```text
//!   WebSocket ─► hear ─► queue of WINDOW bytes ─► feed ─► pipe ─► program
//!                  └──► resize, signal ─────────────────────────► supervisor
//!   WebSocket ◄─ Sender (one message at a time) ◄─ show ◄─ pipes ◄─ program
//! ```
//!
//! Nothing is kept for a client that does not read: what it does not take stays in the pipes, and the program waits. A client that goes away
//! hangs up.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use septum_api_types::signal::Signal;
use septum_api_types::v1::session::{WINDOW, cost, stream};
use septum_api_types::v1::{FromProgram, Problem, ProblemCode, ToProgram};
use septum_coordinator::problems;
use septum_coordinator::sessions::{Control, Session};
use septum_registry::control::{Answer, ControlError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

use crate::access::Bearer;

/// Bytes that are read from a pipe at once.
const PIECE: usize = 32 << 10;
/// How long a client has to say what is to be run, and to close when all is said.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a client that are read and forgotten after the end: closing a connection with something unread would take back what was sent last.
const LAST_WORDS: usize = 64 << 20;

/// The client is gone.
struct Gone;

/// One message at a time, each sent before the next is begun.
struct Sender(Mutex<SplitSink<WebSocket, Message>>);

impl Sender {
    async fn send(&self, message: Message) -> Result<(), Gone> {
        self.0.lock().await.send(message).await.map_err(|_| Gone)
    }

    async fn say(&self, word: &FromProgram) -> Result<(), Gone> {
        self.send(Message::text(serde_json::to_string(word).unwrap_or_default())).await
    }
}

/// Something for the program's input; without bytes, its end.
struct Piece {
    bytes: Option<Bytes>,
    room: Option<OwnedSemaphorePermit>,
}

/// The first message, which says what is to be run.
pub async fn first_message(socket: &mut WebSocket) -> Result<String, Problem> {
    let cause = match tokio::time::timeout(PATIENCE, socket.recv()).await {
        Ok(Some(Ok(Message::Text(text)))) => return Ok(text.as_str().to_owned()),
        Ok(Some(Ok(_))) => "the first message is no text".to_owned(),
        Ok(Some(Err(error))) => error.to_string(),
        Ok(None) => "there is none".to_owned(),
        Err(_) => "it does not come".to_owned(),
    };
    Err(Problem::new(
        ProblemCode::Malformed,
        "what is to be run cannot be read",
        cause,
        "send an ExecRequest as the first message (GET /v1/openapi.json)",
    ))
}

/// Tells why there is nothing, and closes.
pub async fn refuse(socket: WebSocket, problem: Problem) {
    let (sink, mut stream) = socket.split();
    let sender = Sender(Mutex::new(sink));
    let _ = sender.say(&FromProgram::Refused(problem)).await;
    part(&sender, &mut stream, close_code::POLICY).await;
}

/// Moves what there is to move until the program has ended, the client is gone, or may not be here any more.
pub async fn serve(socket: WebSocket, session: Session, until_worthless: impl Future<Output = ()>) {
    let Session { input, outputs: [output, errors], mut end, mut control } = session;
    let (sink, mut stream) = socket.split();
    let sender = Sender(Mutex::new(sink));
    let (queue, pieces) = mpsc::unbounded_channel();
    let to_the_end = async {
        let shown = async {
            tokio::try_join!(show(output, stream::OUTPUT, &sender), show(errors, stream::ERRORS, &sender))
        };
        let (answer, shown) = tokio::join!(end.wait(), shown);
        shown?;
        sender.say(&last_word(answer)).await
    };
    let fed = feed(pieces, input, &sender);
    let code = tokio::select! {
        ended = to_the_end => if ended.is_ok() { close_code::NORMAL } else { return },
        problem = hear(&mut stream, &queue, &mut control) => {
            let Some(problem) = problem else { return };
            if sender.say(&FromProgram::Refused(problem)).await.is_err() {
                return;
            }
            close_code::POLICY
        }
        () = until_worthless => {
            let word = FromProgram::Refused(Bearer::worthless());
            let told = sender.say(&word);
            // One that does not read is not waited for.
            if !matches!(tokio::time::timeout(PATIENCE, told).await, Ok(Ok(()))) {
                return;
            }
            close_code::POLICY
        }
        // Ends with those two alone.
        () = fed => return,
    };
    // The program is over, or is hung up on while its client hears of that.
    drop(control);
    part(&sender, &mut stream, code).await;
}

/// A message that is none of those that there are.
fn nonsense(cause: impl std::fmt::Display) -> Problem {
    Problem::new(
        ProblemCode::Malformed,
        "the program is given up",
        format!("what the client says cannot be read: {cause}"),
        "docs/api.md#programs-and-their-streams tells what can be said",
    )
}

/// Closes, and hears the client out, for a while.
async fn part(sender: &Sender, stream: &mut SplitStream<WebSocket>, code: u16) {
    let parting = async {
        let close = Message::Close(Some(CloseFrame { code, reason: "".into() }));
        if sender.send(close).await.is_err() {
            return;
        }
        let mut left = LAST_WORDS;
        while let Some(Ok(message)) = stream.next().await
            && left > 0
        {
            left = left.saturating_sub(message.into_data().len().max(1));
        }
    };
    let _ = tokio::time::timeout(PATIENCE, parting).await;
}

fn last_word(answer: Result<Answer, ControlError>) -> FromProgram {
    match answer {
        Ok(Answer::Ended(status)) => FromProgram::Ended { status },
        Ok(Answer::Failed { status, message }) => FromProgram::Failed { status, message },
        Ok(Answer::Refused(failure)) => {
            FromProgram::Refused(problems::failed(ProblemCode::Conflict, &failure))
        }
        Ok(_) => FromProgram::Refused(problems::internal(
            "the program's end is not known",
            "the partition's supervisor gave a strange answer",
        )),
        Err(error) => FromProgram::Refused(problems::unanswered("", &error)),
    }
}

/// Sends what the program writes.
async fn show(mut pipe: pipe::Receiver, stream: u8, sender: &Sender) -> Result<(), Gone> {
    let mut message = vec![0; 1 + PIECE];
    message[0] = stream;
    loop {
        match pipe.read(&mut message[1..]).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(length) => {
                sender.send(Message::Binary(Bytes::copy_from_slice(&message[..=length]))).await?;
            }
        }
    }
}

/// Hears the client until it is gone, or says what cannot be.
async fn hear(
    stream: &mut SplitStream<WebSocket>,
    queue: &mpsc::UnboundedSender<Piece>,
    control: &mut Control,
) -> Option<Problem> {
    let room = Arc::new(Semaphore::new(WINDOW));
    while let Some(Ok(message)) = stream.next().await {
        let piece = match message {
            Message::Binary(mut bytes) if bytes.first() == Some(&stream::INPUT) => {
                let bytes = bytes.split_off(1);
                let places = u32::try_from(cost(bytes.len()).min(WINDOW)).unwrap_or(u32::MAX);
                let Ok(room) = Arc::clone(&room).acquire_many_owned(places).await else { return None };
                Piece { bytes: Some(bytes), room: Some(room) }
            }
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(ToProgram::CloseInput) => Piece { bytes: None, room: None },
                Ok(ToProgram::Resize(size)) => {
                    control.resize(size).await;
                    continue;
                }
                Ok(ToProgram::Signal { signal }) => {
                    match signal.parse::<Signal>() {
                        Ok(signal) => control.signal(signal).await,
                        Err(error) => return Some(nonsense(format!("signal '{signal}' {error}"))),
                    }
                    continue;
                }
                Err(error) => return Some(nonsense(error)),
            },
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Binary(_) => return Some(nonsense("a binary message begins with a zero byte")),
            Message::Close(_) => return None,
        };
        if queue.send(piece).is_err() {
            return None;
        }
    }
    None
}

/// Gives the program its input. Once it reads no more, what comes is forgotten.
async fn feed(mut pieces: mpsc::UnboundedReceiver<Piece>, input: pipe::Sender, sender: &Sender) {
    let mut input = Some(input);
    let mut taken = 0;
    while let Some(Piece { bytes, room }) = pieces.recv().await {
        let Some(bytes) = bytes else {
            input = None;
            continue;
        };
        if let Some(pipe) = &mut input
            && pipe.write_all(&bytes).await.is_err()
        {
            input = None;
        }
        drop(room);
        taken += cost(bytes.len());
        if taken >= WINDOW / 4 {
            let bytes = u64::try_from(std::mem::take(&mut taken)).unwrap_or(u64::MAX);
            if sender.say(&FromProgram::Took { bytes }).await.is_err() {
                return;
            }
        }
    }
}
