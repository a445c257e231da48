// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../Errors.sol";
import {Token} from "./Token.sol";

/// @title Tokens beside the profit token that a stream may pay with
/// @notice Whoever holds the operator's key could otherwise pay away what this contract holds of other tokens. The header
/// lists them; each has a transient slot of its own, which holds its balance at the start and one, and is zero outside of
/// the stream. What was there at the start has to be there at the end.
///
///     transient[2^160 + token] = balance at the start + 1
library Watch {
    uint256 private constant KEYS = 1 << 160;

    /// @dev Note the balance of each of the `count` tokens at calldata[at :].
    function begin(uint256 at, uint256 count) internal {
        unchecked {
            for (; count != 0; --count) {
                uint256 token = _tokenAt(at);
                if (_noted(token) != 0) revert Errors.BadStream(); // named twice, or by a stream around this one
                _note(token, Token.balance(token) + 1);
                at += 20;
            }
        }
    }

    /// @dev Require that none of them became less, and forget them.
    function finish(uint256 at, uint256 count) internal {
        unchecked {
            for (; count != 0; --count) {
                uint256 token = _tokenAt(at);
                uint256 start = _noted(token) - 1;
                uint256 end = Token.balance(token);
                if (end < start) revert Errors.TokenSpent(address(uint160(token)), start, end);
                _note(token, 0);
                at += 20;
            }
        }
    }

    /// @dev Require that `token` may be paid with: what is held of it is compared at the end.
    function requireCompared(uint256 token, uint256 profitToken) internal view {
        if (token != profitToken && _noted(token) == 0) revert Errors.NotWatched(address(uint160(token)));
    }

    function _tokenAt(uint256 at) private pure returns (uint256 token) {
        assembly ("memory-safe") {
            token := shr(96, calldataload(at))
        }
    }

    function _noted(uint256 token) private view returns (uint256 value) {
        assembly ("memory-safe") {
            value := tload(or(KEYS, token))
        }
    }

    function _note(uint256 token, uint256 value) private {
        assembly ("memory-safe") {
            tstore(or(KEYS, token), value)
        }
    }
}
