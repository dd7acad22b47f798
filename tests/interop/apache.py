"""Apache with mod_auth_openidc in a process of its own: one virtual host, and so one relying party, a port."""

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.processes import Child, running, wait_until_up

BINARY, MODULES = Path("/usr/sbin/apache2"), Path("/usr/lib/apache2/modules")
NEEDED = ("mpm_event", "authn_core", "authz_core", "authz_user", "dir", "auth_openidc")

HEAD = """ServerRoot {folder}
ServerName 127.0.0.1
PidFile {folder}/pid
ErrorLog {folder}/error.log
LogLevel warn auth_openidc:info
DocumentRoot {folder}/www
DirectoryIndex index.html
StartServers 1
ThreadsPerChild 8
MinSpareThreads 1
MaxSpareThreads 16
MaxRequestWorkers 16
"""
HOST = """
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
  OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
  OIDCRedirectURI /private/callback
  # cookies are shared over the ports of a host
  OIDCCookie session_{port}
  OIDCStateCookiePrefix state_{port}_
  OIDCCryptoPassphrase a-passphrase-of-this-test
  OIDCPKCEMethod S256
  OIDCScope "openid profile email"
  OIDCRemoteUserClaim sub
  OIDCInfoHook iat access_token access_token_expires id_token userinfo refresh_token session
{lines}
  <Location /private>
    AuthType openid-connect
    Require valid-user
  </Location>
</VirtualHost>
"""


@dataclass(frozen=True)
class RelyingParty:
    """One virtual host, named by its port; `lines` are the directives of mod_auth_openidc that make it what it is."""

    port: int
    lines: Mapping[str, str]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def private(self) -> str:
        return f"{self.address}/private/"

    @property
    def callback(self) -> str:
        return f"{self.address}/private/callback"


def _configuration(folder: Path, issuer: str, parties: Sequence[RelyingParty]) -> str:
    modules = "".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so\n" for name in NEEDED)
    user = "User www-data\nGroup www-data\n" if os.getuid() == 0 else ""
    hosts = (
        HOST.format(port=party.port, issuer=issuer, lines="".join(f"  {name} {value}\n" for name, value in party.lines.items())) for party in parties
    )
    return HEAD.format(folder=folder) + modules + user + "".join(hosts)


@contextmanager
def apache(issuer: str, parties: Sequence[RelyingParty]) -> Iterator[Path]:
    """Start Apache; yields its log, which says why mod_auth_openidc refused something."""
    assert (MODULES / "mod_auth_openidc.so").exists(), "mod_auth_openidc is missing: install the Debian packages named in packages.txt"
    with tempfile.TemporaryDirectory(prefix="apache-") as name:
        folder = Path(name)
        # its workers run as another user
        folder.chmod(0o755)
        page = folder / "www" / "private" / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text("inside")
        file = folder / "apache.conf"
        file.write_text(_configuration(folder, issuer, parties))
        with running(Child("apache", [str(BINARY), "-f", str(file), "-DFOREGROUND"], {"PATH": os.environ["PATH"]})) as child:
            wait_until_up(child, f"{parties[0].address}/", f"127.0.0.1:{parties[0].port}", threading.Event())
            yield folder / "error.log"
