"""An authority for tests and what it certifies, made with openssl."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
_AUTHORITY = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")


class Authority:
    """A certificate authority whose own certificate is `path`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.path = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        self._folder = folder
        self._request(self._key, self.path, name, _AUTHORITY, ())

    def issue(self, name: str, *addresses: str) -> tuple[Path, Path]:
        """A certificate for `addresses` (``IP:127.0.0.1``, ``DNS:localhost``) and its key."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        extensions = (f"subjectAltName={','.join(addresses)}", "basicConstraints=critical,CA:FALSE")
        self._request(key, certificate, name, extensions, ("-CA", str(self.path), "-CAkey", str(self._key)))
        return certificate, key

    def _request(self, key: Path, out: Path, name: str, extensions: Sequence[str], signer: Sequence[str]) -> None:
        added = [word for extension in extensions for word in ("-addext", extension)]
        files = ("-keyout", str(key), "-out", str(out))
        command = ("openssl", "req", "-x509", *_KEY, "-subj", f"/CN={name}", *added, *signer, *files)
        subprocess.run(command, check=True, capture_output=True)
