"""Files that are replaced while the server runs."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING

from cryptography import x509

from tests.unit.authserver.pki import Authority
from tests.unit.authserver.program import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.unit.authserver.conftest import Serve
    from tests.unit.authserver.running import RunningServer


def serial(server: RunningServer, context: ssl.SSLContext) -> int:
    """Return the serial number of the certificate that the server shows."""
    with (
        socket.create_connection(("localhost", server.port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number


def test_a_new_certificate_is_shown_without_a_restart(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """To new connections; one that is open goes on, and what cannot be used changes nothing."""
    monkeypatch.setattr("sealoshub.authserver.server.RELOAD_SECONDS", 0.02)
    authority = Authority()
    first, second, third = (authority.issue("server", host="localhost") for _ in range(3))
    first.write(tmp_path, "tls")
    ca, _ = authority.own.write(tmp_path, "ca")
    server = serve(wait=False, tls={"certificate": "tls.crt", "key": "tls.key"})
    context = ssl.create_default_context(cafile=ca)
    assert serial(server, context) == first.certificate.serial_number
    kept = http.client.HTTPSConnection("localhost", server.port, timeout=60, context=context)
    kept.request("GET", "/healthz")
    assert kept.getresponse().read() == b"ok"

    second.write(tmp_path, "tls")
    wait_for(lambda: serial(server, context) == second.certificate.serial_number, "the certificate")
    kept.request("GET", "/healthz")
    assert kept.getresponse().read() == b"ok"
    kept.close()

    # Half of a pair, as it looks between two writes, then garbage, then a whole pair again.
    (tmp_path / "tls.key").write_bytes(third.key_pem())
    wait_for(lambda: "old tls stay in use" in caplog.text, "the fault to be said")
    assert serial(server, context) == second.certificate.serial_number
    (tmp_path / "tls.crt").write_text("garbage")
    assert serial(server, context) == second.certificate.serial_number
    third.write(tmp_path, "tls")
    wait_for(lambda: serial(server, context) == third.certificate.serial_number, "the third")
