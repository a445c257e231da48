// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IERC20Balance {
    function balanceOf(address account) external view returns (uint256);
}

/// Stands in for Curve's 3pool: the StableSwap invariant in the pool's own integer steps, for three coins. Liquidity
/// is given without shares in return and stays: the pool exists to be traded against.
contract StableSwap3 {
    uint256 private constant N = 3;
    uint256 private constant PRECISION = 1e18;
    uint256 private constant FEE_DENOMINATOR = 1e10;
    uint256 private constant MAX_STEPS = 255;

    address[N] public coins;
    uint256[N] public balances;
    uint256[N] private rates; // brings each coin to 18 decimals, scaled by PRECISION
    uint256 public immutable A;
    uint256 public immutable fee; // of FEE_DENOMINATOR
    uint256 public immutable admin_fee; // share of the fee, of FEE_DENOMINATOR

    event TokenExchange(
        address indexed buyer, int128 sold_id, uint256 tokens_sold, int128 bought_id, uint256 tokens_bought
    );

    constructor(address[N] memory coins_, uint256[N] memory rates_, uint256 a, uint256 fee_, uint256 adminFee) {
        coins = coins_;
        rates = rates_;
        A = a;
        fee = fee_;
        admin_fee = adminFee;
    }

    function add_liquidity(uint256[N] calldata amounts, uint256) external {
        for (uint256 k; k < N; k++) {
            _pull(coins[k], amounts[k]);
            balances[k] += amounts[k];
        }
    }

    /// What `exchange` pays out, up to one unit that the two roundings of the fee may differ by.
    function get_dy(int128 i, int128 j, uint256 dx) external view returns (uint256) {
        (uint256 a, uint256 b) = _indices(i, j);
        uint256 dy = _gross(a, b, dx) * PRECISION / rates[b];
        return dy - fee * dy / FEE_DENOMINATOR;
    }

    function exchange(int128 i, int128 j, uint256 dx, uint256 min_dy) external {
        (uint256 a, uint256 b) = _indices(i, j);
        uint256 received = _pull(coins[a], dx);
        uint256 gross = _gross(a, b, received);
        uint256 charged = gross * fee / FEE_DENOMINATOR;
        uint256 dy = (gross - charged) * PRECISION / rates[b];
        require(dy >= min_dy, "Exchange resulted in fewer coins than expected");
        uint256 kept = charged * admin_fee / FEE_DENOMINATOR * PRECISION / rates[b];
        balances[a] += received;
        balances[b] -= dy + kept;
        _call(coins[b], abi.encodeWithSignature("transfer(address,uint256)", msg.sender, dy));
        emit TokenExchange(msg.sender, i, dx, j, dy);
    }

    function _indices(int128 i, int128 j) private pure returns (uint256, uint256) {
        require(i != j && i >= 0 && j >= 0 && i < int128(int256(N)) && j < int128(int256(N)));
        return (uint256(int256(i)), uint256(int256(j)));
    }

    /// Coins out before fee, at 18 decimals. One is subtracted against rounding in the trader's favour.
    function _gross(uint256 a, uint256 b, uint256 dx) private view returns (uint256) {
        uint256[N] memory xp;
        for (uint256 k; k < N; k++) xp[k] = rates[k] * balances[k] / PRECISION;
        uint256 x = xp[a] + dx * rates[a] / PRECISION;
        return xp[b] - _y(a, b, x, xp) - 1;
    }

    /// The invariant D, by Newton's method.
    function _d(uint256[N] memory xp) private view returns (uint256 d) {
        uint256 sum = xp[0] + xp[1] + xp[2];
        if (sum == 0) return 0;
        uint256 ann = A * N;
        d = sum;
        for (uint256 step; step < MAX_STEPS; step++) {
            uint256 product = d;
            for (uint256 k; k < N; k++) product = product * d / (xp[k] * N);
            uint256 before = d;
            d = (ann * sum + product * N) * d / ((ann - 1) * d + (N + 1) * product);
            if (_near(d, before)) break;
        }
    }

    /// The balance of coin `b` that keeps D when coin `a` has balance `x`, by Newton's method.
    function _y(uint256 a, uint256 b, uint256 x, uint256[N] memory xp) private view returns (uint256 y) {
        uint256 d = _d(xp);
        uint256 c = d;
        uint256 sum;
        uint256 ann = A * N;
        for (uint256 k; k < N; k++) {
            if (k == b) continue;
            uint256 balance = k == a ? x : xp[k];
            sum += balance;
            c = c * d / (balance * N);
        }
        c = c * d / (ann * N);
        uint256 linear = sum + d / ann;
        y = d;
        for (uint256 step; step < MAX_STEPS; step++) {
            uint256 before = y;
            y = (y * y + c) / (2 * y + linear - d);
            if (_near(y, before)) break;
        }
    }

    function _near(uint256 a, uint256 b) private pure returns (bool) {
        return a > b ? a - b <= 1 : b - a <= 1;
    }

    function _pull(address coin, uint256 amount) private returns (uint256) {
        uint256 before = IERC20Balance(coin).balanceOf(address(this));
        _call(
            coin, abi.encodeWithSignature("transferFrom(address,address,uint256)", msg.sender, address(this), amount)
        );
        return IERC20Balance(coin).balanceOf(address(this)) - before;
    }

    /// Tether returns nothing, others return true.
    function _call(address coin, bytes memory data) private {
        (bool ok, bytes memory result) = coin.call(data);
        require(ok && (result.length == 0 || abi.decode(result, (bool))), "token call failed");
    }
}
