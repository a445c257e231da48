// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AdapterErrors} from "./AdapterErrors.sol";

uint256 constant SESSION_SLOT = 0;

uint256 constant IDLE = 0;
uint256 constant BUSY = 1;

// What a contract is expected to do next: the low byte of the slot while it is expected to call back.
uint256 constant PAY_V3 = 2; // a V3 pool asks for its input
uint256 constant LOAN_MORPHO = 3;
uint256 constant LOAN_BALANCER_V2 = 4;
uint256 constant LOAN_AAVE_V3 = 5;
uint256 constant LIQUIDATION_MORPHO = 6;
uint256 constant FILL_UNISWAPX = 7;

/// @title One call at a time, and who may call back into it
/// @notice One transient slot, one purpose. It is zero between calls, and while a call is under way it holds
///
///     BUSY                                                  nobody is expected
///     caller(160) | keccak256(data)(88) | purpose(8)        the caller is, once, for one purpose, with these bytes
///
/// The purpose decides which callback function may be used, so nobody gains anything by choosing another selector.
library Session {
    /// @dev Begin a call. Nothing may be under way.
    function enter() internal {
        requireIdle();
        _write(BUSY);
    }

    /// @dev End a call. Nobody may be expected any more.
    function leave() internal {
        settled();
        _write(IDLE);
    }

    /// @dev Require that no call is under way.
    function requireIdle() internal view {
        if (_read() != IDLE) revert AdapterErrors.Busy();
    }

    /// @dev Require that a call is under way.
    function requireBusy() internal view {
        if (_read() == IDLE) revert AdapterErrors.Unauthorized();
    }

    /// @dev Let `caller` call back once for `purpose` with `data`.
    function expect(address caller, uint256 purpose, bytes memory data) internal {
        settled();
        _write(_commitment(caller, purpose, keccak256(data)));
    }

    /// @dev Check caller, purpose and bytes of a callback against what was committed to, and let it be the last one.
    function accept(uint256 purpose, bytes calldata data) internal {
        if (_read() != _commitment(msg.sender, purpose, keccak256(data))) revert AdapterErrors.Unauthorized();
        _write(BUSY);
    }

    /// @dev Require that whoever was expected has called back.
    function settled() internal view {
        if (_read() != BUSY) revert AdapterErrors.CallbackMissing();
    }

    function _commitment(address caller, uint256 purpose, bytes32 hash) private pure returns (uint256) {
        return uint256(uint160(caller)) << 96 | uint256(hash) >> 168 << 8 | purpose;
    }

    /// @dev return transient[SESSION_SLOT]
    function _read() private view returns (uint256 held) {
        assembly ("memory-safe") {
            held := tload(SESSION_SLOT)
        }
    }

    /// @dev transient[SESSION_SLOT] = next
    function _write(uint256 next) private {
        assembly ("memory-safe") {
            tstore(SESSION_SLOT, next)
        }
    }
}
