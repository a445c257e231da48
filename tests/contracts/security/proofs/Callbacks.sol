// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Errors} from "../contracts/Errors.sol";
import {Executor} from "../contracts/Executor.sol";
import {IExecutor} from "../contracts/interfaces/IExecutor.sol";
import {HASH_MASK} from "../contracts/libraries/Continuation.sol";
import {TO_SELF, V2, V2_CALLED, V2_PAID, V3, V3_CALLED} from "../contracts/libraries/Opcodes.sol";
import {MACHINE, SYMBOLIC} from "./Halmos.sol";

/// @dev The hot key, and the profit token, whose balance never changes.
contract Operator {
    function run(address executor, bytes memory stream) external returns (bool ok, bytes memory answer) {
        (ok, answer) = executor.call(stream);
    }
}

contract Constant {
    function balanceOf(address) external pure returns (uint256) {
        return 1;
    }
}

/// @title Who may make the executor do something, proved for every caller and all calldata of the lengths tried
/// @notice This contract is a pool of the route. While it is called it makes the executor one hostile call, and asserts
/// what comes of it.
contract Callbacks {
    address private constant TREASURY = address(0x7ea5);
    uint256 private constant REST = 35;
    uint256 private constant POOL = V3 | V3_CALLED | TO_SELF;
    uint256 private constant PAIR = V2 | V2_PAID | V2_CALLED;

    Operator private operator;
    Constant private token;
    address private executor;
    uint256 private size; // of the hostile call, or of the bytes in a hostile callback
    uint256 private words; // of a callback before the length of its bytes
    bytes private given; // the continuation
    function() internal attempt;

    function setUp() public {
        operator = new Operator();
        token = new Constant();
        executor = address(new Executor(address(operator), TREASURY));
    }

    // ------------------------------------------------------------------ nothing is expected

    /// @dev Without a stream, whoever is neither operator nor treasury gets the roles, or a revert.
    function check_idle(address sender) public {
        _idle(sender, 420);
    }

    function check_idleShort(address sender) public {
        _idle(sender, 3);
    }

    function check_idleEmpty(address sender) public {
        _idle(sender, 0);
    }

    function _idle(address sender, uint256 size_) private {
        MACHINE.assume(sender != address(operator) && sender != TREASURY && sender != address(0)); // nobody sends from zero
        bytes memory data = SYMBOLIC.createBytes(size_, "data");
        MACHINE.prank(sender);
        (bool ok, bytes memory answer) = executor.call(data);
        if (ok && size_ > 0) {
            bytes4 selector = bytes4(data);
            assert(selector == IExecutor.operator.selector || selector == IExecutor.treasury.selector);
            assert(answer.length == 32);
        }
    }

    // ------------------------------------------------------------------ another one is expected

    /// @dev While this pool is expected to call back, nobody else gets anything but a revert, the treasury included.
    function check_otherCaller() public {
        _otherCaller(POOL, false, 420);
    }

    function check_otherCallerLong() public {
        _otherCaller(POOL, true, 420);
    }

    function check_otherCallerOfPair() public {
        _otherCaller(PAIR, false, 4);
    }

    function _otherCaller(uint256 head, bool long, uint256 size_) private {
        attempt = _callAsAnother;
        size = size_;
        _run(head, long);
    }

    function _callAsAnother() private {
        address sender = SYMBOLIC.createAddress("sender");
        MACHINE.assume(sender != address(operator) && sender != address(this));
        bytes memory data = SYMBOLIC.createBytes(size, "data");
        MACHINE.prank(sender);
        (bool ok, bytes memory answer) = executor.call(data);
        assert(!ok && bytes4(answer) == Errors.Unauthorized.selector);
    }

    // ------------------------------------------------------------------ other bytes

    /// @dev The expected pool itself calls back with other bytes than it was given: as many, one less, one more, none.
    function check_otherBytes() public {
        _otherBytes(POOL, false, 3, REST);
    }

    function check_fewerBytes() public {
        _otherBytes(POOL, false, 3, REST - 1);
    }

    function check_moreBytes() public {
        _otherBytes(POOL, false, 3, REST + 1);
    }

    function check_otherBytesOfPair() public {
        _otherBytes(PAIR, false, 4, REST);
    }

    function check_otherBytesLong() public {
        _otherBytes(POOL, true, 3, 20 + REST);
    }

    function check_fewerBytesLong() public {
        _otherBytes(POOL, true, 3, 20 + REST - 1);
    }

    function check_moreBytesOfPairLong() public {
        _otherBytes(PAIR, true, 4, 20 + REST + 1);
    }

    function _otherBytes(uint256 head, bool long, uint256 words_, uint256 length) private {
        words = words_;
        size = length;
        attempt = _callBack;
        _run(head, long);
    }

    /// @dev Whatever the selector and the arguments before the bytes are.
    function _callBack() private {
        bytes memory other = SYMBOLIC.createBytes(size, "other");
        // No second preimage of the bits that the slot keeps: this is what the contract relies on.
        MACHINE.assume((uint256(keccak256(other)) ^ uint256(keccak256(given))) & HASH_MASK != 0);
        bytes memory head = SYMBOLIC.createBytes(4 + 32 * words, "head");
        (bool ok, bytes memory answer) = executor.call(abi.encodePacked(head, size, other));
        assert(!ok && bytes4(answer) == Errors.ContinuationMismatch.selector);
    }

    // ------------------------------------------------------------------ the route

    /// @dev Any block, no minimum; then the operation whose pool is this contract, and symbolic bytes behind it, which nobody
    /// ever reads. The long way spells out its token.
    function _run(uint256 head, bool long) private {
        bytes memory rest = SYMBOLIC.createBytes(REST, "rest");
        bytes memory operation = abi.encodePacked(uint8(head), address(this), uint112(1), rest);
        bytes memory header = long
            ? abi.encodePacked(uint64(0), uint8(0), uint32(0x0fffffff), address(token))
            : abi.encodePacked(uint32(0x0fffffff), uint32(0));
        given = long ? abi.encodePacked(address(token), rest) : rest;
        bytes memory stream = bytes.concat(header, operation);
        (bool ok, bytes memory answer) = operator.run(executor, stream);
        assert(!ok && bytes4(answer) == Errors.CallbackMissing.selector); // the hostile call has used nothing up
    }

    function swap(address, bool, int256, uint160, bytes calldata) external returns (int256, int256) {
        attempt();
        return (0, 0);
    }

    function swap(uint256, uint256, address, bytes calldata) external {
        attempt();
    }
}
