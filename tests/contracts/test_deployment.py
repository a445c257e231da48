"""The record of a deployment, and the address that CREATE2 gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keeper.domain.errors import InputError
from keeper.domain.units import Hash32
from keeper.execution.deployment import (
    CREATE2_FACTORY,
    SALT,
    Deployment,
    creation_code,
    deployment_path,
    executor_abi,
    executor_address,
    load_deployment,
    save_deployment,
)
from tests.contracts.compiler import Compiled
from tests.contracts.site import OPERATOR, STRANGER, TREASURY, Site, calldata

DEPLOYMENT = Deployment(STRANGER, OPERATOR, TREASURY, Hash32("0x" + "ab" * 32), 7)


def test_create2_puts_the_executor_where_it_was_said(site: Site, executor_contract: Compiled) -> None:
    address = executor_address(executor_contract.init_code, OPERATOR, TREASURY)
    assert address != executor_address(executor_contract.init_code, TREASURY, OPERATOR)
    with site.undone():
        assert site.rpc("eth_getCode", address, "latest") == "0x"
        code = creation_code(executor_contract.init_code, OPERATOR, TREASURY)
        site.must(STRANGER, CREATE2_FACTORY, SALT + code)
        told = site.call(STRANGER, address, calldata("treasury()"))
        assert told.output[12:].hex() == TREASURY[2:].lower()


def test_a_record_is_read_back(tmp_path: Path) -> None:
    path = save_deployment(tmp_path, 10, DEPLOYMENT)
    assert path == deployment_path(tmp_path, 10)
    assert set(json.loads(path.read_text())) == {"executor", "operator", "treasury", "codehash", "block"}
    assert load_deployment(tmp_path, 10) == DEPLOYMENT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"block": 1}', '{"block": 1, "executor": "0x12"}', '{"block": "1"}']
)
def test_a_missing_or_spoilt_record_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        path = deployment_path(tmp_path, 1)
        path.parent.mkdir()
        path.write_text(content)
    with pytest.raises(InputError):
        load_deployment(tmp_path, 1)


def test_the_abi_names_the_same_errors_as_the_compiler(executor_contract: Compiled) -> None:
    compiled = {
        (entry["name"], tuple(field["type"] for field in entry["inputs"]))
        for entry in executor_contract.abi
        if entry["type"] == "error"
    }
    assert compiled == {(entry["name"], tuple(field["type"] for field in entry["inputs"])) for entry in executor_abi()}
