"""The one place that signs transactions, and the one place that decides whether anything may be signed."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.conversions import to_bytes

from keeper.config import Mode
from keeper.domain.errors import InputError, SigningRefused
from keeper.domain.plan import AtomicPlan
from keeper.domain.units import Address, Hash32
from keeper.execution.access_list import as_json
from keeper.execution.gas import MAX_TRANSACTION_GAS
from keeper.execution.kill_switch import KillSwitch
from keeper.market.node import Node, to_quantity

DEVELOPMENT_KEY: Final = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Account 0 of the mnemonic that every development chain uses. It is public: whatever it owns is anybody's."""

DEVELOPMENT_ADDRESSES: Final = frozenset(
    Address(address)
    for address in (
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
        "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
        "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
        "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
        "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
        "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
        "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
        "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
    )
)


@dataclass(frozen=True, slots=True)
class SignedPlan:
    """A plan as a signed EIP-1559 transaction.

    Attributes:
        raw: the transaction as the network takes it; whoever has it can publish it, so it is kept out of ``repr``.
    """

    plan: AtomicPlan
    nonce: int
    raw: bytes = field(repr=False)
    transaction_hash: Hash32


class Signer:
    """Signs calls of the executor in modes `REPLICA` and `LIVE`, and nothing at all in `PAPER`.

    ============  ==============================================================================================
    mode          what is signed
    ============  ==============================================================================================
    ``PAPER``     nothing; the signer never holds a key
    ``REPLICA``   with the development key, on a loopback node that says it is anvil and has the right chain id
    ``LIVE``      with the operator's key, on a node that has the right chain id; development keys are refused
    ============  ==============================================================================================

    In every mode the kill switch comes first, and a transaction is a call of the executor that carries no value.

    Args:
        node_url: the node that is asked what it is before each batch of signatures. The signer opens a connection of
            its own, so that the address it judges and the node it asks cannot differ.
        account: the operator's account in ``LIVE``, see `unlock`; None otherwise.

    Raises:
        SigningRefused: when ``account`` does not go with ``mode``.
    """

    def __init__(
        self,
        mode: Mode,
        *,
        chain_id: int,
        executor: Address,
        node_url: str,
        kill_switch: KillSwitch,
        account: LocalAccount | None = None,
    ) -> None:
        if mode is not Mode.LIVE and account is not None:
            raise SigningRefused(f"mode `{mode}` takes no key of the operator; use mode `live` to sign with it")
        if mode is Mode.LIVE:
            if account is None:
                raise SigningRefused("mode `live` needs an account: name an ape account or a keystore in ORION_ACCOUNT")
            if Address(account.address) in DEVELOPMENT_ADDRESSES:
                raise SigningRefused(f"{account.address} is a development account whose key is public; use your own")
        self._mode = mode
        self._chain_id = chain_id
        self._executor = executor
        self._node_url = node_url
        self._node = Node(node_url)
        self._kill_switch = kill_switch
        self._account = cast(LocalAccount, Account.from_key(DEVELOPMENT_KEY)) if mode is Mode.REPLICA else account

    def __repr__(self) -> str:
        return f"Signer(mode={self._mode.value!r}, chain_id={self._chain_id}, address={self.address!r})"

    def __reduce__(self) -> str:
        raise TypeError("a signer is not copied or stored: it holds a key")

    @property
    def mode(self) -> Mode:
        return self._mode

    @property
    def address(self) -> Address | None:
        """The account that signs; None in ``PAPER``."""
        return None if self._account is None else Address(self._account.address)

    async def close(self) -> None:
        await self._node.close()

    async def sign(self, plans: Sequence[tuple[AtomicPlan, int]]) -> list[SignedPlan]:
        """Sign each plan with the nonce beside it: all of them or, with an exception, none.

        Raises:
            SigningRefused: when mode, kill switch, node or plan do not allow it.
            ComponentError: when the node cannot be asked what it is.
        """
        account = self._permitted_account()
        await self._check_node()
        signed = []
        for plan, nonce in plans:
            self._check_plan(plan)
            self._check_kill_switch()
            signed.append(self._signature(account, plan, nonce))
        return signed

    def _permitted_account(self) -> LocalAccount:
        if self._mode is Mode.PAPER or self._account is None:
            raise SigningRefused("paper mode: nothing is signed; ask for mode `live` to trade with your own key")
        self._check_kill_switch()
        return self._account

    def _check_kill_switch(self) -> None:
        reason = self._kill_switch.reason
        if reason is not None:
            raise SigningRefused(f"the kill switch is on: {reason}. Remove {self._kill_switch.file} to go on")

    async def _check_node(self) -> None:
        if self._mode is Mode.REPLICA and not is_loopback(self._node_url):
            raise SigningRefused("the development key signs for a node on loopback only; use mode `paper` or `live`")
        chain_id, version = await asyncio.gather(
            self._node.request("eth_chainId"), self._node.request("web3_clientVersion")
        )
        if to_quantity(chain_id, "eth_chainId") != self._chain_id:
            raise SigningRefused(f"the node is on chain {int(chain_id, 16)}, the keeper is set to {self._chain_id}")
        if self._mode is Mode.REPLICA and not str(version).lower().startswith("anvil"):
            raise SigningRefused(f"the development key signs for anvil only; the node says it is {str(version)[:60]!r}")

    def _check_plan(self, plan: AtomicPlan) -> None:
        if plan.to != self._executor:
            raise SigningRefused(f"{plan.to} is not the executor {self._executor}")
        if plan.opportunity.chain_id != self._chain_id:
            raise SigningRefused(f"the plan is for chain {plan.opportunity.chain_id}, the keeper for {self._chain_id}")
        if plan.gas_limit > MAX_TRANSACTION_GAS:
            raise SigningRefused(f"a gas limit of {plan.gas_limit} is above the cap of {MAX_TRANSACTION_GAS}")

    def _signature(self, account: LocalAccount, plan: AtomicPlan, nonce: int) -> SignedPlan:
        signed = account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": to_bytes(hexstr=plan.to),
                "value": 0,
                "data": plan.data,
                "gas": plan.gas_limit,
                "maxFeePerGas": plan.max_fee,
                "maxPriorityFeePerGas": plan.prediction.priority_fee,
                "accessList": as_json(plan.access_list),
            }
        )
        return SignedPlan(
            plan=plan,
            nonce=nonce,
            raw=bytes(signed.raw_transaction),
            transaction_hash=Hash32("0x" + bytes(signed.hash).hex()),
        )


def is_loopback(url: str) -> bool:
    """True when the host of ``url`` is this machine: ``localhost``, 127.0.0.0/8 or ::1."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def keystore_path(account: str) -> Path:
    """The file behind ``account``: a path, or the alias of an ape account (same format, Web3 Secret Storage)."""
    if os.sep in account or account.endswith(".json"):
        return Path(account).expanduser()
    ape = Path(os.environ.get("APE_DATA_FOLDER", "~/.ape")).expanduser()
    return ape / "accounts" / f"{account}.json"


def unlock(account: str, passphrase: str) -> LocalAccount:
    """Decrypt the keystore of ``account`` (an ape alias or a path).

    Raises:
        InputError: when the file is missing, is no keystore, or the passphrase does not fit; never says the latter.
    """
    path = keystore_path(account)
    try:
        keystore = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "ORION_ACCOUNT", str(path), "Name an ape account (`ape accounts list`) or the path of a keystore file."
        ) from error
    try:
        key = Account.decrypt(keystore, passphrase)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # the library's message may hold parts of the file; the cause is cut off on purpose
        problem = "the passphrase does not fit" if "MAC" in str(error) else "it is not a keystore"
        raise InputError("ORION_ACCOUNT", str(path), f"Check file and passphrase: {problem}.") from None
    return cast(LocalAccount, Account.from_key(key))
