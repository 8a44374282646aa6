//! `exec` and `attach`: streams of a program in a partition, here.
//!
//! ```text
//!   standard input ─► a thread ─► Speaker ─► program
//!   standard output, error ◄─ Listener ◄─ program
//!   signals ─► a terminal's size, or this process's end
//! ```
//!
//! This process's end is a hang-up there.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::process::exit;

use rustix::process::{Signal, getpid, kill_process};
use septum_api_client::{Client, Listener, Said, Speaker};
use septum_api_types::v1::{ExecRequest, FromProgram, Problem, ProblemCode, TerminalSize};
use septum_worker::terminal::{self, Raw};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::keys::Detector;
use super::words::{text, variables, wrong};
use crate::args::{Attach, Exec};
use crate::message;

const SIGTSTP: i32 = 20;
const SIGWINCH: i32 = 28;
/// Those that would end this process, or concern its terminal, while that is raw: HUP, INT, QUIT, TERM, TSTP, WINCH.
const SIGNALS: [i32; 6] = [1, 2, 3, 15, SIGTSTP, SIGWINCH];
/// Pieces of input that wait to be sent.
const PIECES: usize = 4;
/// Bytes of a piece.
const PIECE: usize = 32 << 10;

/// `septum exec`
pub async fn exec(client: &Client, options: Exec) -> Result<u8, Problem> {
    if options.tty && options.interactive && !io::stdin().is_terminal() {
        return Err(no_terminal("cannot give the program a terminal"));
    }
    let request = ExecRequest {
        command: options.program.iter().map(|word| text(word)).collect::<Result<_, _>>()?,
        env: environment(&options.env, options.tty)?,
        workdir: options.workdir.as_deref().map(text).transpose()?,
        user: options.user,
        interactive: options.interactive,
        tty: options.tty.then(size),
    };
    if options.detach {
        return client.exec_detached(&options.partition, &request).await.map(|()| 0);
    }
    let raw = if options.tty { Raw::enter() } else { None };
    let (speaker, listener) = client.exec(&options.partition, &request).await?;
    let keys: &[u8] = if options.tty { &options.detach_keys.0 } else { &[] };
    serve(speaker, listener, raw, options.interactive.then_some(keys)).await
}

/// `septum attach`
pub async fn attach(client: &Client, options: &Attach) -> Result<u8, Problem> {
    let has_terminal = client.look(&options.partition).await?.has_terminal;
    let raw = if has_terminal { Raw::enter() } else { None };
    let (speaker, listener) = client.attach(&options.partition).await?;
    if has_terminal && terminal::size().is_some() {
        speaker.resize(size()).await?;
    }
    serve(speaker, listener, raw, (!options.no_stdin).then_some(&options.detach_keys.0)).await
}

/// There is no terminal whose other end the program's could be.
pub fn no_terminal(what: &str) -> Problem {
    wrong(what, "standard input is not a terminal", "leave out -t (--tty), or run this in a terminal")
}

fn size() -> TerminalSize {
    let [rows, columns] = terminal::size_or_usual();
    TerminalSize { rows, columns }
}

/// What is given, and with a terminal what kind of one it is.
fn environment(given: &[OsString], has_terminal: bool) -> Result<Vec<String>, Problem> {
    let mut environment = Vec::new();
    if has_terminal && let Some(term) = std::env::var_os("TERM") {
        environment.push(format!("TERM={}", text(&term)?));
    }
    environment.extend(variables(given)?);
    Ok(environment)
}

/// Moves what there is to move until the program's end, and returns its status. `raw`: this process's terminal, as the program's. `keys`: what is
/// typed is the program's, but for the keys, which end this.
pub async fn serve(
    speaker: Speaker,
    listener: Listener,
    raw: Option<Raw>,
    keys: Option<&[u8]>,
) -> Result<u8, Problem> {
    if let Some(keys) = keys {
        tokio::spawn(send(read_input(Detector::new(keys)), speaker.clone()));
    }
    match raw {
        None => show(listener, &speaker).await,
        Some(raw) => tokio::select! {
            status = show(listener, &speaker) => status,
            problem = watch(&raw, &speaker) => Err(problem),
        },
    }
}

/// What is typed, read by a thread of its own: nothing else can be waited for beside it.
fn read_input(mut keys: Detector) -> mpsc::Receiver<Vec<u8>> {
    let (pieces, receiver) = mpsc::channel(PIECES);
    std::thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        loop {
            let length = match io::stdin().read(&mut buffer) {
                Ok(length @ 1..) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                _ => return,
            };
            let (typed, is_over) = keys.take(&buffer[..length]);
            if is_over {
                terminal::restore();
                message::tell("septum: detached; the partition goes on");
                exit(0);
            }
            if pieces.blocking_send(typed).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Sends it, and its end. A connection that is broken is noticed where the program is heard.
async fn send(mut pieces: mpsc::Receiver<Vec<u8>>, speaker: Speaker) {
    while let Some(piece) = pieces.recv().await {
        if speaker.input(&piece).await.is_err() {
            return;
        }
    }
    let _ = speaker.close_input().await;
}

/// Shows what the program writes, until its end.
async fn show(mut listener: Listener, speaker: &Speaker) -> Result<u8, Problem> {
    let mut is_read = true;
    while let Some(said) = listener.next().await? {
        let written = match said {
            Said::Output(bytes) if is_read => write(io::stdout(), bytes).await,
            Said::Errors(bytes) => {
                // Whoever does not read errors does not want them.
                let _ = write(io::stderr(), bytes).await;
                Ok(())
            }
            Said::Output(_) => Ok(()),
            Said::Last(FromProgram::Ended { status }) => return Ok(status),
            Said::Last(FromProgram::Failed { status, message }) => {
                message::tell(&format!("septum: {message}"));
                return Ok(status);
            }
            Said::Last(FromProgram::Refused(problem)) => return Err(problem),
            Said::Last(FromProgram::Took { .. }) => Ok(()),
        };
        if written.is_err() {
            // Nobody reads any more: so it is for the program.
            is_read = false;
            let _ = speaker.signal("PIPE").await;
        }
    }
    Err(Problem::new(
        ProblemCode::Unavailable,
        "the program is lost",
        "the connection to the coordinator ended before it did",
        "see whether septum serve runs; the partition goes on",
    ))
}

/// Writes, on a thread where a reader that is slow holds up nothing else.
async fn write(
    mut to: impl Write + Send + 'static,
    bytes: impl AsRef<[u8]> + Send + 'static,
) -> io::Result<()> {
    let written = tokio::task::spawn_blocking(move || to.write_all(bytes.as_ref()).and_then(|()| to.flush()));
    written.await.map_err(io::Error::other)?
}

/// Until the connection breaks: signals are what they would be without the raw terminal, and its size is passed on.
async fn watch(raw: &Raw, speaker: &Speaker) -> Problem {
    let (sender, mut signals) = mpsc::channel(16);
    for number in SIGNALS {
        let Ok(mut stream) = signal(SignalKind::from_raw(number)) else { continue };
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if sender.send(number).await.is_err() {
                    return;
                }
            }
        });
    }
    loop {
        match signals.recv().await {
            Some(SIGWINCH) => {}
            Some(SIGTSTP) => {
                raw.leave();
                let _ = kill_process(getpid(), Signal::STOP);
                raw.again();
            }
            Some(number) => {
                raw.leave();
                exit(128 + number);
            }
            None => std::future::pending().await,
        }
        if let Err(problem) = speaker.resize(size()).await {
            return problem;
        }
    }
}
