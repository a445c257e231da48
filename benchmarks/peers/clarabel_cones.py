"""Clarabel, an interior-point solver for cones, on each instance of a request; see `joint`.

Runs in an environment of its own. A constant-product range of depth A that begins with root rate q pays q * q * u - e
for u, where the loss e to the moving price fulfils e * (1 + u / a) >= q * q * u * u / a with a = A / q: a cone in which
nothing cancels, unlike in the product of reserves, with which the solver gives up at once. What is maximised is what
the profit token has left, while no other token is short. Amounts are in dollars. Setting the problem up is not timed.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import clarabel
import numpy as np
from scipy import sparse


def problem(instance: dict) -> tuple:
    """The arguments of the solver; variables are all inputs u, then all losses e."""
    into, out = np.array(instance["token_in"]), np.array(instance["token_out"])
    depth, root, most = (np.array(instance[name]) for name in ("depth", "root", "most"))
    count, tokens = len(into), instance["tokens"]
    pieces = np.arange(count)
    # what each token has left, the profit token last
    left = sparse.coo_matrix(
        (
            np.concatenate((-np.ones(count), root**2, -np.ones(count))),
            (np.concatenate((into, out, out)), np.concatenate((pieces, pieces, count + pieces))),
        ),
        shape=(tokens, 2 * count),
    ).tocsr()
    objective = -left[tokens - 1].toarray().ravel()
    bounded = np.flatnonzero(np.isfinite(most))
    inputs = sparse.eye(count, 2 * count, format="csr")
    # rows of a cone: (e + 1 + u / a, 2 q u / sqrt(a), e - 1 - u / a)
    a = depth / root
    rows = np.concatenate((3 * pieces, 3 * pieces, 3 * pieces + 1, 3 * pieces + 2, 3 * pieces + 2))
    columns = np.concatenate((pieces, count + pieces, pieces, pieces, count + pieces))
    entries = np.concatenate((-1 / a, -np.ones(count), -2 * root / np.sqrt(a), 1 / a, -np.ones(count)))
    cones = sparse.coo_matrix((entries, (rows, columns)), shape=(3 * count, 2 * count))
    matrix = sparse.vstack((-left[: tokens - 1], -inputs, inputs[bounded], cones)).tocsc()
    right = np.concatenate((np.zeros(tokens - 1), np.zeros(count), most[bounded], np.tile([1.0, 0.0, -1.0], count)))
    shapes = [clarabel.NonnegativeConeT(tokens - 1 + count + len(bounded))] + [clarabel.SecondOrderConeT(3)] * count
    return sparse.csc_matrix((2 * count, 2 * count)), objective, matrix, right, shapes


def main(request: str) -> None:
    answers = []
    for instance in json.loads(Path(request).read_text()):
        instance["most"] = [np.inf if most is None else most for most in instance["most"]]
        arguments = problem(instance)
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.max_threads = 1
        solver = clarabel.DefaultSolver(*arguments, settings)
        start = time.perf_counter()
        solution = solver.solve()
        seconds = time.perf_counter() - start
        count = len(instance["depth"])
        answers.append(
            {
                "seconds": seconds,
                "status": str(solution.status),
                "objective": -solution.obj_val,
                "inputs": np.maximum(np.array(solution.x)[:count], 0.0).tolist(),
            }
        )
    print(json.dumps(answers))


if __name__ == "__main__":
    if sys.argv[1] != "--probe":
        main(sys.argv[1])
