#!/usr/bin/env python3
"""A web server that stores what gateways upload by HTTP PUT. For trials on one machine: it has no TLS and no login.

    receive.py FOLDER [--port 8080]

    [capture]
    upload_url = "http://127.0.0.1:8080/{gateway}/{stream}/{file}"
"""
import argparse
import http.server
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

MAX_BYTES = 64 << 20


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = 60

    def do_PUT(self):
        length = self.headers.get('Content-Length', '')
        if not length.isdigit() or int(length) > MAX_BYTES:
            return self.answer(411 if not length else 413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return None
        names = [name for name in unquote(urlsplit(self.path).path).split('/') if name]
        if not names or any(name.startswith('.') or '\0' in name for name in names):
            return self.answer(400)
        path = self.server.folder.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f'.{path.name}.part')
        with open(part, 'wb') as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())  # the gateway deletes its copy once this is answered
        part.replace(path)
        return self.answer(201)

    def answer(self, status):
        self.send_response(status)
        self.send_header('Content-Length', '0')
        if status != 201:
            self.send_header('Connection', 'close')
            self.close_connection = True
        self.end_headers()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--port', type=int, default=8080, help='0: any free one')
    a = parser.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True)
    with http.server.ThreadingHTTPServer(('127.0.0.1', a.port), Handler) as server:
        server.folder = a.folder
        print(f'http://127.0.0.1:{server.server_port}', flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == '__main__':
    main()
