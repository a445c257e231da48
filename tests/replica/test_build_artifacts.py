"""Packages are taken byte for byte as pinned, or not at all; what is there is not fetched again."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from keeper.domain.errors import ComponentError, InputError
from keeper.replica import artifacts
from keeper.replica.artifacts import Artifacts, Pin, fetch, load_pins


def tarball(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def pin_for(content: bytes, *files: str, name: str = "@scope/thing") -> Pin:
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    return Pin(f"{name}@1.0.0", f"sha512-{digest}", files)


class Registry:
    """Stands in for the download: hands out prepared tarballs and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.content: dict[str, bytes] = {}
        self.downloads: list[str] = []
        monkeypatch.setattr(artifacts, "_npm_pack", self._pack)

    async def _pack(self, pin: Pin, folder: Path) -> Path:
        self.downloads.append(pin.name)
        if pin.name not in self.content:
            raise ComponentError(f"package {pin.spec}", "gone", "Try again.")
        target = folder / "package.tgz"
        target.write_bytes(self.content[pin.name])
        return target


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(monkeypatch)


GOOD = tarball({"package/build/A.json": b'{"bytecode": "0x6001"}', "package/README.md": b"not wanted"})


async def test_only_the_wanted_files_are_unpacked(registry: Registry, tmp_path: Path) -> None:
    pin = pin_for(GOOD, "build/*.json")
    registry.content[pin.name] = GOOD
    found = await fetch(tmp_path, [pin])
    assert found.creation_code(pin.name, "build/A.json") == bytes.fromhex("6001")
    kept = [path.name for path in (tmp_path / "cache" / "npm").rglob("*") if path.is_file()]
    assert kept == ["A.json"]


@pytest.mark.parametrize("position", [0, len(GOOD) // 2, len(GOOD) - 1])
async def test_a_tampered_tarball_is_refused(position: int, registry: Registry, tmp_path: Path) -> None:
    pin = pin_for(GOOD, "build/A.json")
    altered = bytearray(GOOD)
    altered[position] ^= 1
    registry.content[pin.name] = bytes(altered)
    with pytest.raises(InputError) as refused:
        await fetch(tmp_path, [pin])
    told = str(refused.value)
    found = "sha512-" + base64.b64encode(hashlib.sha512(altered).digest()).decode()
    assert pin.spec in told
    assert pin.integrity in told
    assert found in told
    assert "try again" in refused.value.remedy
    assert list((tmp_path / "cache" / "npm").iterdir()) == [], "nothing of it may stay"


async def test_a_path_out_of_the_package_is_refused(registry: Registry, tmp_path: Path) -> None:
    evil = tarball({"package/../../../../evil.json": b"{}"})
    pin = pin_for(evil, "*.json")
    registry.content[pin.name] = evil
    with pytest.raises(InputError, match="leaves the package"):
        await fetch(tmp_path, [pin])
    assert not [name for _, _, names in os.walk(tmp_path) for name in names]


async def test_a_wanted_file_that_is_not_there_is_named(registry: Registry, tmp_path: Path) -> None:
    pin = pin_for(GOOD, "build/A.json", "build/B.json")
    registry.content[pin.name] = GOOD
    with pytest.raises(InputError, match=r"build/B\.json"):
        await fetch(tmp_path, [pin])


async def test_after_a_failure_only_the_missing_package_is_fetched(registry: Registry, tmp_path: Path) -> None:
    first, second = (pin_for(GOOD, "build/A.json", name=name) for name in ("first", "second"))
    registry.content["first"] = GOOD
    await fetch(tmp_path, [first])
    with pytest.raises(ComponentError, match=r"second@1\.0\.0"):
        await fetch(tmp_path, [first, second])
    registry.content["second"] = GOOD
    registry.downloads.clear()
    seen: list[str] = []
    await fetch(tmp_path, [first, second], on_package=lambda name, *_: seen.append(name))
    assert registry.downloads == ["second"]
    assert sorted(seen) == ["first@1.0.0", "second@1.0.0"]


async def test_another_choice_of_files_is_fetched_anew(registry: Registry, tmp_path: Path) -> None:
    registry.content["@scope/thing"] = GOOD
    await fetch(tmp_path, [pin_for(GOOD, "build/A.json")])
    await fetch(tmp_path, [pin_for(GOOD, "build/A.json", "README.md")])
    assert len(registry.downloads) == 2


def test_libraries_are_linked_where_the_artifact_says(tmp_path: Path) -> None:
    pin = pin_for(b"", "A.json")
    folder = tmp_path / pin.folder
    folder.mkdir()
    (folder / "A.json").write_text(
        '{"bytecode": "0x73' + "_" * 40 + '00", "linkReferences": {"x.sol": {"Lib": [{"start": 1, "length": 20}]}}}'
    )
    found = Artifacts(tmp_path, {pin.name: pin})
    assert found.creation_code(pin.name, "A.json", {"Lib": "0x" + "Ab" * 20}).hex() == "73" + "ab" * 20 + "00"
    with pytest.raises(InputError, match="Lib"):
        found.creation_code(pin.name, "A.json")


def test_every_pin_has_a_full_hash_and_one_version() -> None:
    pins = load_pins().values()
    assert len(pins) >= 20
    for pin in pins:
        assert len(base64.b64decode(pin.integrity.removeprefix("sha512-"), validate=True)) == 64
        assert pin.spec.rpartition("@")[2][0].isdigit()
        assert pin.files


async def test_leftovers_of_killed_downloads_are_swept(registry: Registry, tmp_path: Path) -> None:
    pin = pin_for(GOOD, "build/A.json")
    registry.content[pin.name] = GOOD
    cache = tmp_path / "cache" / "npm"
    old, running = cache / ".fetch-old", cache / ".fetch-running"
    for folder in (old, running):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    await fetch(tmp_path, [pin])
    assert sorted(os.listdir(cache)) == [".fetch-running", pin.folder]
