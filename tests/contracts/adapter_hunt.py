"""Plants each bug of `adapter_mutants` and lists what noticed it; a part of `make mutants`."""

from __future__ import annotations

from tests.conftest import RunningReplica
from tests.contracts.adapter_attacks import ATTEMPTS
from tests.contracts.adapter_mutants import MUTANTS, NUMBERS, PREFIX, planted_sources
from tests.contracts.adapter_site import AdapterSite, compiled_adapter
from tests.contracts.adapter_stage import (
    admit,
    prepare_chain,
)
from tests.contracts.compiler import compile_sources
from tests.contracts.mutants import PLANT_SLOT


def adapters(node: RunningReplica) -> tuple[AdapterSite, AdapterSite]:
    """The adapter, and one with every bug of `MUTANTS` in it, all asleep; the treasury has admitted both."""
    sound = AdapterSite(node, compiled_adapter())
    weak = AdapterSite(node, compile_sources(planted_sources(), quick=True)["Adapter"])
    market = prepare_chain(sound)
    for site in (sound, weak):
        admit(site, market)
    return sound, weak


def wake(weak: AdapterSite, name: str) -> None:
    weak.rpc("anvil_setStorageAt", weak.adapter, PLANT_SLOT, f"{NUMBERS[name]:#066x}")


def hunt_adapter(node: RunningReplica) -> dict[str, list[str]]:
    """The attempts that notice each planted bug, by its name.

    Raises:
        RuntimeError: an attempt does not get its answer from the adapter as it is, so it can prove nothing.
    """
    sound, weak = adapters(node)
    killers: dict[str, list[str]] = {PREFIX + name: [] for name in MUTANTS}
    for attempt in ATTEMPTS:
        for site in (sound, weak):
            with site.undone():
                if attempt.act(site) != attempt.answer:
                    raise RuntimeError(f"{attempt.act.__name__} is not answered with {attempt.answer}.")
        for name in attempt.mutants:
            with weak.undone():
                wake(weak, name)
                if attempt.act(weak) != attempt.answer:
                    killers[PREFIX + name].append(attempt.act.__name__)
    return killers
