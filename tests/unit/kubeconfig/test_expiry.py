"""Claims about `sealoshub.kube.expiry`."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealoshub.kube import expiry

if TYPE_CHECKING:
    from tests.unit.kubeconfig.conftest import Desk


def test_token_end(desk: Desk) -> None:
    """The end of a JWT is its `exp`; one without has none."""
    assert expiry.of_token(desk.jwt(60)) == desk.now + timedelta(seconds=60)
    assert expiry.of_token(desk.jwt(None)) is None


@pytest.mark.parametrize("days", [1, 3650, 365 * 30])
def test_certificate_end(desk: Desk, days: int) -> None:
    """NotAfter is read in both of its forms (UTCTime until 2049, GeneralizedTime after)."""
    end = timedelta(days=days)
    assert expiry.of_certificate(desk.pair(end).certificate.encode()) == desk.now + end


@given(st.text())
def test_any_text_is_harmless(text: str) -> None:
    """No text makes the readers raise."""
    expiry.of_token(text)
    expiry.of_token(f"a.{text}.b")
    pem = f"-----BEGIN CERTIFICATE-----{text}-----END CERTIFICATE-----"
    expiry.of_certificate(pem.encode("utf-8", "replace"))


@given(st.binary())
def test_any_der_is_harmless(der: bytes) -> None:
    """No certificate, however broken, makes the reader raise."""
    body = base64.b64encode(der)
    expiry.of_certificate(b"-----BEGIN CERTIFICATE-----" + body + b"-----END CERTIFICATE-----")
