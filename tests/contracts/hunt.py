"""Plants each bug of `mutants` and `adapter_mutants` and lists what noticed it: `make mutants`."""

from __future__ import annotations

import json
import sys

import click

from tests.contracts.adapter_hunt import hunt_adapter
from tests.contracts.attacks import ACCOMPLICE, ATTEMPTS, OTHER, POOL, TOKEN
from tests.contracts.compiler import STAND_INS, compile_sources, executor_sources, read_sources
from tests.contracts.mutants import MUTANTS, NUMBERS, PLANT_SLOT, planted_sources
from tests.contracts.replica_node import running_replica
from tests.contracts.security import attempts as scripted
from tests.contracts.site import WETH, Node, Site


def hunt(node: Node) -> dict[str, list[str]]:
    """The attempts that notice each planted bug, by its name.

    Raises:
        RuntimeError: an attempt does not get its answer from the executor as it is, so it can prove nothing.
    """
    stage = compile_sources(read_sources(STAND_INS), quick=True)["Stage"]
    for address in (POOL, OTHER, TOKEN, ACCOMPLICE):
        node.rpc("anvil_setCode", address, "0x" + stage.runtime.hex())
    scripted.prepare_node(node)
    sound = Site(node, compile_sources(executor_sources())["Executor"].init_code)
    sound.give(WETH, sound.executor, 1)
    weak = Site(node, compile_sources(planted_sources())["Executor"].init_code)
    killers: dict[str, list[str]] = {name: [] for name in MUTANTS}
    for attempt in [*ATTEMPTS, *scripted.ATTEMPTS]:
        for site in (sound, weak):
            with site.undone():
                if attempt.act(site) != attempt.answer:
                    raise RuntimeError(f"{attempt.act.__name__} is not answered with {attempt.answer}.")
        for name in attempt.mutants:
            with weak.undone():
                weak.rpc("anvil_setStorageAt", weak.executor, PLANT_SLOT, f"{NUMBERS[name]:#066x}")
                if attempt.act(weak) != attempt.answer:
                    killers[name].append(attempt.act.__name__)
    return killers


@click.command()
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on stdout.")
def main(as_json: bool) -> None:
    """Plant one bug after the other in executor and adapter, and list what notices. Fails if one survives."""
    from rich.console import Console
    from rich.table import Table

    with running_replica() as node:
        killers = hunt(node) | hunt_adapter(node)
    table = Table(title="Planted bugs")
    table.add_column("bug")
    table.add_column("killed by")
    for name, attempts in killers.items():
        table.add_row(name, ", ".join(attempts) or "[red]survived[/red]")
    Console(stderr=True, width=110).print(table)
    survived = sum(not attempts for attempts in killers.values())
    if as_json:
        sys.stdout.write(json.dumps({"mutants": len(killers), "survived": survived}) + "\n")
    if survived:
        raise SystemExit(f"{survived} of {len(killers)} planted bugs were not noticed.")


if __name__ == "__main__":
    main()
