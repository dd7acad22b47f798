"""nginx before the platform: TLS under a CA of the test's own, one port for everybody, and one that asks clients for certificates."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.x509 import DNSName

from demo.processes import Child, running, wait_until_up
from tests.certificates import SERVER, Certified, around_now, authority, make, name_of

BINARY = Path("/usr/sbin/nginx")
HEADER = "Client-Cert"
SECRET = "nginx-alone-knows-0123456789-abcdef"

# one process, all files in a folder of its own
WHOLE = """daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 128; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  large_client_header_buffers 4 32k;
  underscores_in_headers on;  # as other proxies do
  ssl_certificate {folder}/server.pem;
  ssl_certificate_key {folder}/server.key;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto https;
  proxy_set_header X-Forwarded-Host $http_host;
{servers}}}
"""
# proxy_set_header of the outer level counts only where the inner one has none
SERVER_LINES = """  server {{
    listen 127.0.0.1:{port} ssl;
    server_name localhost;
{verify}    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header {header} {value};
    }}
  }}
"""


class Authority:
    """The CA of a run, for servers and clients, in files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.times = folder, around_now()
        self.root = authority("Test CA", **self.times)
        self.file = folder / "ca.pem"
        self.file.write_bytes(self.root.pem)

    def client(self, name: str, certified: Certified | None = None) -> tuple[Certified, tuple[str, str]]:
        """A client's certificate, by this CA unless another is brought, and the files for `requests`."""
        made = certified or make(name_of(name), self.root, **self.times)
        return made, self.stored(name, made)

    def stored(self, name: str, made: Certified) -> tuple[str, str]:
        pem, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        pem.write_bytes(made.pem)
        key.write_bytes(made.key_pem)
        return str(pem), str(key)


@contextmanager
def nginx(own: Authority, upstream: int, plain: int, asking: int) -> Iterator[Path]:
    """Start it; `plain` and `asking` are its ports, `upstream` the platform's. Yields its log."""
    assert BINARY.exists(), "nginx is missing: install the Debian packages named in packages.txt"
    folder = own.folder
    own.stored("server", make(name_of("localhost"), own.root, names=[DNSName("localhost")], usage=[SERVER], **own.times))
    common = {"upstream": upstream, "header": HEADER}
    servers = SERVER_LINES.format(port=plain, verify="", value='""', **common) + SERVER_LINES.format(
        port=asking, verify="    ssl_verify_client optional_no_ca;\n", value=f'"{SECRET} $ssl_client_escaped_cert"', **common
    )
    file = folder / "nginx.conf"
    file.write_text(WHOLE.format(folder=folder, servers=servers))
    start = [str(BINARY), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]
    with running(Child("nginx", start, {"PATH": os.environ["PATH"]})) as child:
        # plain HTTP on a TLS port is answered with 400
        wait_until_up(child, f"http://127.0.0.1:{plain}/", "localhost", threading.Event())
        yield folder / "error.log"
