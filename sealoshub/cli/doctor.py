"""`sealoshub doctor`: the whole handshake, step by step, with the repair for what fails."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sealoshub.cli import options, refusal, session
from sealoshub.cli.output import Format, Output
from sealoshub.credentials.program import HelperMissingError
from sealoshub.errors import AuthenticationError, SealosHubError
from sealoshub.imagehub.rights import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealoshub.credentials import StoredCredential
    from sealoshub.registry.client import Client
    from sealoshub.registry.diagnose import Step

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MARKS: Final = {"ok": "ok", "warning": "WARN", "failed": "FAIL", "skipped": "-"}
ORGANIZATIONS: Final = 20  # that are asked about
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@app.command()
def doctor(
    host: Annotated[
        str | None,
        typer.Argument(metavar="HOST", help="The hub. Default: the one you are logged in to."),
    ] = None,
    *,
    kubeconfig: options.KubeconfigOption = None,
    context: options.ContextOption = None,
    authfile: options.AuthfileOption = None,
    plain_http: options.PlainHttpOption = False,
    ca_file: options.CaFileOption = None,
    insecure: options.InsecureOption = False,
    trust_realm: options.TrustRealmOption = False,
    format_: options.OutputOption = Format.TEXT,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Look at every step between this machine and a hub, and say how to repair what fails.

    Nothing is changed and no secret is shown. Ends with the exit code of the first step that
    failed; a warning is no failure.

    Example: sealoshub doctor hub.example.com
    """
    from sealoshub.registry import diagnose  # noqa: PLC0415  # not for --help
    from sealoshub.registry.transport import tls_context  # noqa: PLC0415  # as above

    out = Output("doctor", format_, quiet=quiet, verbose=verbose)
    name = session.chosen_host(host)
    trust = tls_context(str(ca_file) if ca_file else None, insecure_skip_tls_verify=insecure)
    # First: one that hangs is waited for once.
    helpers = _helpers(name, authfile)
    stored, credential = _credential(name, authfile, helpers, out)
    tls = session.Tls(plain_http, ca_file, insecure, trust_realm)
    with session.registry_client(name, stored, tls, out, retry_seconds=5) as client:
        steps = list(diagnose.examine(client, trust, credential, plain_http=plain_http))
        steps.append(_quota(client, steps))
    steps += helpers
    steps.append(_cluster(kubeconfig, context, out))
    first = next((step.error for step in steps if step.error is not None), None)
    data: dict[str, object] = {"host": name, "steps": [_data(step) for step in steps]}
    text = "\n".join(line for step in steps for line in _lines(step))
    if first is None:
        out.result(text, data)
        return
    if format_ is Format.TEXT:
        out.result(text, data)
    raise _with_data(first, data)


def _credential(
    host: str, authfile: Path | None, helpers: list[Step], out: Output
) -> tuple[StoredCredential | None, Step]:
    """Find the stored credential and say where it lies."""
    from sealoshub.registry.diagnose import Step, failed  # noqa: PLC0415  # not for --help

    broken = next((step.error for step in helpers if step.error is not None), None)
    if broken is not None and broken.code != HelperMissingError.code:
        return None, failed("credential", broken)
    try:
        stored = session.required_for(host, None, options.credential_places(authfile), out)
    except SealosHubError as exc:
        return None, failed("credential", exc)
    kind = "a refresh token" if stored.is_refresh_token else "a password or token"
    account = stored.account or "the user of the token"
    detail = f"{kind} of {account} in {stored.location}, key {stored.key}"
    if _is_readable_by_others(stored.location):
        repair = f"chmod 600 {stored.location}"
        return stored, Step("credential", "warning", f"{detail}; others may read it", repair)
    return stored, Step("credential", "ok", detail)


def _helpers(host: str, authfile: Path | None) -> list[Step]:
    """Try the credential helpers that the files name, because every stock client will."""
    from sealoshub.credentials import checkup  # noqa: PLC0415  # runs programs, for this alone
    from sealoshub.registry.diagnose import Step, failed  # noqa: PLC0415  # not for --help

    try:
        tried = checkup.check(host, options.credential_places(authfile), checkup.SECONDS)
    except SealosHubError as exc:
        return [failed("helper", exc)]
    steps = []
    for each in tried:
        if each.error is None:
            detail = f"{each.helper}, {each.named_in}: {each.found}"
            steps.append(Step("helper", "ok", detail))
        elif each.server is None:
            # It is asked for other hosts only, so this hub does without it.
            detail = f"{each.error.message}; {each.named_in} wants it for other hosts"
            steps.append(Step("helper", "warning", detail, each.repair))
        else:
            detail = f"{each.error.message}; {each.named_in} wants it for {host}"
            steps.append(Step("helper", "failed", detail, each.repair, each.error))
    return steps or [Step("helper", "skipped", "the credential files name no credential helper")]


def _quota(client: Client, before: Sequence[Step]) -> Step:
    """Ask the hub whether there is room in the organizations that one may push to."""
    from sealoshub.registry import hubapi  # noqa: PLC0415  # not for --help
    from sealoshub.registry.diagnose import Step  # noqa: PLC0415  # as above

    if any(step.error is not None for step in before):
        return Step("quota", "skipped", "needs the steps before")
    full: list[str] = []
    try:
        roles = hubapi.organizations(client) or []
        mine = [name for name, role in roles if role != Role.VIEWER][:ORGANIZATIONS]
        for name in mine:
            found = hubapi.explain(client, "push", f"{name}/any", None, ())
            if found.full:
                full.append(found.reason)
    except SealosHubError as exc:
        return Step("quota", "skipped", f"the hub does not tell: {exc.message}")
    if full:
        return Step("quota", "warning", "; ".join(full), refusal.ROOM)
    if not mine:
        return Step("quota", "skipped", "there is no organization that you may push to")
    return Step("quota", "ok", f"there is room in {', '.join(mine)}")


def _is_readable_by_others(location: str) -> bool:
    try:
        return bool(Path(location).stat().st_mode & _OTHERS)
    except (OSError, ValueError):
        return False  # a helper, or the environment


def _cluster(kubeconfig: str | None, context: str | None, out: Output) -> Step:
    """Ask the API server of the kubeconfig who we are, and whether it knows the hub's kinds."""
    from sealoshub.registry.diagnose import Step  # noqa: PLC0415  # not for --help

    if kubeconfig is None and context is None and not session.has_kubeconfig():
        why = "there is no kubeconfig; only `apply` and Image resources need one"
        return Step("cluster", "skipped", why)
    try:
        with session.user_cluster(kubeconfig, context, out) as cluster:
            user = cluster.whoami().name
            if not cluster.supports("Image"):
                detail = f"{cluster.server} as {user}; it does not know the hub's resources"
                repair = "Choose the hub's cluster: --kubeconfig or --context."
                return Step("cluster", "warning", detail, repair)
            return Step("cluster", "ok", f"{cluster.server} as {user}")
    except AuthenticationError as exc:
        repair = exc.hint or "Get a new credential where this one came from."
        return Step("cluster", "failed", exc.message, repair, exc)
    except SealosHubError as exc:
        repair = exc.hint or "Is it running, and can it be reached from here? Try kubectl version."
        return Step("cluster", "failed", exc.message, repair, exc)


def _with_data(error: SealosHubError, data: dict[str, object]) -> SealosHubError:
    error.data = data
    return error


def _data(step: Step) -> dict[str, object]:
    return {
        "name": step.name,
        "status": step.status,
        "detail": step.detail,
        "repair": step.repair or None,
        "code": step.error.code if step.error is not None else None,
    }


def _lines(step: Step) -> list[str]:
    lines = [f"{_MARKS[step.status]:<5}{step.name + ':':<12}{step.detail}"]
    if step.repair:
        lines.append(f"{'':<17}{step.repair}")
    return lines
