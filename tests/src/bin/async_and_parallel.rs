//! What Rust programs stand on: std's threads, rayon's pool, tokio's runtime (epoll, eventfd, timers, signals, children).
//!
//! It prints what must be the same on every Linux; `tests/stacks.rs` runs it natively and in a partition.

use std::io::{Read as _, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, broadcast, oneshot};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const CLIENTS: u32 = 16;
const MESSAGES: u32 = 40;

fn main() -> Outcome {
    println!("processors {}", thread::available_parallelism()?);
    threads()?;
    parallel();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build()?;
    runtime.block_on(async {
        tcp().await?;
        datagrams().await?;
        timers().await;
        channels().await?;
        processes().await?;
        files().await
    })
}

fn threads() -> Outcome {
    let (sender, receiver) = mpsc::channel();
    for number in 0..8_u64 {
        let sender = sender.clone();
        thread::Builder::new()
            .name(format!("worker {number}"))
            .spawn(move || sender.send(number * number))?;
    }
    drop(sender);
    println!("threads {}", receiver.iter().sum::<u64>());
    let panicked = thread::Builder::new().name("doomed".to_owned()).spawn(|| {
        std::panic::set_hook(Box::new(|_| ()));
        panic!("on purpose");
    })?;
    println!("a panic ends its thread only: {}", panicked.join().is_err());
    let _ = std::panic::take_hook();
    let (mut here, mut there) = std::os::unix::net::UnixStream::pair()?;
    let echo = thread::spawn(move || -> std::io::Result<()> {
        let mut text = String::new();
        there.read_to_string(&mut text)?;
        there.write_all(text.to_uppercase().as_bytes())
    });
    here.write_all(b"through a socket")?;
    here.shutdown(std::net::Shutdown::Write)?;
    let mut text = String::new();
    here.read_to_string(&mut text)?;
    println!("{text} {}", echo.join().is_ok_and(|done| done.is_ok()));
    Ok(())
}

fn parallel() {
    let sum: u64 = (0..1_000_000_u64).into_par_iter().map(|number| number * number % 7).sum();
    let mut numbers: Vec<u64> =
        (0..200_000_u64).map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    numbers.par_sort_unstable();
    println!("rayon {sum}, sorted {}", numbers.is_sorted());
    let (left, right) = rayon::join(|| (1..=20_u64).product::<u64>(), || (1..=20_u64).sum::<u64>());
    println!("rayon joins {left} {right}");
}

async fn tcp() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    if stream.write_all(&bytes[..count]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    let clients = (0..CLIENTS).map(|client| {
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            let mut right = 0;
            for message in 0..MESSAGES {
                stream.write_all(&(client * message).to_le_bytes()).await?;
                let mut bytes = [0; 4];
                stream.read_exact(&mut bytes).await?;
                right += u32::from(u32::from_le_bytes(bytes) == client * message);
            }
            Ok::<_, std::io::Error>(right)
        })
    });
    let mut right = 0;
    for client in clients.collect::<Vec<_>>() {
        right += client.await??;
    }
    println!("tcp: {right} of {}", CLIENTS * MESSAGES);
    let refused = TcpStream::connect("127.0.0.1:1").await;
    println!("tcp: {:?}", refused.map(drop).map_err(|error| error.kind()));
    Ok(())
}

async fn datagrams() -> Outcome {
    let (here, there) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    here.send_to(b"a datagram", there.local_addr()?).await?;
    let mut bytes = [0; 64];
    let (count, from) = there.recv_from(&mut bytes).await?;
    println!("udp: {} {}", String::from_utf8_lossy(&bytes[..count]), from == here.local_addr()?);
    let (mut left, mut right) = UnixStream::pair()?;
    let large = vec![7; 1 << 20];
    let sent = tokio::spawn(async move { left.write_all(&large).await });
    let mut received = Vec::new();
    right.read_to_end(&mut received).await?;
    sent.await??;
    println!("unix: {} bytes", received.len());
    Ok(())
}

async fn timers() {
    let start = Instant::now();
    tokio::time::sleep(Duration::from_millis(30)).await;
    println!("slept long enough: {}", start.elapsed() >= Duration::from_millis(30));
    let mut ticks = tokio::time::interval(Duration::from_millis(4));
    for _ in 0..10 {
        ticks.tick().await;
    }
    println!("ticked: {}", start.elapsed() >= Duration::from_millis(60));
    let never = tokio::time::timeout(Duration::from_millis(10), std::future::pending::<()>()).await;
    println!("timed out: {}", never.is_err());
}

async fn channels() -> Outcome {
    let (sender, mut receiver) = broadcast::channel(64);
    let mut other = sender.subscribe();
    tokio::spawn(async move { (0..50_u32).try_for_each(|number| sender.send(number).map(drop)) });
    let mut sums = (0, 0);
    while let Ok(number) = receiver.recv().await {
        sums.0 += number;
    }
    while let Ok(number) = other.recv().await {
        sums.1 += number;
    }
    println!("broadcast {sums:?}");
    let (sender, receiver) = oneshot::channel();
    let gate = Semaphore::new(0);
    let blocking = tokio::task::spawn_blocking(|| {
        thread::sleep(Duration::from_millis(2));
        sender.send("from a blocking thread")
    });
    println!("{} {}", receiver.await?, gate.try_acquire().is_err());
    blocking.await??;
    Ok(())
}

async fn processes() -> Outcome {
    let output =
        Command::new("/bin/sh").args(["-c", "echo to out; echo to err >&2; exit 3"]).output().await?;
    println!("{:?} {:?} {}", output.stdout, output.stderr, output.status);
    let children =
        (0..6).map(|number| Command::new("/bin/sh").arg("-c").arg(format!("exit {number}")).status());
    let mut codes = 0;
    for child in children.map(tokio::spawn).collect::<Vec<_>>() {
        codes += child.await??.code().unwrap_or(100);
    }
    println!("children {codes}");
    let mut sleeper = Command::new("sleep").arg("60").spawn()?;
    sleeper.kill().await?;
    println!("killed {:?}", sleeper.wait().await?.code());
    let mut usr1 = signal(SignalKind::user_defined1())?;
    Command::new("/bin/sh").args(["-c", "kill -USR1 $PPID"]).status().await?;
    println!("signalled {:?}", usr1.recv().await);
    Ok(())
}

async fn files() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("file");
    tokio::fs::write(&path, vec![b'x'; 300_000]).await?;
    tokio::fs::rename(&path, directory.path().join("moved")).await?;
    let mut entries = tokio::fs::read_dir(directory.path()).await?;
    while let Some(entry) = entries.next_entry().await? {
        println!("{:?} {}", entry.file_name(), entry.metadata().await?.len());
    }
    println!("{:?}", tokio::fs::metadata(&path).await.map(drop).map_err(|error| error.kind()));
    Ok(())
}
