"""The error tree. Every failure that a user can meet is one of these.

    SealosHubError                       1   failed
    ├── UsageError                       2   the command line is wrong
    ├── AuthenticationError              3   not logged in, or the credential was refused (401)
    ├── DeniedError                      4   known, but not allowed (403, RBAC says no)
    ├── InvalidInputError                5   a source, file, name or resource is wrong or missing
    │   └── NotFoundError                5   it does not exist
    ├── UnavailableError                 6   network or server gave up after the retries
    ├── ContentRefusedError              7   the registry refused the content
    └── ResourceNotAppliedError          8   pushed, but the Image resource was not applied

The number is the exit code of the program (`docs/reference/exit-codes.md`).
The module that owns a third-party library translates its exceptions into this tree.
"""

from __future__ import annotations

from typing import ClassVar


class EndedError(KeyboardInterrupt):
    """A signal asks the program to end: whatever gives way to Ctrl-C gives way to this."""


class SealosHubError(Exception):
    """A failure with a sentence for the user and, where there is one, the next step.

    It is a class of its own so that one boundary (`sealoshub.cli.main`) can turn every expected
    failure into a message and an exit code, while anything else is a defect.

    Args:
        message: What failed, as whom, what was asked. Never contains a secret.
        hint: What the user can do next, as a sentence; None if there is nothing to suggest.
        code: A stable word for machines. Default: the class attribute `code`; registries' and
            Kubernetes' own codes (`DENIED`, `Conflict`) are passed on as they are.

    Attributes:
        data: What was found out or done all the same, for the JSON answer; set after the fact.
    """

    exit_code: ClassVar[int] = 1
    code: str = "FAILED"
    data: dict[str, object] | None = None

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class UsageError(SealosHubError):
    """The command line asks for something that does not make sense."""

    exit_code = 2
    code = "USAGE"


class AuthenticationError(SealosHubError):
    """No usable credential, or the server refused the one that was sent (401)."""

    exit_code = 3
    code = "UNAUTHORIZED"


class DeniedError(SealosHubError):
    """The server knows who is asking and says no (403)."""

    exit_code = 4
    code = "DENIED"


class InvalidInputError(SealosHubError):
    """A source, file, reference or resource is missing, unreadable or malformed."""

    exit_code = 5
    code = "INVALID"


class NotFoundError(InvalidInputError):
    """What was named does not exist."""

    code = "NOT_FOUND"


class UnavailableError(SealosHubError):
    """The network or a server did not answer, or not sensibly, after the retries."""

    exit_code = 6
    code = "UNAVAILABLE"


class ContentRefusedError(SealosHubError):
    """The registry refused the content itself (digest, size, manifest)."""

    exit_code = 7
    code = "REFUSED"


class ResourceNotAppliedError(SealosHubError):
    """The content is in the registry, but its Image resource is not in the cluster."""

    exit_code = 8
    code = "NOT_APPLIED"
