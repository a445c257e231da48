"""The cast of the attacks: puppets that play by a script, poisoned tokens, an operator whose key was stolen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from eth_abi.abi import encode
from eth_utils import function_signature_to_4byte_selector as selector
from eth_utils import to_checksum_address

from keeper.domain.units import Address
from tests.contracts.compiler import Compiled, compile_sources, read_sources
from tests.contracts.site import OPERATOR, STRANGER, Site, calldata

HOSTILE = Path(__file__).with_name("solidity")
SCRIPT = "(uint256,uint8,uint8,bool,address,bytes)[]"


def _address(byte: int) -> Address:
    return Address(to_checksum_address(f"0x{'61' * 19}{byte:02x}"))


FIRST, SECOND, ACCOMPLICE, DELEGATE = (_address(byte) for byte in range(1, 5))
PUPPETS = (FIRST, SECOND, ACCOMPLICE)
POISONED = _address(0x10)
AUDITOR = _address(0x20)


class Kind(IntEnum):
    """What a line does: `solidity/Puppet.sol`, in its order."""

    CALL = 0
    ANSWER = 1
    ACCOMPLICE = 2
    PULL = 3
    MANNERS = 4
    SILENT = 5


class Change(IntEnum):
    """How the continuation of a callback differs from the one given: `solidity/Puppet.sol`, in its order."""

    NONE = 0
    LAST_BYTE = 1
    FIRST_BYTE = 2
    LONGER = 3
    SHORTER = 4
    EMPTY = 5
    TAIL = 6


class Poison(IntEnum):
    """What is wrong with a token: `solidity/PoisonedToken.sol`, in its order."""

    NONE = 0
    FEE = 1
    REBASING = 2
    FALSE = 3
    NOTHING = 4
    PAUSING = 5
    BLOCKLIST = 6
    HOOKS = 7
    LYING = 8
    SALMONELLA = 9


@dataclass(frozen=True)
class Line:
    """One line of a puppet's script; ``touch`` is the number of the call that it answers to."""

    touch: int
    kind: Kind
    target: Address
    data: bytes = b""
    change: Change = Change.NONE
    fatal: bool = False

    def as_tuple(self) -> tuple[int, int, int, bool, str, bytes]:
        return (self.touch, self.kind, self.change, self.fatal, self.target, self.data)


NOBODY = Address("0x" + "00" * 20)


def call(touch: int, target: Address, data: bytes, *, fatal: bool = False) -> Line:
    return Line(touch, Kind.CALL, target, data, fatal=fatal)


def answer(touch: int, form: Form, executor: Address, change: Change = Change.NONE, *, fatal: bool = True) -> Line:
    """Call back as ``form`` does; faithfully unless ``change`` says otherwise."""
    return Line(touch, Kind.ANSWER, NOBODY, form.head(executor), change, fatal)


def accomplice(touch: int, form: Form, executor: Address) -> Line:
    return Line(touch, Kind.ACCOMPLICE, ACCOMPLICE, form.head(executor), fatal=True)


def pull(touch: int, token: Address) -> Line:
    return Line(touch, Kind.PULL, NOBODY, encode(["address"], [token]))


def silent(touch: int) -> Line:
    return Line(touch, Kind.SILENT, NOBODY)


def mannered(touch: int) -> Line:
    """Behave now: what follows comes after that."""
    return Line(touch, Kind.MANNERS, NOBODY, fatal=True)


@dataclass(frozen=True)
class Form:
    """A callback: its signature, and its arguments before the length of the `bytes`.

    ``words`` are numbers; None stands for the executor, which honest pools and lenders name as the initiator.
    """

    signature: str
    words: tuple[int | None, ...]

    def head(self, executor: Address) -> bytes:
        numbers = (int(executor, 16) if word is None else word for word in self.words)
        first = selector(self.signature) if self.signature else bytes(4)
        return first + b"".join(number.to_bytes(32, "big", signed=False) for number in numbers)

    def of_another(self) -> Form:
        """The same, naming another initiator."""
        return Form(self.signature, tuple(0xBAD if word is None else word for word in self.words))

    def whole(self, executor: Address, continuation: bytes) -> bytes:
        padding = bytes(-len(continuation) % 32)
        return self.head(executor) + len(continuation).to_bytes(32, "big") + continuation + padding


MINUS = 2**256
OWED = 7
"""Raw units that a V3 puppet asks for."""
FEE = 5


def deploy_cast(site: Site) -> None:
    """Put puppets and the poisoned token at their addresses, with manners."""
    contracts = compile_sources(read_sources(HOSTILE), quick=True)
    put(site, DELEGATE, contracts["Puppet"])
    put(site, AUDITOR, contracts["Auditor"])
    for puppet in PUPPETS:
        put(site, puppet, contracts["Puppet"])
    teach(site, *PUPPETS)
    put(site, POISONED, contracts["PoisonedToken"])


def put(site: Site, address: Address, contract: Compiled) -> None:
    site.rpc("anvil_setCode", address, "0x" + contract.runtime.hex())


def teach(site: Site, *puppets: Address) -> None:
    """Let puppets behave, where their script says nothing else, like every pool and lender that is called back."""
    from tests.contracts.security.forms import MANNERS

    lessons = [
        calldata(
            "teach(bytes4,bytes,uint256,bool)",
            selector(signature),
            form.head(site.executor),
            debt,
            form.signature.startswith("uniswapV3SwapCallback"),
        )
        for signature, (form, debt) in MANNERS.items()
    ]
    at_once(site, [(puppet, lesson) for puppet in puppets for lesson in lessons])


def delegate(site: Site) -> None:
    """EIP-7702: the operator's account runs a puppet's code from now on."""
    site.rpc("anvil_setCode", OPERATOR, "0xef0100" + DELEGATE[2:].lower())
    teach(site, OPERATOR)


@dataclass(frozen=True)
class Scene:
    """What a puppet does until the next one: ``told`` answers static calls, as for a balance, ``answer`` others."""

    puppet: Address
    lines: Sequence[Line]
    told: int = 10**30
    answer: int = 1


def load(site: Site, *scenes: Scene) -> None:
    signature = f"load({SCRIPT},uint256,uint256,bool)"
    calls = []
    for scene in scenes:
        script = [line.as_tuple() for line in scene.lines]
        calls.append((scene.puppet, calldata(signature, script, scene.answer, scene.told, False)))
    at_once(site, calls)


def at_once(site: Site, calls: Iterable[tuple[Address, bytes]]) -> None:
    """In one transaction: mining takes longer than all else."""
    site.must(STRANGER, ACCOMPLICE, act([call(0, target, data) for target, data in calls]))


def act(lines: Sequence[Line]) -> bytes:
    return calldata(f"act({SCRIPT})", [line.as_tuple() for line in lines])
