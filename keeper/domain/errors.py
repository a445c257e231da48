"""Errors that tell the operator what is wrong and what to do next."""

from __future__ import annotations


class OrionError(Exception):
    """Base of every error that this project raises on purpose."""


class InputError(OrionError, ValueError):
    """A value from outside (file, command line, chain, relay) that cannot be used.

    Args:
        field: name of the field as its writer knows it, for example ``relay.url``.
        value: what was found there; never a secret.
        remedy: what to do, as an instruction.
    """

    def __init__(self, field: str, value: object, remedy: str) -> None:
        self.field = field
        self.value = value
        self.remedy = remedy
        shown = repr(value)
        if len(shown) > 200:
            shown = shown[:197] + "..."
        super().__init__(f"{field}: {shown} cannot be used. {remedy}")


class ComponentError(OrionError):
    """A part the keeper depends on (node, database, bus, relay) is gone or does not make sense.

    Args:
        component: for example ``database`` or ``relay flashbots``.
        problem: what was observed.
        remedy: what to do, as an instruction.
    """

    def __init__(self, component: str, problem: str, remedy: str) -> None:
        self.component = component
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{component}: {problem}. {remedy}")


class SigningRefused(OrionError):
    """The signer was asked for a signature that the current mode does not allow."""
