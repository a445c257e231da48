"""In paper mode nothing that is signed can leave the process, and no other part of the keeper can sign."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import keeper
from keeper.config import Mode
from keeper.domain.errors import SigningRefused
from keeper.domain.opportunity import Fate
from keeper.execution.signer import SignedPlan
from tests.execution.site import chain, desk, listening, relay_answer

KEEPER = Path(keeper.__file__).parent
SENDING = {
    "eth_sendRawTransaction",
    "eth_sendTransaction",
    "eth_sendBundle",
    "eth_sendPrivateTransaction",
    "mev_sendBundle",
}


async def run_through(mode: Mode, tmp_path: Path) -> tuple[list[str], list[str], list[str], list[str]]:
    """Prepare, sign and send three opportunities.

    Returns:
        methods asked of the node, methods asked of the relay, transactions that the relay got, reasons of the fates.
    """
    methods: list[str] = []
    async with chain(tmp_path) as site, listening(relay_answer) as relay:
        passed_on = site.node.request

        async def recorded(method: str, *params: object) -> object:
            methods.append(method)
            return await passed_on(method, *params)

        found = await site.opportunities([1, 2, 3])
        head = await site.head()
        site.node.request = recorded  # type: ignore[method-assign]
        async with desk(site.node, site.url, [relay.url], tmp_path, mode=mode) as trader:
            plans, _ = await trader.execution.prepare(found, head)
            assert len(plans) == 3
            signed, refused = await trader.execution.sign(plans)
            sent = await trader.execution.send(signed)
            await site.mine()
            trades, settled = await trader.execution.settle(await site.event())
            if mode is Mode.PAPER:
                assert (signed, sent, trades, settled) == ([], [], [], [])
                assert {fate.fate for fate in refused} == {Fate.SIMULATED}
                assert all(int(fate.details["net"]) > 0 for fate in refused)
                # and whoever goes around the execution meets the same signer
                with pytest.raises(SigningRefused):
                    await trader.signer.sign([(plan, index) for index, plan in enumerate(plans)])
                assert trader.signer._account is None
        pending = await site.rpc("txpool_status")
        assert pending == {"pending": "0x0", "queued": "0x0"}
    bodies = [json.loads(body) for _, body in relay.requests]
    return (
        methods,
        [body["method"] for body in bodies],
        [tx for body in bodies for tx in body["params"][0]["txs"]],
        [fate.reason for fate in refused],
    )


async def test_paper_mode_sends_nothing(tmp_path: Path) -> None:
    node, relay, transactions, reasons = await run_through(Mode.PAPER, tmp_path)
    assert not SENDING & set(node)
    assert relay == []
    assert transactions == []
    assert reasons == ["paper_mode"] * 3


async def test_the_same_path_sends_when_it_may(tmp_path: Path) -> None:
    """So that the test above cannot pass by a path that never sends."""
    _, relay, transactions, reasons = await run_through(Mode.REPLICA, tmp_path)
    assert relay == ["eth_sendBundle"] * 3
    assert len(set(transactions)) == 3
    assert reasons == ["sent"] * 3


async def test_the_guard_is_in_the_signer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: a signer that forgets its mode and finds a key. The recordings above would show what it sends."""
    from eth_account import Account

    from keeper.execution.signer import DEVELOPMENT_KEY, Signer

    monkeypatch.setattr(Signer, "_permitted_account", lambda _: Account.from_key(DEVELOPMENT_KEY))
    with pytest.raises(AssertionError):
        await run_through(Mode.PAPER, tmp_path)


# ------------------------------------------------------------------ who may sign

SIGNING = {
    "sign_transaction",
    "signTransaction",
    "sign_message",
    "signHash",
    "unsafe_sign_hash",
    "unsafe_sign",
    "sign_defunct",
    "sign_typed_data",
    "sign_msg",
    "sign_msg_hash",
    "sign_recoverable",
    "sign_authorization",
    "ecdsa_sign",
    "from_key",
    "from_mnemonic",
    "privateKeyToAccount",
    "PrivateKey",
    "decrypt",
}
ALLOWED = {
    "execution/signer.py": {"sign_transaction", "from_key", "decrypt"},
    "execution/relays.py": {"sign_message", "from_key"},
}
SIGNING_MODULES = ("eth_account", "eth_keys", "coincurve")
READERS = {
    "execution/predecessors.py",  # recovers senders
    "execution/flashbots_compat.py",  # hands two types to the package
}


def signing_in(source: str) -> set[str]:
    """Names of signing functions that a module uses, as attribute, name, import or string."""
    used: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            used.add(node.attr)
        elif isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            used.add(node.value)
    return used & (SIGNING | {"eth_sign", "eth_signTransaction", "personal_sendTransaction"})


def imports_keys(source: str) -> bool:
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    return any(module.split(".")[0] in SIGNING_MODULES for module in modules)


def keeper_modules() -> dict[str, str]:
    """Source by path, without the replica: a chain of its own that the keeper may not import."""
    return {
        str(file.relative_to(KEEPER)): file.read_text(encoding="utf-8")
        for file in KEEPER.rglob("*.py")
        if file.relative_to(KEEPER).parts[0] != "replica"
    }


def test_only_the_signer_signs() -> None:
    modules = keeper_modules()
    assert {name: used for name, text in modules.items() if (used := signing_in(text))} == ALLOWED
    assert {name for name, text in modules.items() if imports_keys(text)} == {*ALLOWED, *READERS}


@pytest.mark.parametrize(
    "planted",
    [
        "from eth_account import Account\nAccount.from_key('0x1')",
        "def f(account):\n    return account.sign_transaction({})",
        "async def f(node):\n    await node.request('eth_signTransaction', {})",
        "from coincurve import PrivateKey",
        "getattr(account, 'sign_transaction')({})",
        "import eth_account as e\ne.Account.sign_transaction({}, k)",
    ],
)
def test_a_planted_signature_is_found(planted: str) -> None:
    assert signing_in(planted)


def test_a_signed_plan_cannot_be_sent_by_hand_in_paper() -> None:
    """`send` takes `SignedPlan` alone, and the keeper makes one in a single place."""
    makers = [
        name
        for name, text in keeper_modules().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == SignedPlan.__name__
    ]
    assert makers == ["execution/signer.py"]
