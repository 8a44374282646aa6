//! Partitions that reach each other by name: real programs on both sides.

use std::net::TcpListener;
use std::time::Duration;

use septum_tests::lane::{self, Lane};
use septum_tests::process::{Input, Running};
use septum_tests::{Septum, needs_partitions};

/// A name that no other test has.
fn name(of: &str) -> String {
    format!("{of}-{}", std::process::id())
}

fn python(script: &str) -> Septum {
    Septum::run("python3").arguments(["-S", "-E", "-c", script]).deadline(Duration::from_secs(120))
}

/// A partition that is gone when this is dropped.
fn server(name: &str, script: &str) -> Running {
    let running = python(script).option("--name", name).option("--expose", "8000").option("--expose", "8001");
    let running = running.option("--ulimit", "nofile=8192").stdin(Input::Held).spawn();
    running.wait_for_stdout("listens");
    running
}

/// `reach(name, port)` connects, and tries again while nobody listens.
const REACH: &str = "import socket, time, hashlib, threading\n\
                     def reach(name, port=8000):\n\
                     \x20   for _ in range(3000):\n\
                     \x20       try: return socket.create_connection((name, port))\n\
                     \x20       except ConnectionRefusedError: time.sleep(0.02)\n";

#[test]
fn a_partition_is_reached_by_name_if_both_sides_say_so() {
    needs_partitions!();
    let web = name("web");
    let script = "import socket\n\
                  s = socket.create_server(('0.0.0.0', 8000)); print('listens', flush=True)\n\
                  for _ in range(2):\n\
                  \x20   c, peer = s.accept(); data = b''\n\
                  \x20   while part := c.recv(65536): data += part\n\
                  \x20   c.sendall(peer[0].encode() + b' ' + data); c.close()\n\
                  input()\n";
    let mut serving = server(&web, script);
    let script = format!(
        "{REACH}import sys\n\
         block = bytes(range(256)) * 1021\n\
         for to in ['{web}', '{web}.septum.internal']:\n\
         \x20   s = socket.create_connection((to, 8000)); peer = s.getpeername()\n\
         \x20   for _ in range(2): s.sendall(block)\n\
         \x20   s.shutdown(socket.SHUT_WR); data = b''\n\
         \x20   while part := s.recv(65536): data += part\n\
         \x20   print(data == b'198.18.0.4 ' + block * 2, peer)\n\
         for to in [('{web}', 8001), ('{web}', 9), ('{web}', 10), ('nobody', 1)]:\n\
         \x20   try: socket.create_connection(to); print('connected')\n\
         \x20   except OSError as error: print(error.errno)\n\
         try: socket.create_connection(('other', 1))\n\
         except socket.gaierror: print('no name')\n"
    );
    let mut client = python(&script).flag("-v");
    for rule in [":8000", ":8001", ".septum.internal:9"] {
        client = client.option("--allow-net", format!("{web}{rule}"));
    }
    let output = client.option("--allow-net", "nobody:1").output();
    output
        .expect_code(0)
        .expect_stdout("True ('198.18.1.1', 8000)\nTrue ('198.18.1.1', 8000)\n111\n111\n111\n111\nno name\n");
    for line in [
        format!("{web}:9 refused; partition '{web}' does not expose that port; --expose 9 there"),
        format!("{web}:10 refused; --allow-net {web}:10 would allow it"),
        "nobody:1 refused; there is no partition 'nobody'".to_owned(),
        "--allow-net other would allow it".to_owned(),
    ] {
        output.expect_stderr(&line);
    }
    serving.write(b"\n");
    serving.wait().expect_code(0);
}

#[test]
fn one_that_ends_closes_its_connections_and_is_found_again() {
    needs_partitions!();
    let web = name("again");
    let script = |word: &str| {
        format!(
            "import socket\n\
             s = socket.create_server(('0.0.0.0', 8000)); print('listens', flush=True)\n\
             c, _ = s.accept(); c.sendall(b'{word}')\n\
             input()\n"
        )
    };
    let first = server(&web, &script("one"));
    let client = format!(
        "{REACH}s = reach('{web}'); print(s.recv(9).decode(), flush=True)\n\
         try: print(s.recv(9))\n\
         except ConnectionResetError: print(b'')\n\
         print('over', flush=True)\n\
         print(reach('{web}').recv(9).decode())\n"
    );
    let client = python(&client).option("--allow-net", &web).spawn();
    client.wait_for_stdout("one");
    // Its supervisor is killed, and the worker with it: nobody says goodbye.
    drop(first);
    client.wait_for_stdout("over");
    let mut second = server(&web, &script("two"));
    client.wait().expect_code(0).expect_stdout("one\nb''\nover\ntwo\n");
    second.write(b"\n");
    second.wait().expect_code(0);
}

#[test]
fn a_flood_and_a_slow_reader_stop_nobody() {
    needs_partitions!();
    if Lane::current() == Lane::Nested {
        return lane::skip("it takes minutes in the nested lane, and shows nothing new there");
    }
    let web = name("flood");
    // 8000 answers as many as come. At 8001, one sends without end, and everybody after it is sent 16 MiB.
    let script = "import socket, threading, os\n\
                  s = socket.create_server(('0.0.0.0', 8000), backlog=4096)\n\
                  t = socket.create_server(('0.0.0.0', 8001)); print('listens', flush=True)\n\
                  def endless(c):\n\
                  \x20   try:\n\
                  \x20       while True: c.sendall(bytes(65536))\n\
                  \x20   except OSError: pass\n\
                  def large():\n\
                  \x20   threading.Thread(target=endless, args=(t.accept()[0],), daemon=True).start()\n\
                  \x20   c = t.accept()[0]\n\
                  \x20   for _ in range(16): c.sendall(bytes(1 << 20))\n\
                  \x20   c.close()\n\
                  threading.Thread(target=large, daemon=True).start()\n\
                  all = [s.accept()[0] for _ in range(2000)]\n\
                  for c in all: c.sendall(b'x' + c.recv(9))\n\
                  input(); os._exit(0)\n";
    let mut serving = server(&web, script);
    let script = format!(
        "{REACH}\
         slow = reach('{web}', 8001); slow.recv(1); ended = []\n\
         def read_slowly():\n\
         \x20   while not ended: slow.recv(1); time.sleep(0.05)\n\
         reader = threading.Thread(target=read_slowly); reader.start()\n\
         fast = reach('{web}', 8001); total = 0\n\
         while part := fast.recv(1 << 20): total += len(part)\n\
         print(total == 16 << 20)\n\
         all = []\n\
         for n in range(2000):\n\
         \x20   s = socket.socket(); s.setblocking(False); s.connect_ex(('198.18.1.1', 8000)); all.append(s)\n\
         for s in all: s.setblocking(True); s.sendall(b'y')\n\
         print({{s.recv(9) for s in all}}); ended.append(1); reader.join()\n"
    );
    let client = python(&script).option("--ulimit", "nofile=8192").option("--allow-net", &web);
    client.output().expect_code(0).expect_stdout("True\n{b'xy'}\n");
    serving.write(b"\n");
    serving.wait().expect_code(0);
}

#[test]
fn what_is_exposed_needs_a_name_that_can_be_looked_up() {
    needs_partitions!();
    for (name, why) in
        [(None, "--name"), (Some("Web"), "cannot be looked up"), (Some("host"), "cannot be looked up")]
    {
        let mut run = Septum::run("true").option("--expose", "80");
        if let Some(name) = name {
            run = run.option("--name", name);
        }
        run.output().expect_code(septum_tests::exit::USAGE).expect_stderr(why);
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    let port = taken.local_addr().expect("an address").port();
    // What the host listens at is none of the partition's, also if it exposes the same port.
    let run = Septum::run("true").option("--name", name("port")).option("--expose", port.to_string());
    run.output().expect_code(0);
}

#[test]
fn messages_go_both_ways_and_know_their_senders() {
    needs_partitions!();
    let web = name("udp");
    let script = "import socket\n\
                  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 5353)); print('listens', flush=True)\n\
                  ended = 0\n\
                  while ended < 2:\n\
                  \x20   data, peer = s.recvfrom(65536)\n\
                  \x20   ended += data == b'end'\n\
                  \x20   s.sendto(peer[0].encode() + b' ' + data, peer)\n";
    let serving = python(script)
        .option("--name", &web)
        .option("--expose", "5353/udp")
        .option("--expose", "5354/udp")
        .flag("-v")
        .spawn();
    serving.wait_for_stdout("listens");
    let rounds = if Lane::current() == Lane::Nested { 100 } else { 2000 };
    let script = format!(
        "import socket\n\
         def to(name, port):\n\
         \x20   s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(60); s.connect((name, port)); return s\n\
         one, two = to('{web}', 5353), to('{web}.septum.internal', 5353)\n\
         for data in [b'', b'x', bytes(range(256)) * 128, bytes(65000)]:\n\
         \x20   one.send(data); two.send(data + b'2')\n\
         \x20   print(one.recv(65536) == b'198.18.0.4 ' + data, two.recv(65536) == b'198.18.0.4 ' + data + b'2')\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(60)\n\
         s.sendto(b'who', ('{web}', 5353)); print(s.recvfrom(99))\n\
         for n in range({rounds}):\n\
         \x20   one.send(str(n).encode())\n\
         \x20   if one.recv(99).split()[1] != str(n).encode(): print(n)\n\
         # Nobody has the one port, the other is not exposed, and the last not allowed.\n\
         for port in [5354, 5355, 9]:\n\
         \x20   s = to('{web}', port); s.send(b'hello')\n\
         \x20   try: print(s.recv(99))\n\
         \x20   except ConnectionRefusedError: print('refused')\n\
         for s in (one, two): s.send(b'end'); print(s.recv(99))\n\
         # It has ended: the next message finds nobody.\n\
         import time\n\
         for _ in range(3000):\n\
         \x20   try: one.send(b'again'); one.settimeout(0.02); one.recv(99)\n\
         \x20   except TimeoutError: pass\n\
         \x20   except ConnectionRefusedError: print('gone'); break\n"
    );
    let client = python(&script).flag("-v").option("--allow-net", format!("{web}:5353/udp"));
    let client = client.option("--allow-net", format!("{web}:5354/udp"));
    let output = client.option("--allow-net", format!("{web}:5355/udp")).output();
    output.expect_code(0).expect_stdout(&format!(
        "{}(b'198.18.0.4 who', ('198.18.1.1', 5353))\nrefused\nrefused\nrefused\n{}gone\n",
        "True True\n".repeat(4),
        "b'198.18.0.4 end'\n".repeat(2)
    ));
    for line in [
        format!(
            "message to {web}:5355/udp refused; partition '{web}' does not expose that port; --expose 5355/udp"
        ),
        format!("{web}:9/udp refused; --allow-net {web}:9/udp would allow it"),
    ] {
        output.expect_stderr(&line);
    }
    serving.wait().expect_code(0);
}

#[test]
fn a_connection_that_is_broken_off_is_so_for_both() {
    needs_partitions!();
    let web = name("reset");
    let script = "import socket, struct\n\
                  s = socket.create_server(('0.0.0.0', 8000)); print('listens', flush=True)\n\
                  rude = lambda c: (c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)), c.close())\n\
                  c, _ = s.accept(); c.sendall(b'words'); rude(c)\n\
                  c, _ = s.accept(); c.sendall(b'words'); c.close()\n\
                  c, _ = s.accept(); print(c.recv(9))\n\
                  try: print(c.recv(9))\n\
                  except ConnectionResetError: print('reset')\n\
                  input()\n";
    let mut serving = server(&web, script);
    let script = format!(
        "{REACH}import struct\n\
         for _ in range(2):\n\
         \x20   s = reach('{web}'); print(s.recv(9))\n\
         \x20   try: print(s.recv(9))\n\
         \x20   except ConnectionResetError: print('reset')\n\
         s = reach('{web}'); s.sendall(b'words')\n\
         s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()\n"
    );
    let client = python(&script).option("--allow-net", &web).output();
    client.expect_code(0).expect_stdout("b'words'\nreset\nb'words'\nb''\n");
    serving.wait_for_stdout("reset");
    serving.write(b"\n");
    serving.wait().expect_code(0).expect_stdout("listens\nb'words'\nreset\n");
}
