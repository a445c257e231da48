// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// Stands, in a simulation only, at the addresses of the executor, of a token's holder and of a stranger, and sends
/// the token from the holder to the executor and back. It measures, it judges nothing: keeper/market/token_probe.py
/// reads what it reports. Every call to the token has a gas limit of its own and copies one word of what returns.
contract TokenProbe {
    uint256 private constant TRANSFER_GAS = 500_000;
    uint256 private constant VIEW_GAS = 200_000;
    uint256 private constant NOTE_GAS = 30_000;
    uint256 private constant HEAD_WORDS = 6;
    uint256 private constant LEG_WORDS = 9;

    // transient slots
    uint256 private constant MASTER = 0; // at the holder: who may have it send
    uint256 private constant BUSY = 1; // at the executor: the token runs
    uint256 private constant TOUCHES = 2; // how often somebody else called

    /// Sends ``balance / divisor`` for each divisor, and what arrived of it back.
    /// Reports whether the balance of the holder was answered, and the balance, as read by this, by the holder, by the
    /// stranger; then for each leg: success, size of the returned data, its first word, gas, the balances of sender and
    /// receiver before and after (max for no answer), calls from outside. It ends early where a transfer fails.
    function measure(address token, TokenProbe holder, TokenProbe stranger, uint256[] calldata divisors)
        external
        returns (uint256[] memory report)
    {
        report = new uint256[](HEAD_WORDS + 2 * LEG_WORDS * divisors.length);
        if (_get(BUSY) != 0) {
            _touch();
            return report;
        }
        holder.arm();
        (report[0], report[1]) = look(token, address(holder));
        (report[2], report[3]) = holder.look(token, address(holder));
        (report[4], report[5]) = stranger.look(token, address(holder));
        uint256 at = HEAD_WORDS;
        for (uint256 i; i < divisors.length; ++i) {
            uint256 amount = report[1] / divisors[i];
            if (amount == 0) continue;
            if (!_leg(report, at, token, holder, true, amount)) break;
            uint256 gained;
            unchecked {
                gained = report[at + 7] - report[at + 6];
            }
            at += LEG_WORDS;
            if (!_leg(report, at, token, holder, false, gained)) break;
            at += LEG_WORDS;
        }
    }

    /// The first words that view calls return: success, size, word for each.
    function peek(address token, bytes[] calldata calls) external view returns (uint256[] memory report) {
        report = new uint256[](3 * calls.length);
        for (uint256 i; i < calls.length; ++i) {
            (report[3 * i], report[3 * i + 1], report[3 * i + 2]) = _view(token, calls[i]);
        }
    }

    function look(address token, address owner) public view returns (uint256 answered, uint256 balance) {
        uint256 size;
        (answered, size, balance) = _view(token, abi.encodeWithSignature("balanceOf(address)", owner));
        if (size < 32) answered = 0;
        if (answered == 0) balance = type(uint256).max;
    }

    function arm() external {
        if (_get(MASTER) != 0 || _get(BUSY) != 0) _touch();
        else _set(MASTER, uint160(msg.sender));
    }

    function send(address token, address to, uint256 amount)
        external
        returns (uint256 success, uint256 size, uint256 word, uint256 used)
    {
        if (_get(MASTER) != uint160(msg.sender)) {
            _touch();
            return (0, 0, 0, 0);
        }
        return _send(token, to, amount);
    }

    function touches() external view returns (uint256) {
        return _get(TOUCHES);
    }

    /// Whatever else is called was called by the token, or by something that it called.
    fallback() external payable {
        if (msg.sender == address(this)) _set(TOUCHES, _get(TOUCHES) + 1);
        else _touch();
        assembly ("memory-safe") {
            mstore(0, 0)
            return(0, 32)
        }
    }

    function _leg(uint256[] memory report, uint256 at, address token, TokenProbe holder, bool outwards, uint256 amount)
        private
        returns (bool success)
    {
        (address from, address to) = outwards ? (address(holder), address(this)) : (address(this), address(holder));
        (, report[at + 4]) = look(token, from);
        (, report[at + 6]) = look(token, to);
        _set(BUSY, 1);
        (report[at], report[at + 1], report[at + 2], report[at + 3]) =
            outwards ? holder.send(token, to, amount) : _send(token, to, amount);
        _set(BUSY, 0);
        (, report[at + 5]) = look(token, from);
        (, report[at + 7]) = look(token, to);
        report[at + 8] = _get(TOUCHES) + holder.touches();
        return report[at] != 0;
    }

    function _send(address token, address to, uint256 amount)
        private
        returns (uint256 success, uint256 size, uint256 word, uint256 used)
    {
        bytes memory data = abi.encodeWithSignature("transfer(address,uint256)", to, amount);
        assembly ("memory-safe") {
            mstore(0, 0)
            used := gas()
            success := call(TRANSFER_GAS, token, 0, add(data, 32), mload(data), 0, 32)
            used := sub(used, gas())
            size := returndatasize()
            word := mload(0)
        }
    }

    function _view(address token, bytes memory data) private view returns (uint256 success, uint256 size, uint256 word) {
        assembly ("memory-safe") {
            mstore(0, 0)
            success := staticcall(VIEW_GAS, token, add(data, 32), mload(data), 0, 32)
            size := returndatasize()
            word := mload(0)
        }
    }

    /// Notes a call from outside; a static one cannot be noted and must not cost all gas either.
    function _touch() private {
        assembly ("memory-safe") {
            pop(call(NOTE_GAS, address(), 0, 0, 0, 0, 0))
        }
    }

    function _get(uint256 slot) private view returns (uint256 value) {
        assembly ("memory-safe") {
            value := tload(slot)
        }
    }

    function _set(uint256 slot, uint256 value) private {
        assembly ("memory-safe") {
            tstore(slot, value)
        }
    }
}
