// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Executor} from "../contracts/Executor.sol";
import {TO_SELF, V2, V3, V3_CALLED} from "../contracts/libraries/Opcodes.sol";
import {Operator} from "./Callbacks.sol";
import {SYMBOLIC} from "./Halmos.sol";

/// @dev A token, or a pool that does not call back: keeps a running hash of what it is asked for.
contract Witness {
    uint256 public calls;
    bytes32 public trace;

    function balanceOf(address) external pure returns (uint256) {
        return 1;
    }

    fallback() external {
        calls++;
        trace = keccak256(abi.encodePacked(trace, msg.data));
        assembly {
            mstore(0x00, 1)
            return(0x00, 0x20)
        }
    }

    function forget() external {
        calls = 0;
        trace = 0;
    }
}

/// @title A frame runs the whole of its continuation and nothing behind it
/// @notice This contract is the pool whose callback runs the continuation. Its operations name witnesses; heads, amounts,
/// receivers and whatever lies behind the continuation in the calldata are symbolic.
contract Decoder {

    Operator private operator;
    Witness private token;
    Witness private first;
    Witness private second;
    address private executor;
    bytes private tail; // behind the continuation in the callback

    struct Result {
        bool ok;
        bytes4 error;
        bytes32 trace;
    }

    function setUp() public {
        operator = new Operator();
        token = new Witness();
        first = new Witness();
        second = new Witness();
        executor = address(new Executor(address(operator), address(0x7ea5)));
    }

    // ------------------------------------------------------------------ nothing behind the end counts

    function check_tailShort1() public {
        _tail(1, false);
    }

    function check_tailShort34() public {
        _tail(34, false);
    }

    function check_tailShort35() public {
        _tail(35, false);
    }

    function check_tailLong1() public {
        _tail(1, true);
    }

    function check_tailLong34() public {
        _tail(34, true);
    }

    function check_tailLong35() public {
        _tail(35, true);
    }

    function _tail(uint256 length, bool long) private {
        bytes memory ops = _operation(length, first);
        Result memory bare = _run(ops, "", long);
        Result memory followed = _run(ops, SYMBOLIC.createBytes(64, "tail"), long);
        assert(bare.ok == followed.ok && bare.error == followed.error && bare.trace == followed.trace);
    }

    // ------------------------------------------------------------------ no operation is skipped

    /// @dev Two pairs that have their input: both are called, once, whatever the amounts are and wherever they deliver.
    function check_bothRunShort() public {
        _bothRun(false);
    }

    function check_bothRunLong() public {
        _bothRun(true);
    }

    function _bothRun(bool long) private {
        bytes memory ops = abi.encodePacked(
            uint8(V2 | TO_SELF), first, SYMBOLIC.createBytes(14, "amount"), uint8(V2), second, SYMBOLIC.createBytes(14, "other")
        );
        Result memory result = _run(ops, SYMBOLIC.createBytes(49, "tail"), long);
        assert(result.ok && first.calls() == 1 && second.calls() == 1);
    }

    // ------------------------------------------------------------------ the route

    /// @dev head(1) witness(20) and symbolic operands, cut to `length`. Directions become offsets in memory, which halmos needs
    /// to be numbers: a path for each value of the bits that hold one.
    function _operation(uint256 length, Witness witness) private pure returns (bytes memory) {
        uint8 head = uint8(bytes1(SYMBOLIC.createBytes(1, "head")));
        head = head & 0x20 != 0 ? (head & 0xdf) | 0x20 : head & 0xdf;
        head = head & 0x08 != 0 ? (head & 0xf7) | 0x08 : head & 0xf7;
        head = head & 0x04 != 0 ? (head & 0xfb) | 0x04 : head & 0xfb;
        if (length == 1) return abi.encodePacked(head);
        return bytes.concat(abi.encodePacked(head, witness), SYMBOLIC.createBytes(length - 21, "operands"));
    }

    function _run(bytes memory ops, bytes memory behind, bool long) private returns (Result memory result) {
        tail = behind;
        token.forget();
        first.forget();
        second.forget();
        bytes memory header = long
            ? abi.encodePacked(uint64(0), uint8(0), uint32(0x0fffffff), address(token))
            : abi.encodePacked(uint32(0x0fffffff), uint32(0));
        bytes memory answer;
        (result.ok, answer) = operator.run(
            executor,
            bytes.concat(header, abi.encodePacked(uint8(V3 | V3_CALLED | TO_SELF), address(this), uint112(1), ops))
        );
        if (!result.ok) result.error = bytes4(answer);
        result.trace = keccak256(abi.encodePacked(token.trace(), first.trace(), second.trace()));
    }

    function swap(address, bool, int256, uint160, bytes calldata data) external returns (int256, int256) {
        (bool ok, bytes memory answer) = msg.sender.call(
            abi.encodePacked(bytes4(0xfa461e33), uint256(0), uint256(7), uint256(0x60), data.length, data, tail)
        );
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        return (0, 0);
    }
}
