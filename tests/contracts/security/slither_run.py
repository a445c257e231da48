"""Runs slither on a standard JSON request of the compiler; to be run by the auditors' own Python, which has slither.

    python slither_run.py SOLC < request.json > findings.json

Each finding is its detector, its impact, and the names of what it is about, the files left out.
"""

from __future__ import annotations

import inspect
import json
import logging
import sys

from crytic_compile import CryticCompile  # type: ignore[import-not-found]
from crytic_compile.platform.solc_standard_json import SolcStandardJson  # type: ignore[import-not-found]
from slither import Slither  # type: ignore[import-not-found]
from slither.detectors import all_detectors  # type: ignore[import-not-found]
from slither.detectors.abstract_detector import AbstractDetector  # type: ignore[import-not-found]


def main() -> None:
    logging.disable(logging.WARNING)
    slither = Slither(CryticCompile(SolcStandardJson(json.load(sys.stdin)), solc=sys.argv[1]))
    for _, detector in inspect.getmembers(all_detectors, inspect.isclass):
        if issubclass(detector, AbstractDetector):
            slither.register_detector(detector)
    findings = []
    for found in slither.run_detectors():
        for result in found:
            names = [element["name"] for element in result["elements"] if element["type"] in ("function", "variable")]
            places = [
                f"{element.get('type_specific_fields', {}).get('parent', {}).get('name', '')}.{element['name']}"
                for element in result["elements"]
                if element["type"] in ("function", "variable", "contract", "enum", "struct", "event", "pragma")
            ]
            findings.append(
                {
                    "check": result["check"],
                    "impact": result["impact"],
                    "where": places[0] if places else ", ".join(names),
                    "text": result["description"].strip(),
                }
            )
    json.dump(findings, sys.stdout)


if __name__ == "__main__":
    main()
