"""The user names and groups of ServiceAccounts, as `pkg/serviceaccount` of Kubernetes has them."""

from __future__ import annotations

from typing import Final

SERVICE_ACCOUNT: Final = "system:serviceaccount:"  # begin of such a user name


def service_account(user: str) -> tuple[str, str]:
    """Return namespace and name of a ServiceAccount's user name; two empty strings for others."""
    if not user.startswith(SERVICE_ACCOUNT):
        return "", ""
    namespace, _, name = user.removeprefix(SERVICE_ACCOUNT).partition(":")
    return (namespace, name) if namespace and name and ":" not in name else ("", "")


def user_name(namespace: str, name: str) -> str:
    """Return the user that the ServiceAccount *name* of *namespace* is."""
    return f"{SERVICE_ACCOUNT}{namespace}:{name}"


def account_groups(namespace: str) -> tuple[str, str]:
    """Return the groups that every ServiceAccount of *namespace* is in for being one."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"
