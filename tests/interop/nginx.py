"""nginx before the platform: TLS under a CA of the test's own, one port for everybody, and one that asks clients for certificates.

For sign-ins by the browser's certificate: one port, two server names, of which one asks.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from cryptography.x509 import DNSName, GeneralName, IPAddress

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
LOCATION = """    location {where} {{
      proxy_pass http://127.0.0.1:{upstream};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header {header} {value};
    }}
"""
SERVER_LINES = """  server {{
    listen 127.0.0.1:{port} ssl;
    server_name {name};
{more}  }}
"""
SHOWN, NOTHING = f'"{SECRET} $ssl_client_escaped_cert"', '""'
ASKS = "    ssl_verify_client optional_no_ca;\n"


def _server(port: int, upstream: int, name: str = "localhost", asks: str = "", also: str = "") -> str:
    """One server of the configuration; `asks` are its lines on certificates, `also` one more location."""
    places = ["/", *([also] if also else [])]
    value = SHOWN if asks else NOTHING
    lines = "".join(LOCATION.format(where=where, upstream=upstream, header=HEADER, value=value) for where in places)
    return SERVER_LINES.format(port=port, name=name, more=asks + lines)


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
    with _started(own, _server(plain, upstream) + _server(asking, upstream, asks=ASKS), plain, ["localhost"]) as log:
        yield log


@contextmanager
def nginx_of_keys(own: Authority, upstream: int, port: int, names: tuple[str, str], roots: Path) -> Iterator[Path]:
    """The recipe of docs/conformance.md: on one port the issuer's name, and a second one that asks for certificates of these roots."""
    asks = f"    ssl_client_certificate {roots};\n{ASKS}    error_page 495 = @anyway;\n"
    # what comes without a name (an address in its place) is for the second
    servers = _server(port, upstream, names[1], asks, "@anyway") + _server(port, upstream, names[0])
    with _started(own, servers, port, list(names)) as log:
        yield log


@contextmanager
def _started(own: Authority, servers: str, port: int, names: list[str]) -> Iterator[Path]:
    assert BINARY.exists(), "nginx is missing: install the Debian packages named in packages.txt"
    folder = own.folder
    certified: list[GeneralName] = [IPAddress(ip_address(name)) if name[0].isdigit() else DNSName(name) for name in names]
    own.stored("server", make(name_of("localhost"), own.root, names=certified, usage=[SERVER], **own.times))
    file = folder / "nginx.conf"
    file.write_text(WHOLE.format(folder=folder, servers=servers))
    start = [str(BINARY), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]
    with running(Child("nginx", start, {"PATH": os.environ["PATH"]})) as child:
        # plain HTTP on a TLS port is answered with 400
        wait_until_up(child, f"http://127.0.0.1:{port}/", "localhost", threading.Event())
        yield folder / "error.log"
