"""Orders of UniswapX and CoW Protocol, signed by their owners for the protocols' own bytecode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from keeper.config import load_settings
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.replica.abi import call_data
from keeper.replica.addresses import BALANCER_VAULT, PERMIT2
from keeper.replica.artifacts import Artifacts, Pin, fetch, load_pins
from tests.contracts.adapter_site import AdapterSite
from tests.contracts.site import STRANGER, calldata

SWAPPER = Account.from_key("0x" + "5a" * 32)
COSIGNER = Account.from_key("0x" + "c0" * 32)
CHAIN_ID = 1
EXCLUSIVE_DUTCH = Address("0x6000da47483062A0D734Ba3dc7576Ce6A0B645C4")
V2_DUTCH = Address("0x00000011F84B9aa48e5f8aA8B9897600006289Be")
SETTLEMENT = Address("0x9008D19f58AAbD9eD0D60971565AA8510560ab41")
AUTHENTICATOR = Address("0x2c4c28DDBdAc9C5E7055b4C863b72eA0149D8aFE")

_UNISWAPX = "@uniswap/uniswapx-sdk"
_FACTORIES = "dist/cjs/src/contracts/factories"
_COW = Pin(
    "@cowprotocol/contracts@1.8.0",
    "sha512-rMEHo1UBB6k4kRoWejHZNGggg6IBVt7vAd8x0FhEvjxhbq3zlAex61f9HpAcDExJNuvfwwDjsOc/7UGztCzhSw==",
    (
        "deployments/mainnet/GPv2Settlement.json",
        "deployments/mainnet/GPv2AllowListAuthentication_Implementation.json",
    ),
)
_DOMAIN = {"chainId": CHAIN_ID}
_DOMAIN_TYPE = [
    {"name": "name", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


def fields(text: str) -> list[dict[str, str]]:
    """``address token,uint256 amount`` as EIP-712 wants it."""
    return [dict(zip(("type", "name"), field.split(), strict=True)) for field in text.split(",")]


ORDER_INFO = fields(
    "address reactor,address swapper,uint256 nonce,uint256 deadline,"
    "address additionalValidationContract,bytes additionalValidationData"
)
DUTCH_OUTPUT = fields("address token,uint256 startAmount,uint256 endAmount,address recipient")
EXCLUSIVE_DUTCH_ORDER = fields(
    "OrderInfo info,uint256 decayStartTime,uint256 decayEndTime,address exclusiveFiller,"
    "uint256 exclusivityOverrideBps,address inputToken,uint256 inputStartAmount,uint256 inputEndAmount,"
    "DutchOutput[] outputs"
)
V2_DUTCH_ORDER = fields(
    "OrderInfo info,address cosigner,address baseInputToken,uint256 baseInputStartAmount,"
    "uint256 baseInputEndAmount,DutchOutput[] baseOutputs"
)
COW_ORDER = fields(
    "address sellToken,address buyToken,address receiver,uint256 sellAmount,uint256 buyAmount,uint32 validTo,"
    "bytes32 appData,uint256 feeAmount,string kind,bool partiallyFillable,string sellTokenBalance,"
    "string buyTokenBalance"
)


def _artifacts(site: AdapterSite, pin: Pin) -> Artifacts:
    return site.background.run(fetch(load_settings().home, [pin]))


# ---------------------------------------------------------------------- UniswapX


@dataclass(frozen=True)
class Output:
    """Decays from ``start`` to ``end``, raw units."""

    token: str
    start: int
    end: int
    recipient: str

    def at(self, start_time: int, end_time: int, time: int) -> int:
        """``DutchDecayLib.decay`` of an amount that falls."""
        if time >= end_time or self.start == self.end:
            return self.end
        if time <= start_time:
            return self.start
        return self.start - (self.start - self.end) * (time - start_time) // (end_time - start_time)

    def values(self) -> tuple[str, int, int, str]:
        return self.token, self.start, self.end, self.recipient


@dataclass(frozen=True)
class Order:
    """What a swapper sells, for which outputs, and between which times the outputs decay."""

    reactor: Address
    token_in: Address
    amount_in: int
    outputs: Sequence[Output]
    decay_start: int
    decay_end: int
    nonce: int = 7
    exclusive_filler: str = ZERO_ADDRESS

    @property
    def deadline(self) -> int:
        return self.decay_end + 600

    def info(self) -> tuple[Any, ...]:
        return self.reactor, SWAPPER.address, self.nonce, self.deadline, ZERO_ADDRESS, b""

    def signed(self) -> tuple[bytes, bytes]:
        """The order as the reactor decodes it, and its signature."""
        return self._exclusive() if self.reactor == EXCLUSIVE_DUTCH else self._cosigned()

    def _exclusive(self) -> tuple[bytes, bytes]:
        amounts = self.token_in, self.amount_in, self.amount_in
        times = self.decay_start, self.decay_end, self.exclusive_filler, 0
        outputs = [output.values() for output in self.outputs]
        types = (
            "((address,address,uint256,uint256,address,bytes),uint256,uint256,address,uint256,"
            "(address,uint256,uint256),(address,uint256,uint256,address)[])"
        )
        encoded = encode([types], [(self.info(), *times, amounts, outputs)])
        witness = dict(
            zip(_names(EXCLUSIVE_DUTCH_ORDER), (self._info(), *times, *amounts, self._outputs()), strict=True)
        )
        return encoded, self._signature("ExclusiveDutchOrder", EXCLUSIVE_DUTCH_ORDER, witness)

    def _cosigned(self) -> tuple[bytes, bytes]:
        amounts = self.token_in, self.amount_in, self.amount_in
        outputs = [output.values() for output in self.outputs]
        parts = (self._info(), COSIGNER.address, *amounts, self._outputs())
        witness = dict(zip(_names(V2_DUTCH_ORDER), parts, strict=True))
        # decay times, exclusive filler and its override, and no better amounts than the swapper's own
        cosigned = (self.decay_start, self.decay_end, self.exclusive_filler, 0, 0, [0] * len(outputs))
        data_type = "(uint256,uint256,address,uint256,uint256,uint256[])"
        digest = keccak(_struct_hash("V2DutchOrder", V2_DUTCH_ORDER, witness) + encode([data_type], [cosigned]))
        cosignature = COSIGNER.unsafe_sign_hash(digest).signature
        types = (
            "((address,address,uint256,uint256,address,bytes),address,(address,uint256,uint256),"
            f"(address,uint256,uint256,address)[],{data_type},bytes)"
        )
        encoded = encode([types], [(self.info(), COSIGNER.address, amounts, outputs, cosigned, cosignature)])
        return encoded, self._signature("V2DutchOrder", V2_DUTCH_ORDER, witness)

    def _info(self) -> dict[str, Any]:
        return dict(zip(_names(ORDER_INFO), self.info(), strict=True))

    def _outputs(self) -> list[dict[str, Any]]:
        return [dict(zip(_names(DUTCH_OUTPUT), output.values(), strict=True)) for output in self.outputs]

    def _signature(self, name: str, order_fields: list[dict[str, str]], witness: dict[str, Any]) -> bytes:
        """Permit2's permission to take the input, bound to the order as its witness."""
        message = {
            "permitted": {"token": self.token_in, "amount": self.amount_in},
            "spender": self.reactor,
            "nonce": self.nonce,
            "deadline": self.deadline,
            "witness": witness,
        }
        types = {
            "PermitWitnessTransferFrom": fields(
                f"TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,{name} witness"
            ),
            "TokenPermissions": fields("address token,uint256 amount"),
            **_order_types(name, order_fields),
        }
        domain = {"name": "Permit2", "chainId": CHAIN_ID, "verifyingContract": PERMIT2}
        return _sign(domain, types, message)


def reactors(site: AdapterSite) -> None:
    """The reactors at their addresses; the swapper lets Permit2 take its tokens."""
    pin = load_pins()[_UNISWAPX]
    names = ("ExclusiveDutchOrderReactor", "V2DutchOrderReactor")
    artifacts = _artifacts(
        site, Pin(pin.spec, pin.integrity, tuple(f"{_FACTORIES}/{name}__factory.js" for name in names))
    )
    for name, address in zip(names, (EXCLUSIVE_DUTCH, V2_DUTCH), strict=True):
        if site.rpc("eth_getCode", address, "latest") != "0x":
            continue
        code = artifacts.creation_code_in_text(_UNISWAPX, f"{_FACTORIES}/{name}__factory.js", key="_bytecode")
        site.place(address, code + encode(["address", "address"], [PERMIT2, STRANGER]))
    site.rpc("anvil_setBalance", SWAPPER.address, hex(10**24))


def swapper_has(site: AdapterSite, token: Address, amount: int, spender: Address = PERMIT2) -> None:
    site.give(token, Address(SWAPPER.address), amount)
    site.must(SWAPPER.address, token, calldata("approve(address,uint256)", spender, amount))


# ---------------------------------------------------------------------- CoW Protocol


def settlement(site: AdapterSite) -> Address:
    """GPv2Settlement at its address, with `STRANGER` as solver; returns the relayer that takes the traders' tokens."""
    if site.rpc("eth_getCode", SETTLEMENT, "latest") == "0x":
        artifacts = _artifacts(site, _COW)
        package, folder = _COW.name, "deployments/mainnet"
        code = artifacts.creation_code(package, f"{folder}/GPv2AllowListAuthentication_Implementation.json")
        site.place(AUTHENTICATOR, code)
        site.must(STRANGER, AUTHENTICATOR, calldata("initializeManager(address)", STRANGER))
        code = artifacts.creation_code(package, f"{folder}/GPv2Settlement.json")
        site.place(SETTLEMENT, code + encode(["address", "address"], [AUTHENTICATOR, BALANCER_VAULT]))
    authenticator = site.read(SETTLEMENT, "authenticator()", ["address"])
    manager = site.read(authenticator, "manager()", ["address"])
    for account in (manager, SWAPPER.address):
        site.rpc("anvil_setBalance", account, hex(10**24))
    site.must(manager, authenticator, calldata("addSolver(address)", STRANGER))
    return Address(site.read(SETTLEMENT, "vaultRelayer()", ["address"]))


def settle(
    sell: Address, sold: int, buy: Address, bought: int, valid_to: int, interactions: Sequence[tuple[str, int, bytes]]
) -> bytes:
    """Calldata that fills one signed sell order of `SWAPPER` at exactly ``bought``, swapping in between."""
    kinds = {"kind": "sell", "sellTokenBalance": "erc20", "buyTokenBalance": "erc20"}
    amounts = {"sellAmount": sold, "buyAmount": bought, "validTo": valid_to, "feeAmount": 0}
    message = {
        "sellToken": sell,
        "buyToken": buy,
        "receiver": SWAPPER.address,
        "appData": bytes(32),
        "partiallyFillable": False,
        **amounts,
        **kinds,
    }
    domain = {"name": "Gnosis Protocol", "version": "v2", "chainId": CHAIN_ID, "verifyingContract": SETTLEMENT}
    signature = _sign(domain, {"Order": COW_ORDER}, message)
    trade = (0, 1, SWAPPER.address, sold, bought, valid_to, bytes(32), 0, 0, 0, signature)
    types = (
        "settle(address[],uint256[],(uint256,uint256,address,uint256,uint256,uint32,bytes32,uint256,uint256,uint256,"
        "bytes)[],(address,uint256,bytes)[][3])"
    )
    return call_data(types, [sell, buy], [bought, sold], [trade], [[], list(interactions), []])


# ---------------------------------------------------------------------- EIP-712


def _names(found: list[dict[str, str]]) -> list[str]:
    return [field["name"] for field in found]


def _order_types(name: str, order_fields: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    return {name: order_fields, "OrderInfo": ORDER_INFO, "DutchOutput": DUTCH_OUTPUT}


def _sign(domain: dict[str, Any], types: dict[str, Any], message: dict[str, Any]) -> bytes:
    return bytes(SWAPPER.sign_message(encode_typed_data(domain, types, message)).signature)


def _struct_hash(name: str, order_fields: list[dict[str, str]], message: dict[str, Any]) -> bytes:
    """``hashStruct`` of EIP-712."""
    return encode_typed_data(_DOMAIN, _order_types(name, order_fields), message).body
