"""Domain types refuse what cannot be, and say why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.config import Mode, load_settings
from keeper.domain.errors import InputError
from keeper.domain.route import Route
from keeper.domain.units import to_address, to_hash32
from tests.routes import loop


def test_a_route_must_close() -> None:
    route = loop((1, 2), 5)
    assert route.gross_profit == 5
    with pytest.raises(ValueError, match="route is broken"):
        Route((route.hops[0], replace(route.hops[1], token_out=route.hops[0].token_out)))


def test_amounts_must_meet() -> None:
    route = loop((1, 2), 5)
    with pytest.raises(ValueError, match="amounts do not meet"):
        Route((route.hops[0], replace(route.hops[1], amount_in=1)))


def test_a_pool_is_used_once() -> None:
    with pytest.raises(ValueError, match="each pool once"):
        loop((1, 1), 5)


@pytest.mark.parametrize("value", ["", "0x12", 7, None, "0x" + "g" * 40])
def test_a_bad_address_names_its_field(value: object) -> None:
    with pytest.raises(InputError, match=r"relay\.payee") as error:
        to_address(value, "relay.payee")
    assert error.value.field == "relay.payee"


def test_hashes_are_lower_case() -> None:
    assert to_hash32("0x" + "AB" * 32, "hash") == "0x" + "ab" * 32
    with pytest.raises(InputError, match="hash"):
        to_hash32("0x" + "ab" * 31, "hash")


def test_settings_default_to_paper() -> None:
    assert load_settings().mode is Mode.PAPER


def test_the_development_key_goes_with_the_replica_only() -> None:
    with pytest.raises(InputError, match="replica"):
        load_settings(mode="replica", network="ethereum:mainnet")


def test_a_bad_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORION_BID_BPS", "10001")
    with pytest.raises(InputError, match="ORION_BID_BPS"):
        load_settings()


def test_the_relay_key_is_never_shown() -> None:
    settings = load_settings(relay_key="0x" + "77" * 32)
    assert "77" * 32 not in repr(settings) + str(settings) + settings.model_dump_json()
