//! `septum serve`: the coordinator of this host, and its API.

use std::process::ExitCode;
use std::sync::Arc;

use septum_api_server::{Tcp, router, serve_unix, socket_path, unix_listener};
use septum_api_types::places;
use septum_api_types::v1::Problem;
use septum_coordinator::{Capacity, Configuration, Coordinator, problems};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Serve;
use crate::message;

/// Threads that serve. Answers come from memory; what takes long is other processes' work.
const THREADS: usize = 2;
/// Threads that look at files, at most.
const FILE_THREADS: usize = 8;

/// Serves until it is told to end. Partitions go on.
pub fn serve(options: &Serve) -> ExitCode {
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            message::tell(&format!("septum: {problem}\nhint: {}", problem.remediation));
            ExitCode::from(septum_api_types::exit::Code::Host.number())
        }
    }
}

fn run(options: &Serve) -> Result<(), Problem> {
    let internal = |error: std::io::Error| problems::internal("cannot serve", error);
    let uid = rustix::process::getuid().as_raw();
    // It lies beside this one; a newer one that takes its place starts what is started from then on.
    let program = std::env::current_exe().map_err(internal)?;
    let found = Capacity::found();
    let capacity = Capacity {
        memory_bytes: options.max_memory.map_or(found.memory_bytes, |size| size.0),
        cpus: options.max_cpus.map_or(found.cpus, Into::into),
        partitions: options.max_partitions.map_or(found.partitions, Into::into),
    };
    let configuration = Configuration {
        capacity,
        runtime: places::runtime_directory(uid),
        data: places::data_directory(uid),
        keeper: (program.with_file_name("septum"), vec!["keeper".to_owned(), options.jail.to_string()]),
    };
    let runtime = configuration.runtime.clone();
    let coordinator = Coordinator::open(configuration, &mut |text| message::tell(&text))?;
    let engine = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(FILE_THREADS)
        .enable_all()
        .build()
        .map_err(internal)?;
    engine.block_on(async {
        let listener = unix_listener(&runtime).map_err(internal)?;
        let mut ends = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
        let [Ok(terminate), Ok(interrupt)] = &mut ends else {
            return Err(problems::internal("cannot serve", "signals cannot be waited for"));
        };
        if let Some(address) = options.listen {
            let tls = options.tls_cert.as_deref().zip(options.tls_key.as_deref());
            let tcp = Tcp::listen(address, tls, options.plain_tcp).await?;
            if !options.quiet {
                let scheme = if tls.is_some() { "https" } else { "http" };
                message::tell(&format!("septum: serving on {scheme}://{}", tcp.address().map_err(internal)?));
            }
            tokio::spawn(tcp.serve(router(Arc::clone(&coordinator))));
        }
        tokio::spawn(Arc::clone(&coordinator).keep());
        tokio::spawn(serve_unix(listener, router(Arc::clone(&coordinator))));
        if !options.quiet {
            message::tell(&format!("septum: serving on '{}'", socket_path(&runtime).display()));
        }
        tell_manager("READY=1");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tell_manager("STOPPING=1");
        let _ = std::fs::remove_file(socket_path(&runtime));
        Ok(())
    })
}

/// Tells whoever manages services, if one started this one and wants to know (sd_notify(3)).
fn tell_manager(state: &str) {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
    };
    // A manager that does not hear it gives up by itself, and says so.
    let _ = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
}
