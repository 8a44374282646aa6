# Servers and clients in one process: socketpair, socketserver, asyncio over TCP and Unix, http.server and urllib.
import asyncio
import http.server
import os
import socket
import socketserver
import threading
import urllib.request

print([found[4] for found in socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)])

one, other = socket.socketpair()
one.sendall(b"x" * 100_000)
one.close()
print(len(other.makefile("rb").read()))


def serving(server):
    """Runs a server in a thread for as long as the block lasts."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    return thread


class Upper(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Upper) as server:
    thread = serving(server)
    with socket.create_connection(server.server_address) as client:
        client.sendall(b"hello\nworld\n")
        client.shutdown(socket.SHUT_WR)
        print(client.makefile().read())
    server.shutdown()
    thread.join()


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()
    writer.close()


async def ask(connection, text):
    reader, writer = await connection
    writer.write(text)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def both():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    asked = (ask(asyncio.open_connection(*address), b"client %d" % i * 100) for i in range(50))
    print(sum(map(len, await asyncio.gather(*asked))))
    server.close()
    path = f"/tmp/loopback.{os.getpid()}"
    server = await asyncio.start_unix_server(echo, path)
    print(await ask(asyncio.open_unix_connection(path), b"unix"))
    server.close()
    os.unlink(path)
    print(await asyncio.get_running_loop().run_in_executor(None, lambda: "from a thread"))


asyncio.run(both())


class Pages(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(f"you asked for {self.path}".encode())

    def do_POST(self):
        self.answer(str(len(self.rfile.read(int(self.headers["Content-Length"])))).encode())

    def log_message(self, *_):
        pass


with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
    thread = serving(server)
    url = f"http://127.0.0.1:{server.server_port}/page"
    print(urllib.request.urlopen(url).read())
    print(urllib.request.urlopen(url, data=b"d" * 3_000_000).read())
    server.shutdown()
    thread.join()

letters = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
letters.bind(("127.0.0.1", 0))
letters.settimeout(0.05)
try:
    letters.recv(1)
except TimeoutError:
    print("nothing came")
