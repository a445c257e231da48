"""Counts what the attacks really reached, from the call trees of their transactions."""

from __future__ import annotations

from collections import Counter
from typing import Any

from eth_utils import function_signature_to_4byte_selector as selector

from tests.contracts.site import ERRORS, OPERATOR

VIEWS = (selector("operator()"), selector("treasury()"))
SWEEP = selector("sweep(address,uint256)")


class Reached:
    """Counters by name; ``landed`` says whether a frame and all above it came through."""

    def __init__(self, executor: str) -> None:
        self.executor = executor.lower()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []  # of the transaction added last

    def attack(self, kind: str, variant: str = "") -> None:
        self.counts[f"tried: {kind}"] += 1
        if variant:
            self.counts[f"tried: {kind}: {variant}"] += 1

    def add(self, root: dict[str, Any]) -> None:
        """Count every frame of the executor below ``root``, in callTracer's form."""
        self.wrong = []
        self._walk(root, inside=0, alive=True)

    def _walk(self, frame: dict[str, Any], inside: int, alive: bool) -> None:
        alive = alive and "error" not in frame
        is_executor = frame.get("to", "").lower() == self.executor
        if is_executor:
            self._count(frame, inside, alive)
        for child in frame.get("calls", ()):
            self._walk(child, inside + is_executor, alive)

    def _count(self, frame: dict[str, Any], inside: int, alive: bool) -> None:
        data = bytes.fromhex(frame["input"][2:])
        ok = "error" not in frame
        if not ok and data[:4] == VIEWS[0] and not inside:
            self.wrong.append("something is still expected after a stream")
        if not ok:
            revert = bytes.fromhex(frame.get("output", "0x")[2:])
            self.counts[f"reverted: {ERRORS.get(revert[:4], 'with the words of another contract')}"] += 1
        elif frame["type"] == "STATICCALL" or data[:4] in VIEWS:
            self.counts["views served"] += 1
            return
        by_operator = frame["from"].lower() == OPERATOR.lower()
        if inside:
            self.counts[f"re-entered by {'the operator' if by_operator else 'another'}"] += 1
            self.counts[f"nested {inside} deep" if inside < 4 else "nested 4 deep or more"] += 1
        if by_operator:
            fate = "landed" if alive else "undone later" if ok else "refused"
            self.counts[f"{'streams within streams' if inside else 'streams'} {fate}"] += 1
        elif ok and inside and not data:
            self.counts["coins taken"] += 1
        elif ok and inside:
            self.counts["callbacks authenticated in mid-route"] += 1
        elif ok and not data:
            self.counts["coins taken"] += 1
        elif ok and data[:4] == SWEEP:
            self.counts["withdrawals"] += 1
        elif ok:
            self.wrong.append("a call was accepted while nothing was expected")
        else:
            self.counts["callbacks and calls refused in mid-route" if inside else "calls refused while idle"] += 1

    def table(self) -> str:
        width = max(len(name) for name in self.counts)
        return "\n".join(f"  {name:<{width}}  {count:>7,}" for name, count in sorted(self.counts.items()))
