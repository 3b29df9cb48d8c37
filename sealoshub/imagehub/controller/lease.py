"""Which of several controllers works: the one that holds a Lease (`coordination.k8s.io/v1`).

As client-go's leader election: a holder that cannot renew gives up before the others may take over,
and nobody compares clocks of two machines, only how long a lease was seen without a change.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from sealoshub.errors import NotFoundError, SealosHubError, UnavailableError
from sealoshub.kube import ConflictError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from sealoshub.kube import Object
    from sealoshub.kube.cluster import Cluster

LEASE_NAME: Final = "imagehub-controller"

_log = logging.getLogger("sealoshub.controller")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds, as client-go's defaults.

    Args:
        lease: Others wait so long after the last renewal they saw.
        renew: The holder gives up after so long without a successful renewal; less than *lease*.
        retry: Between two attempts.
    """

    lease: float = 15.0
    renew: float = 10.0
    retry: float = 2.0


class Leader:
    """One candidate. `acquire`, then `hold` in a thread, then `release`.

    It is a class because what was seen of the lease, and when, decides whether it may be taken.

    Args:
        cluster: Where the lease is.
        namespace: Its namespace.
        identity: Who this candidate is; different from every other.
        timing: Seconds.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        identity: str,
        *,
        timing: Timing = Timing(),  # immutable
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._seen: tuple[str, str] = ("", "")  # holder and renewTime
        self._seen_at = clock()

    def acquire(self, stop: threading.Event) -> bool:
        """Wait until the lease is ours; False if *stop* came first."""
        while not stop.is_set():
            if self._attempt():
                _log.info("%s holds the lease", self._identity)
                return True
            stop.wait(self._timing.retry)
        return False

    def hold(self, stop: threading.Event) -> None:
        """Renew until *stop*.

        Raises:
            UnavailableError: The lease could not be renewed in time, or somebody else has it.
        """
        renewed = self._clock()
        while not stop.wait(self._timing.retry):
            if self._attempt():
                renewed = self._clock()
            elif self._clock() - renewed > self._timing.renew:
                raise UnavailableError(f"{self._identity} lost the lease of the controller")

    def release(self) -> None:
        """Give the lease back, so that another need not wait for its end."""
        try:
            lease = self._cluster.get("Lease", LEASE_NAME, self._namespace)
            if lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"]["holderIdentity"] = ""
                self._cluster.replace(lease)
        except SealosHubError as exc:
            _log.info("the lease stays until it ends: %s", exc.message)

    def _attempt(self) -> bool:
        try:
            return self._take(self._cluster.get("Lease", LEASE_NAME, self._namespace))
        except NotFoundError:
            return self._write(self._cluster.create, {})
        except SealosHubError as exc:
            _log.warning("%s", exc.message)
            return False

    def _take(self, lease: Object) -> bool:
        spec = lease.get("spec") or {}
        holder = str(spec.get("holderIdentity") or "")
        seen = (holder, str(spec.get("renewTime") or ""))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        if holder not in {"", self._identity}:
            seconds = float(spec.get("leaseDurationSeconds") or self._timing.lease)
            if self._clock() - self._seen_at <= seconds:
                return False
        return self._write(self._cluster.replace, lease)

    def _write(self, write: Callable[[Object], Object], old: Object) -> bool:
        spec = old.get("spec") or {}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = spec.get("holderIdentity") == self._identity
        transitions = int(spec.get("leaseTransitions") or 0)
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": old.get("metadata") or {"name": LEASE_NAME, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                # Whole seconds are all that a Lease has.
                "leaseDurationSeconds": max(1, round(self._timing.lease)),
                "acquireTime": spec.get("acquireTime", now) if ours else now,
                "renewTime": now,
                "leaseTransitions": transitions if ours or not spec else transitions + 1,
            },
        }
        try:
            write(lease)
        except ConflictError:
            return False  # another candidate was faster
        except SealosHubError as exc:
            _log.warning("%s", exc.message)
            return False
        return True
