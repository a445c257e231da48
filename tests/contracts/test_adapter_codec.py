"""The adapter's calldata is what its ABI says, and amounts that do not fit are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi import decode
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.errors import InputError
from keeper.domain.route import Hop
from keeper.domain.token import LenderKind, VenueKind
from keeper.domain.units import Address, Hash32
from keeper.execution.adapter import (
    AaveLiquidation,
    Fill,
    Lender,
    Leverage,
    Mandate,
    MarketParams,
    MorphoLiquidation,
    Position,
    Step,
    StepKind,
    Venue,
    mandate_of_calldata,
    route_bytes,
    route_of,
    set_mandate_calldata,
    settlement_interactions,
    swap_calldata,
    sweep_calldata,
)
from keeper.execution.adapter_deployment import (
    ADAPTER_SALT,
    AdapterDeployment,
    adapter_address,
    adapter_path,
    load_adapter,
    save_adapter,
)
from keeper.execution.deployment import CREATE2_FACTORY, creation_code
from tests.conftest import RunningReplica
from tests.contracts.adapter_site import AAVE, MORPHO, USER, AdapterSite, compiled_adapter
from tests.contracts.site import DAI, OPERATOR, STRANGER, TREASURY, USDC, WETH

STEP = Step(StepKind.V2, AAVE, 3000, USDC)
LENDER = Lender(LenderKind.BALANCER_V2, MORPHO)
PARAMS = MarketParams(USDC, WETH, DAI, AAVE, 86 * 10**16)
POSITION = Position.of_market(MORPHO, PARAMS)
LEVERAGE = Leverage(POSITION, 11, 12, LENDER, (STEP,), 13, 14)
AAVE_JOB = AaveLiquidation(AAVE, WETH, USDC, USER, 1, LENDER, (STEP, STEP), 2, 3)
MORPHO_JOB = MorphoLiquidation(MORPHO, PARAMS, USER, 4, 0, (STEP,), 5, 6)
FILL = Fill(AAVE, b"order", b"sig", WETH, USDC, 7, (STEP,), 8, 9)
CALLS = {
    "liquidateAave": AAVE_JOB.calldata(),
    "liquidateMorpho": MORPHO_JOB.calldata(),
    "fill": FILL.calldata(),
    "open": LEVERAGE.open_calldata(),
    "close": LEVERAGE.close_calldata(),
    "swap": swap_calldata(WETH, (STEP,), 10, USER),
    "setMandate": set_mandate_calldata(POSITION, Mandate(1, 2, 3, 4)),
    "mandateOf": mandate_of_calldata(POSITION),
    "sweep": sweep_calldata(WETH, 5),
}


def type_of(field: dict[str, Any]) -> str:
    if not field["type"].startswith("tuple"):
        return str(field["type"])
    return f"({','.join(type_of(part) for part in field['components'])}){field['type'][5:]}"


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_those_of_the_interface(name: str) -> None:
    (entry,) = (entry for entry in compiled_adapter().abi if entry.get("name") == name)
    types = [type_of(field) for field in entry["inputs"]]
    data = CALLS[name]
    assert data[:4] == keccak(text=f"{name}({','.join(types)})")[:4]
    decode(types, data[4:])


def test_numbers_arrive_in_their_places() -> None:
    (found,) = decode(
        ["(address,address,address,address,uint256,(uint8,address),bytes,uint256,uint256)"], AAVE_JOB.calldata()[4:]
    )
    lower = [address.lower() for address in (AAVE, WETH, USDC, USER)]
    assert list(found[:4]) == lower
    assert found[4:] == (1, (1, MORPHO.lower()), route_bytes((STEP, STEP)), 2, 3)


@given(
    kind=st.sampled_from(StepKind),
    pool=st.binary(min_size=20, max_size=20),
    fee=st.integers(0, 999_999),
    token=st.binary(min_size=20, max_size=20),
)
def test_a_step_is_44_bytes_that_say_all_of_it(kind: StepKind, pool: bytes, fee: int, token: bytes) -> None:
    data = Step(kind, Address("0x" + pool.hex()), fee, Address("0x" + token.hex())).to_bytes()
    assert data == bytes((kind,)) + pool + fee.to_bytes(3, "big") + token
    assert len(data) == 44


def test_hops_become_steps() -> None:
    hop = Hop(AAVE, VenueKind.UNISWAP_V2, "sushiswap", WETH, USDC, False, 1, 2, 3000)
    assert route_of([hop, replace(hop, venue=VenueKind.PANCAKESWAP_V3, fee_pips=500)]) == (
        Step(StepKind.V2, AAVE, 3000, USDC),
        Step(StepKind.V3, AAVE, 0, USDC),
    )
    with pytest.raises(InputError, match="venue"):
        route_of([replace(hop, venue=VenueKind.CURVE_STABLESWAP)])


def test_a_settlement_pays_and_swaps() -> None:
    pay, swap = settlement_interactions(AAVE, MORPHO, WETH, 5, (STEP,), 6)
    transfer = keccak(text="transfer(address,uint256)")[:4]
    assert pay == (WETH, 0, transfer + bytes(12) + bytes.fromhex(AAVE[2:]) + (5).to_bytes(32, "big"))
    assert swap == (AAVE, 0, swap_calldata(WETH, (STEP,), 6, MORPHO))


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(InputError, match="amount"):
        replace(AAVE_JOB, amount=-1).calldata()
    with pytest.raises(InputError, match="max_loss"):
        replace(LEVERAGE, max_loss=2**256).open_calldata()
    with pytest.raises(InputError, match="fee_pips"):
        replace(STEP, fee_pips=10**6).to_bytes()
    with pytest.raises(InputError, match="lender"):
        replace(AAVE_JOB, lender=Lender(LenderKind.UNISWAP_V4, AAVE)).calldata()
    with pytest.raises(InputError, match="mandate"):
        set_mandate_calldata(POSITION, Mandate(2**128, 0, 0, 0))
    for amounts in ({"seized_assets": 0}, {"repaid_shares": 1}):
        with pytest.raises(InputError, match="repaid_shares"):
            replace(MORPHO_JOB, **amounts).calldata()


def test_positions_tell_aave_from_morpho() -> None:
    assert Position(Venue.AAVE_V3, AAVE, WETH, USDC).values()[0] == 0
    assert POSITION.values() == (1, MORPHO, WETH, USDC, DAI, AAVE, 86 * 10**16)


# ---------------------------------------------------------------------- deployment


def test_create2_puts_the_adapter_where_it_was_said(replica: RunningReplica) -> None:
    site = AdapterSite(replica, compiled_adapter())
    init_code = compiled_adapter().init_code
    address = adapter_address(init_code, OPERATOR, TREASURY)
    assert address != adapter_address(init_code, TREASURY, OPERATOR)
    assert site.rpc("eth_getCode", address, "latest") == "0x"
    site.must(STRANGER, CREATE2_FACTORY, ADAPTER_SALT + creation_code(init_code, OPERATOR, TREASURY))
    assert site.read(address, "treasury()", ["address"]).lower() == TREASURY.lower()


DEPLOYMENT = AdapterDeployment(STRANGER, OPERATOR, TREASURY, Hash32("0x" + "ab" * 32), 7)


def test_a_record_is_read_back_and_the_first_block_stays(tmp_path: Path) -> None:
    path = save_adapter(tmp_path, 10, DEPLOYMENT)
    assert path == adapter_path(tmp_path, 10)
    assert load_adapter(tmp_path, 10) == DEPLOYMENT
    save_adapter(tmp_path, 10, replace(DEPLOYMENT, block=9))
    assert load_adapter(tmp_path, 10).block == 7
    other = replace(DEPLOYMENT, codehash=Hash32("0x" + "cd" * 32), block=9)
    save_adapter(tmp_path, 10, other)
    assert load_adapter(tmp_path, 10) == other
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"block": 1}', '{"block": 1, "adapter": "0x12"}'])
def test_a_missing_or_spoilt_record_is_named(tmp_path: Path, content: str | None) -> None:
    path = adapter_path(tmp_path, 1)
    if content is not None:
        path.parent.mkdir()
        path.write_text(content)
    with pytest.raises(InputError):
        load_adapter(tmp_path, 1)
    if content is not None:
        save_adapter(tmp_path, 1, DEPLOYMENT)
        assert load_adapter(tmp_path, 1) == DEPLOYMENT
