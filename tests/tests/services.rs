//! Real clients and servers, unmodified, each in a partition of its own.

use std::path::Path;
use std::time::Duration;

use septum_tests::lane::{self, Lane};
use septum_tests::{Input, Running, Septum, needs_partitions};

const PYTHON: &str = "/usr/bin/python3";

/// Whether these files are there; if not, the test is skipped.
fn are_there(files: &[&str]) -> bool {
    if Lane::current() == Lane::Nested {
        lane::skip("it takes minutes in the nested lane, and shows nothing new there");
        return false;
    }
    let missing = files.iter().find(|file| !Path::new(file).exists());
    if let Some(missing) = missing {
        lane::skip(&format!("{missing} is not installed"));
    }
    missing.is_none()
}

/// A partition that exposes a port and says so, and is gone when this is dropped.
fn server(name: &str, port: &str, program: Septum, ready: &str) -> Running {
    let running = program.option("--name", name).option("--expose", port);
    let running = running.stdin(Input::Held).deadline(Duration::from_secs(120)).spawn();
    running.wait_for_stdout(ready);
    running
}

fn client(name: &str, port: &str, program: Septum) -> Septum {
    program.option("--allow-net", format!("{name}:{port}")).deadline(Duration::from_secs(120))
}

#[test]
fn redis_answers_its_client() {
    needs_partitions!();
    if !are_there(&["/usr/bin/redis-server", "/usr/bin/redis-cli"]) {
        return;
    }
    let name = format!("redis-{}", std::process::id());
    let program = Septum::run("/usr/bin/redis-server").arguments(["--protected-mode", "no", "--save", ""]);
    let _server = server(&name, "6379", program, "Ready to accept connections");
    let commands =
        "SET greeting hello\nGET greeting\nINCRBY n 41\nINCR n\nLPUSH l a b c\nLRANGE l 0 -1\nDBSIZE\n";
    let program = Septum::run("/usr/bin/redis-cli").arguments(["-h", &name]);
    let output = client(&name, "6379", program).stdin(Input::Bytes(commands.into())).output();
    output.expect_code(0).expect_stdout("OK\nhello\n41\n42\n3\nc\nb\na\n3\n");
}

#[test]
fn http_libraries_talk_to_a_server() {
    needs_partitions!();
    let packages = ["requests", "httpx"].map(|name| format!("/usr/lib/python3/dist-packages/{name}"));
    if !are_there(&[PYTHON, &packages[0], &packages[1]]) {
        return;
    }
    let name = format!("http-{}", std::process::id());
    let script = "import http.server\n\
                  class Handler(http.server.BaseHTTPRequestHandler):\n\
                  \x20   protocol_version = 'HTTP/1.1'\n\
                  \x20   def do_POST(self):\n\
                  \x20       body = self.rfile.read(int(self.headers['Content-Length']))\n\
                  \x20       self.send_response(200); self.send_header('Content-Length', len(body)); self.end_headers()\n\
                  \x20       self.wfile.write(body[::-1])\n\
                  \x20   def log_message(self, *_): pass\n\
                  server = http.server.ThreadingHTTPServer(('', 8000), Handler); print('listens', flush=True)\n\
                  server.serve_forever()\n";
    let program = Septum::run(PYTHON).arguments(["-c", script]);
    let _server = server(&name, "8000", program, "listens");
    let script = format!(
        "import requests, httpx, concurrent.futures\n\
         url = 'http://{name}.septum.internal:8000/'; body = bytes(range(256)) * 999\n\
         session = requests.Session()\n\
         print(all(session.post(url, data=body).content == body[::-1] for _ in range(20)))\n\
         with httpx.Client() as client: print(client.post(url, content=body).content == body[::-1])\n\
         with concurrent.futures.ThreadPoolExecutor(8) as pool:\n\
         \x20   print(all(pool.map(lambda n: requests.post(url, data=b'%d' % n).content == (b'%d' % n)[::-1], range(40))))\n"
    );
    let program = Septum::run(PYTHON).arguments(["-c", &script]);
    client(&name, "8000", program).output().expect_code(0).expect_stdout("True\nTrue\nTrue\n");
}

#[test]
fn grpc_calls_a_server() {
    needs_partitions!();
    if !are_there(&[PYTHON, "/usr/lib/python3/dist-packages/grpc"]) {
        return;
    }
    let name = format!("grpc-{}", std::process::id());
    let script = "import grpc, concurrent.futures\n\
                  one = grpc.unary_unary_rpc_method_handler(lambda request, context: request.upper())\n\
                  def count(request, context):\n\
                  \x20   for n in range(int(request)): yield b'%d' % n\n\
                  many = grpc.unary_stream_rpc_method_handler(count)\n\
                  server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))\n\
                  handler = grpc.method_handlers_generic_handler('test.Echo', {'One': one, 'Many': many})\n\
                  server.add_generic_rpc_handlers((handler,)); server.add_insecure_port('0.0.0.0:8000')\n\
                  server.start(); print('listens', flush=True); server.wait_for_termination()\n";
    let program = Septum::run(PYTHON).arguments(["-c", script]);
    let _server = server(&name, "8000", program, "listens");
    let script = format!(
        "import grpc\n\
         channel = grpc.insecure_channel('{name}.septum.internal:8000')\n\
         print(channel.unary_unary('/test.Echo/One')(b'hello', timeout=60, wait_for_ready=True))\n\
         print(sum(int(n) for n in channel.unary_stream('/test.Echo/Many')(b'1000', timeout=60)))\n"
    );
    let program = Septum::run(PYTHON).arguments(["-c", &script]);
    client(&name, "8000", program).output().expect_code(0).expect_stdout("b'HELLO'\n499500\n");
}
