"""What pools pay to the last unit, in compiled code: the contracts' integers of up to 512 bits as 32-bit digits.

Covered are Uniswap V2 and V3 with their forks, V4 without hooks, and Solidly's volatile pairs. Where a case is not
covered (other venues, amounts beyond 128 bits, the ends of the price range) nothing is answered and the pool's own
Python integers decide. The steps and their rounding are those of `keeper.market.venues`; tests hold the two together.

A number is a row of ``w``, its digits ascending, of which ``n`` counts those up to the last that is not zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keeper.discovery.search.arrays import BoolArray, Exact, FloatArray, IntArray, LongArray, Ranges, WordArray
from keeper.discovery.search.compiled import lean_kernel
from keeper.market.venues.fields import FEE_DENOMINATOR
from keeper.market.venues.tick_math import _RATIO_OF_BIT, MAX_TICK, MIN_TICK

NOT_EXACT, PAIR, SOLIDLY, CONCENTRATED, CONCENTRATED_V4 = range(5)
"""Kinds of pools by their integer maths; `NOT_EXACT` is every kind that only Python knows."""
BACK_OFFS = 5
"""Inputs tried where the end of liquidity makes a pool refuse: the whole, then less by 1e-12, 1e-9, 1e-6, 1e-3."""
TAKEN, REFUSED, UNCOVERED = 1, 0, -1
"""How a quote ended; see the module's first lines for what is not covered."""

_FACTORS = np.array([[f >> 32 * d & 0xFFFFFFFF for d in range(4)] for f in _RATIO_OF_BIT], dtype=np.uint64)
_HALF_LOG_TICK = 0.5 * np.log1p(1e-4)
_GRAIN = 4.0 / 2.0**96
_DIGIT = np.uint64(32)
_MASK = np.uint64(0xFFFFFFFF)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_BASE = np.uint64(1 << 32)
_FEE_UNIT = np.uint64(FEE_DENOMINATOR)
# rows of ``w``; those from _A on belong to the functions of a pool's maths
_DIVIDEND, _DIVISOR, _GIVEN, _PAID, _SUM, _REST, _A, _B, _C, _D, _E = range(11)
_PRICE, _TARGET, _LIQUIDITY, _LEFT, _NEXT, _STEP = range(11, 17)
REGISTERS, DIGITS = 17, 32


class Work(NamedTuple):
    """Work space of the kernels here: digits and their number, by register."""

    w: WordArray
    n: LongArray

    @classmethod
    def new(cls) -> Work:
        return cls(np.zeros((REGISTERS, DIGITS), dtype=np.uint64), np.zeros(REGISTERS, dtype=np.int64))


@lean_kernel
def put_words(w: WordArray, n: LongArray, c: int, words: WordArray, row: int, at: int, count: int) -> None:
    """Register ``c`` from ``count`` 64-bit words, ascending."""
    top = 0
    for i in range(count):
        word = words[row, at + i]
        w[c, 2 * i], w[c, 2 * i + 1] = word & _MASK, word >> _DIGIT
        if w[c, 2 * i] != _ZERO:
            top = 2 * i + 1
        if w[c, 2 * i + 1] != _ZERO:
            top = 2 * i + 2
    n[c] = top


@lean_kernel
def put_small(w: WordArray, n: LongArray, c: int, value: int) -> None:
    """Register ``c`` from an integer below 2**32."""
    w[c, 0] = np.uint64(value)
    n[c] = 1 if value else 0


@lean_kernel
def put_float(w: WordArray, n: LongArray, c: int, value: float) -> None:
    """Register ``c`` from the floor of a float of 0 or more, below 2**128."""
    left = np.floor(value)
    n[c] = 0
    for i in range(3, -1, -1):
        unit = 2.0 ** (32 * i)
        digit = np.floor(left / unit)
        left -= digit * unit
        w[c, i] = np.uint64(digit)
        if digit > 0.0 and n[c] == 0:
            n[c] = i + 1


@lean_kernel
def to_float(w: WordArray, n: LongArray, a: int) -> float:
    value = 0.0
    for i in range(n[a] - 1, -1, -1):
        value = value * 4294967296.0 + float(w[a, i])
    return value


@lean_kernel
def copy(w: WordArray, n: LongArray, a: int, c: int) -> None:
    for i in range(n[a]):
        w[c, i] = w[a, i]
    n[c] = n[a]


@lean_kernel
def compare(w: WordArray, n: LongArray, a: int, b: int) -> int:
    """1 where a > b, 0 where they are equal, -1 else."""
    if n[a] != n[b]:
        return 1 if n[a] > n[b] else -1
    for i in range(n[a] - 1, -1, -1):
        if w[a, i] != w[b, i]:
            return 1 if w[a, i] > w[b, i] else -1
    return 0


@lean_kernel
def add(w: WordArray, n: LongArray, a: int, b: int, c: int) -> None:
    """c = a + b; c may be a or b."""
    carry, top = _ZERO, max(n[a], n[b])
    for i in range(top):
        total = carry
        if i < n[a]:
            total += w[a, i]
        if i < n[b]:
            total += w[b, i]
        w[c, i] = total & _MASK
        carry = total >> _DIGIT
    if carry != _ZERO:
        w[c, top] = carry
        top += 1
    n[c] = top


@lean_kernel
def increment(w: WordArray, n: LongArray, a: int) -> None:
    i = 0
    while i < n[a] and w[a, i] == _MASK:
        w[a, i] = _ZERO
        i += 1
    if i == n[a]:
        w[a, i] = _ONE
        n[a] += 1
    else:
        w[a, i] += _ONE


@lean_kernel
def subtract(w: WordArray, n: LongArray, a: int, b: int, c: int) -> None:
    """c = a - b where a is b or more; c may be a or b."""
    borrow, top = _ZERO, 0
    for i in range(n[a]):
        taken = borrow
        if i < n[b]:
            taken += w[b, i]
        borrow = _ONE if w[a, i] < taken else _ZERO
        w[c, i] = (w[a, i] + (borrow << _DIGIT)) - taken
        if w[c, i] != _ZERO:
            top = i + 1
    n[c] = top


@lean_kernel
def multiply(w: WordArray, n: LongArray, a: int, b: int, c: int) -> None:
    """c = a * b; c is neither."""
    top = n[a] + n[b]
    if n[a] == 0 or n[b] == 0:
        n[c] = 0
        return
    for i in range(top):
        w[c, i] = _ZERO
    for i in range(n[a]):
        carry, factor = _ZERO, w[a, i]
        for j in range(n[b]):
            total = factor * w[b, j] + w[c, i + j] + carry
            w[c, i + j] = total & _MASK
            carry = total >> _DIGIT
        w[c, i + n[b]] = carry
    n[c] = top - 1 if w[c, top - 1] == _ZERO else top


@lean_kernel
def multiply_small(w: WordArray, n: LongArray, a: int, factor: np.uint64, c: int) -> None:
    """c = a * factor, which is below 2**32; c may be a."""
    carry = _ZERO
    for i in range(n[a]):
        total = w[a, i] * factor + carry
        w[c, i] = total & _MASK
        carry = total >> _DIGIT
    n[c] = n[a]
    if carry != _ZERO:
        w[c, n[a]] = carry
        n[c] = n[a] + 1


@lean_kernel
def shift_up(w: WordArray, n: LongArray, a: int, digits: int, c: int) -> None:
    """c = a * 2**(32 * digits); c may be a."""
    if n[a] == 0:
        n[c] = 0
        return
    for i in range(n[a] - 1, -1, -1):
        w[c, i + digits] = w[a, i]
    for i in range(digits):
        w[c, i] = _ZERO
    n[c] = n[a] + digits


@lean_kernel
def shift_down(w: WordArray, n: LongArray, a: int, digits: int, c: int) -> bool:
    """c = a // 2**(32 * digits), and whether there was a rest; c may be a."""
    rest = False
    for i in range(min(digits, n[a])):
        rest = rest or w[a, i] != _ZERO
    for i in range(digits, n[a]):
        w[c, i - digits] = w[a, i]
    n[c] = max(n[a] - digits, 0)
    return rest


@lean_kernel
def divide(w: WordArray, n: LongArray, a: int, b: int, c: int) -> bool:
    """c = a // b, and whether there was a rest; c may be a or b. Knuth, The Art of Computer Programming, 4.3.1 D."""
    size, length = n[b], n[a]
    if length < size:
        n[c] = 0
        return bool(length > 0)
    if size == 1:
        divisor, left = w[b, 0], _ZERO
        top = 0
        for i in range(length - 1, -1, -1):
            left = left << _DIGIT | w[a, i]
            digit = left // divisor
            left -= digit * divisor
            w[c, i] = digit
            if digit != _ZERO and top == 0:
                top = i + 1
        n[c] = top
        return bool(left != _ZERO)
    shift = _ZERO
    while w[b, size - 1] << shift < _BASE >> _ONE:
        shift += _ONE
    back = _DIGIT - shift
    # a digit is shifted within 64 bits, so that a shift by 32 is none by 64
    for i in range(size - 1, 0, -1):
        w[_DIVISOR, i] = (w[b, i] << shift | w[b, i - 1] >> back) & _MASK
    w[_DIVISOR, 0] = w[b, 0] << shift & _MASK
    w[_DIVIDEND, length] = w[a, length - 1] >> back
    for i in range(length - 1, 0, -1):
        w[_DIVIDEND, i] = (w[a, i] << shift | w[a, i - 1] >> back) & _MASK
    w[_DIVIDEND, 0] = w[a, 0] << shift & _MASK
    first, second = w[_DIVISOR, size - 1], w[_DIVISOR, size - 2]
    top = 0
    for j in range(length - size, -1, -1):
        high = w[_DIVIDEND, j + size] << _DIGIT | w[_DIVIDEND, j + size - 1]
        digit = high // first
        left = high - digit * first
        while digit >= _BASE or digit * second > (left << _DIGIT | w[_DIVIDEND, j + size - 2]):
            digit -= _ONE
            left += first
            if left >= _BASE:
                break
        carry, borrow = _ZERO, _ZERO
        for i in range(size):
            carry += digit * w[_DIVISOR, i]
            taken = (carry & _MASK) + borrow
            carry >>= _DIGIT
            borrow = _ONE if w[_DIVIDEND, i + j] < taken else _ZERO
            w[_DIVIDEND, i + j] = (w[_DIVIDEND, i + j] + (borrow << _DIGIT)) - taken
        taken = carry + borrow
        if w[_DIVIDEND, j + size] < taken:
            # one too many: at most once, and rarely
            digit -= _ONE
            carry = _ZERO
            for i in range(size):
                carry += w[_DIVIDEND, i + j] + w[_DIVISOR, i]
                w[_DIVIDEND, i + j] = carry & _MASK
                carry >>= _DIGIT
        w[_DIVIDEND, j + size] = _ZERO
        w[c, j] = digit
        if digit != _ZERO and top == 0:
            top = j + 1
    n[c] = top
    left_over = _ZERO
    for i in range(size):
        left_over |= w[_DIVIDEND, i]
    return bool(left_over != _ZERO)


@lean_kernel
def pair_quote(w: WordArray, n: LongArray, exact: Exact, pool: int, first_in: bool) -> int:
    """`UniswapV2Pool.amount_out` or `SolidlyVolatilePool.amount_out` of `_GIVEN` into `_PAID`."""
    put_words(w, n, _A, exact.words, pool, 0 if first_in else 2, 2)
    put_words(w, n, _B, exact.words, pool, 2 if first_in else 0, 2)
    fee = exact.fee[pool]
    if exact.kind[pool] == PAIR:
        add(w, n, _A, _GIVEN, _C)
        if n[_C] > 4 or (n[_C] == 4 and w[_C, 3] >> np.uint64(16) != _ZERO):
            return REFUSED
        multiply_small(w, n, _GIVEN, _FEE_UNIT - np.uint64(fee), _C)
        multiply_small(w, n, _A, _FEE_UNIT, _A)
    else:
        multiply_small(w, n, _GIVEN, np.uint64(fee), _C)
        put_small(w, n, _D, FEE_DENOMINATOR)
        divide(w, n, _C, _D, _C)
        subtract(w, n, _GIVEN, _C, _C)
    add(w, n, _A, _C, _A)
    multiply(w, n, _C, _B, _D)
    divide(w, n, _D, _A, _PAID)
    return TAKEN


@lean_kernel
def put_price_at(w: WordArray, n: LongArray, tick: int, c: int) -> None:
    """Register ``c`` = `get_sqrt_ratio_at_tick`; uses `_A` and `_B`."""
    magnitude = abs(tick)
    w[c, 4], n[c] = _ONE, 5
    for d in range(4):
        w[c, d] = _ZERO
    for bit in range(20):
        if magnitude >> bit & 1:
            for d in range(4):
                w[_B, d] = _FACTORS[bit, d]
            n[_B] = 4
            multiply(w, n, c, _B, _A)
            shift_down(w, n, _A, 4, c)
    if tick > 0:
        for d in range(8):
            w[_A, d] = _MASK
        n[_A] = 8
        divide(w, n, _A, c, c)
    if shift_down(w, n, c, 1, c):
        increment(w, n, c)


@lean_kernel
def amount0(w: WordArray, n: LongArray, low: int, high: int, up: bool, c: int) -> None:
    """c = `get_amount0_delta` between two prices; uses `_A` and `_B`."""
    subtract(w, n, high, low, _A)
    shift_up(w, n, _LIQUIDITY, 3, _B)
    multiply(w, n, _A, _B, c)
    if divide(w, n, c, high, c) and up:
        increment(w, n, c)
    if divide(w, n, c, low, c) and up:
        increment(w, n, c)


@lean_kernel
def amount1(w: WordArray, n: LongArray, low: int, high: int, up: bool, c: int) -> None:
    """c = `get_amount1_delta` between two prices; uses `_A`."""
    subtract(w, n, high, low, _A)
    multiply(w, n, _A, _LIQUIDITY, c)
    if shift_down(w, n, c, 3, c) and up:
        increment(w, n, c)


@lean_kernel
def price_after(w: WordArray, n: LongArray, amount: int, first_in: bool, c: int) -> bool:
    """c = `get_next_sqrt_price_from_input`; False where the contract takes its coarser formula. Uses `_A` and `_B`."""
    if n[amount] == 0:
        copy(w, n, _PRICE, c)
        return True
    if first_in:
        multiply(w, n, amount, _PRICE, _A)
        shift_up(w, n, _LIQUIDITY, 3, _B)
        multiply(w, n, _B, _PRICE, c)
        if n[_A] > 8:
            return False
        add(w, n, _A, _B, _B)
        if n[_B] > 8:
            return False
        if divide(w, n, c, _B, c):
            increment(w, n, c)
        return True
    shift_up(w, n, amount, 3, c)
    divide(w, n, c, _LIQUIDITY, c)
    add(w, n, c, _PRICE, c)
    return bool(n[c] <= 5)


@lean_kernel
def ranged_quote(w: WordArray, n: LongArray, ranges: Ranges, exact: Exact, pool: int, first_in: bool) -> int:
    """`ConcentratedPool.amount_out` of `_GIVEN` into `_PAID`."""
    base, at, spacing, tick = ranges.offset[pool], ranges.current[pool], exact.spacing[pool], exact.tick[pool]
    fee = np.uint64(exact.fee[pool])
    put_words(w, n, _PRICE, exact.words, pool, 0, 3)
    put_words(w, n, _LIQUIDITY, exact.words, pool, 3, 2)
    copy(w, n, _GIVEN, _LEFT)
    n[_PAID] = 0
    while n[_LEFT] > 0:
        # a step ends at the next initialised tick or at the border of the bitmap's word, whichever comes first
        if first_in:
            inside = at > 0
            step = exact.ticks[base + at] if inside else MIN_TICK
            border = (tick // spacing >> 8 << 8) * spacing
            if n[_LIQUIDITY] > 0 and (not inside or border > step):
                step, inside = border, False
        else:
            inside = at + 1 < ranges.length[pool]
            step = exact.ticks[base + at + 1] if inside else MAX_TICK
            border = ((tick // spacing + 1 >> 8 << 8) + 255) * spacing
            if n[_LIQUIDITY] > 0 and (not inside or border < step):
                step, inside = border, False
        if not MIN_TICK < step < MAX_TICK:
            return REFUSED if n[_LIQUIDITY] == 0 else UNCOVERED
        reached = True
        if n[_LIQUIDITY] > 0:
            multiply_small(w, n, _LEFT, _FEE_UNIT - fee, _C)
            put_small(w, n, _D, FEE_DENOMINATOR)
            divide(w, n, _C, _D, _C)
            # in floats, with a margin for their rounding and the price's: does the amount surely end within the step?
            depth, here = to_float(w, n, _LIQUIDITY), to_float(w, n, _PRICE) / 2.0**96
            there = np.exp(_HALF_LOG_TICK * step)
            if first_in:
                need, unsure = depth * (1.0 / there - 1.0 / here), depth / there * (1e-12 + _GRAIN / there)
            else:
                need, unsure = depth * (there - here), depth * (1e-12 * there + _GRAIN)
            known = to_float(w, n, _C) < need - unsure - 2.0
            reached = False
            if known:
                if not price_after(w, n, _C, first_in, _NEXT):
                    return UNCOVERED
            else:
                put_price_at(w, n, step, _TARGET)
                if first_in:
                    amount0(w, n, _TARGET, _PRICE, True, _STEP)
                else:
                    amount1(w, n, _PRICE, _TARGET, True, _STEP)
                short = compare(w, n, _C, _STEP) < 0
                if short:
                    if not price_after(w, n, _C, first_in, _NEXT):
                        return UNCOVERED
                else:
                    copy(w, n, _TARGET, _NEXT)
                reached = compare(w, n, _NEXT, _TARGET) == 0
                whole = short if exact.kind[pool] == CONCENTRATED_V4 else not reached
                if not whole:
                    multiply_small(w, n, _STEP, fee, _D)
                    put_small(w, n, _E, FEE_DENOMINATOR - exact.fee[pool])
                    if divide(w, n, _D, _E, _D):
                        increment(w, n, _D)
                    add(w, n, _STEP, _D, _STEP)
                else:
                    copy(w, n, _LEFT, _STEP)
            if known:
                n[_LEFT] = 0
            else:
                if compare(w, n, _STEP, _LEFT) > 0:
                    return UNCOVERED
                subtract(w, n, _LEFT, _STEP, _LEFT)
            if first_in:
                amount1(w, n, _NEXT, _PRICE, False, _D)
            else:
                amount0(w, n, _PRICE, _NEXT, False, _D)
            add(w, n, _PAID, _D, _PAID)
            copy(w, n, _NEXT, _PRICE)
        else:
            put_price_at(w, n, step, _PRICE)
        if reached:
            if inside:
                at += -1 if first_in else 1
                put_words(w, n, _LIQUIDITY, exact.liquidity, base + at, 0, 2)
            tick = step - 1 if first_in else step
    return TAKEN


@lean_kernel
def quote(w: WordArray, n: LongArray, ranges: Ranges, exact: Exact, pool: int, first_in: bool) -> int:
    """What ``pool`` pays for `_GIVEN`, into `_PAID`: `TAKEN`, `REFUSED` or `UNCOVERED`."""
    if n[_GIVEN] == 0:
        return REFUSED
    kind = exact.kind[pool]
    if kind in (PAIR, SOLIDLY):
        if n[_GIVEN] > 4:
            return REFUSED if kind == PAIR else UNCOVERED
        status = pair_quote(w, n, exact, pool, first_in)
    elif kind in (CONCENTRATED, CONCENTRATED_V4):
        if n[_GIVEN] > 4:
            return UNCOVERED
        status = ranged_quote(w, n, ranges, exact, pool, first_in)
        if status == TAKEN and kind == CONCENTRATED_V4:
            for c in (_GIVEN, _PAID):
                if n[c] > 4 or (n[c] == 4 and w[c, 3] >> np.uint64(31) != _ZERO):
                    return REFUSED
    else:
        return UNCOVERED
    if status == TAKEN and n[_PAID] > 4:
        return UNCOVERED
    return status


@lean_kernel
def store(w: WordArray, n: LongArray, a: int, words: WordArray, row: int, at: int) -> None:
    """Two 64-bit words of a number below 2**128."""
    for i in range(2):
        low = w[a, 2 * i] if 2 * i < n[a] else _ZERO
        high = w[a, 2 * i + 1] if 2 * i + 1 < n[a] else _ZERO
        words[row, at + i] = high << _DIGIT | low


@lean_kernel
def quotes(
    ranges: Ranges,
    exact: Exact,
    work: Work,
    pools: IntArray,
    first_in: BoolArray,
    given: WordArray,
    paid: WordArray,
    status: IntArray,
) -> None:
    """What each of ``pools`` pays; amounts as two 64-bit words, shape (pools, 2).

    Args:
        first_in: whether the pool's token0 comes in.
        paid, status: outputs.
    """
    w, n = work.w, work.n
    for i in range(pools.size):
        put_words(w, n, _GIVEN, given, i, 0, 2)
        status[i] = quote(w, n, ranges, exact, pools[i], first_in[i])
        n[_PAID] = n[_PAID] if status[i] == TAKEN else 0
        store(w, n, _PAID, paid, i, 0)


@lean_kernel
def pay_loop(
    ranges: Ranges,
    exact: Exact,
    work: Work,
    first: int,
    last: int,
    pools: IntArray,
    hops: IntArray,
    first_in: BoolArray,
    shares: FloatArray,
    size: float,
    given: WordArray,
    paid: WordArray,
) -> int:
    """Send ``size`` through the legs ``first <= i < last`` of one loop; fill in what each is given and pays."""
    w, n = work.w, work.n
    put_float(w, n, _SUM, size)
    at = first
    while at < last:
        # the legs of one hop share what the hop before paid; the largest takes what rounding leaves
        end, largest = at, at
        while end < last and hops[end] == hops[at]:
            if shares[end] > shares[largest]:
                largest = end
            end += 1
        copy(w, n, _SUM, _REST)
        whole = to_float(w, n, _SUM)
        for i in range(at, end):
            if i != largest:
                put_float(w, n, _GIVEN, shares[i] * whole)
                if n[_GIVEN] == 0 or compare(w, n, _GIVEN, _REST) >= 0:
                    return REFUSED
                subtract(w, n, _REST, _GIVEN, _REST)
                store(w, n, _GIVEN, given, i, 0)
        if n[_REST] > 4:
            return UNCOVERED
        store(w, n, _REST, given, largest, 0)
        n[_SUM] = 0
        for i in range(at, end):
            put_words(w, n, _GIVEN, given, i, 0, 2)
            status = quote(w, n, ranges, exact, pools[i], first_in[i])
            if status != TAKEN:
                return status
            if n[_PAID] == 0:
                return REFUSED
            store(w, n, _PAID, paid, i, 0)
            add(w, n, _SUM, _PAID, _SUM)
        at = end
    return TAKEN


@lean_kernel
def pay_loops(
    ranges: Ranges,
    exact: Exact,
    work: Work,
    start: IntArray,
    sizes: FloatArray,
    pools: IntArray,
    hops: IntArray,
    first_in: BoolArray,
    shares: FloatArray,
    given: WordArray,
    paid: WordArray,
    profits: WordArray,
    status: IntArray,
) -> None:
    """The exact amounts of loops; where a pool refuses, those of an input a little less.

    Args:
        start: the legs of loop i are ``start[i]:start[i + 1]``, in the order of the hops.
        sizes: by loop, input in floating point.
        pools, hops, first_in, shares: by leg; the share of what its hop takes in.
        given, paid: outputs by leg, two 64-bit words each.
        profits, status: outputs by loop; a loop that is taken without a profit is `REFUSED` as well.
    """
    w, n = work.w, work.n
    for i in range(sizes.size):
        back_off = 0.0
        for _ in range(BACK_OFFS):
            size = max(sizes[i] * (1.0 - back_off), 1.0)
            status[i] = pay_loop(
                ranges,
                exact,
                work,
                start[i],
                start[i + 1],
                pools,
                hops,
                first_in,
                shares,
                size,
                given,
                paid,
            )
            if status[i] != REFUSED:
                break
            back_off = max(1e-12, 1e3 * back_off)
        if status[i] == TAKEN:
            put_float(w, n, _GIVEN, size)
            if compare(w, n, _SUM, _GIVEN) <= 0:
                status[i] = REFUSED
                continue
            subtract(w, n, _SUM, _GIVEN, _SUM)
            if n[_SUM] > 4:
                status[i] = UNCOVERED
                continue
            store(w, n, _SUM, profits, i, 0)
