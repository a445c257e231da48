// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Plays any pool, lender or token, honestly or in one of several hostile ways
/// @notice Without set-up it is honest: it calls back whoever swaps or borrows, with the bytes it was given, and as a token
/// it accepts everything and tells a constant balance. Its code can be put at any address.
contract Stage {
    enum Mode {
        HONEST,
        ALTERED, // the continuation's last byte is another one
        EXTENDED, // the continuation is one byte longer
        TWICE, // calls back twice
        SILENT, // does not call back
        FOREIGN, // names another initiator
        ACCOMPLICE, // lets another contract call back
        RENAMED, // calls back under another selector, as forks do
        RELAID, // sends a V2 callback in V3's layout and the other way round
        REFUSING, // as a token: returns false
        SHY, // as a token: returns nothing
        REENTERING, // as a token: calls the prepared calls while it is transferred
        INFLATED, // as a lender: claims to have lent more
        UNPAID // as a token: tells that something of every allowance is left
    }

    struct Call {
        address target;
        bytes data;
    }

    Mode public mode;
    address public accomplice;
    uint256 public fee;
    uint256 public reached;
    uint256 public succeeded;
    Call[] private prepared;

    function set(Mode mode_, address accomplice_, uint256 fee_) external {
        mode = mode_;
        accomplice = accomplice_;
        fee = fee_;
    }

    function prepare(address target, bytes calldata data) external {
        prepared.push(Call(target, data));
    }

    /// @dev The accomplice's part.
    function forward(address target, bytes calldata data) external {
        (bool ok, bytes memory answer) = target.call(data);
        if (!ok) _fail(answer);
    }

    // ------------------------------------------------------------------ pools

    function swap(uint256 amount0, uint256 amount1, address, bytes calldata data) external {
        if (data.length == 0) return;
        address sender = mode == Mode.FOREIGN ? address(0xbad) : msg.sender;
        bytes memory continuation = _continuation(data);
        if (mode == Mode.RELAID) _callBack(abi.encodeWithSelector(0xfa461e33, amount0, amount1, continuation));
        else _callBack(abi.encodeWithSelector(0x10d1e85c, sender, amount0, amount1, continuation));
    }

    function swap(address, bool, int256, uint160, bytes calldata data) external returns (int256, int256) {
        bytes memory continuation = _continuation(data);
        if (mode == Mode.RELAID) _callBack(abi.encodeWithSelector(0x10d1e85c, msg.sender, 7, 0, continuation));
        else _callBack(abi.encodeWithSelector(0xfa461e33, int256(-9), int256(7), continuation));
        return (-9, 7);
    }

    // ------------------------------------------------------------------ lenders

    function flashLoan(address, uint256 amount, bytes calldata data) external {
        if (mode == Mode.INFLATED) amount = type(uint256).max;
        _callBack(abi.encodeWithSelector(0x31f57072, amount, _continuation(data)));
    }

    function flashLoan(address recipient, address[] calldata tokens, uint256[] calldata amounts, bytes calldata data)
        external
    {
        require(recipient == msg.sender);
        uint256[] memory fees = new uint256[](1);
        fees[0] = fee;
        _callBack(abi.encodeWithSelector(0xf04f2707, tokens, amounts, fees, _continuation(data)));
    }

    function flashLoanSimple(address receiver, address asset, uint256 amount, bytes calldata data, uint16) external {
        require(receiver == msg.sender);
        address initiator = mode == Mode.FOREIGN ? address(0xbad) : msg.sender;
        bytes memory answer =
            _callBack(abi.encodeWithSelector(0x1b11d0ff, asset, amount, fee, initiator, _continuation(data)));
        require(mode == Mode.SILENT || abi.decode(answer, (bool)));
    }

    // ------------------------------------------------------------------ tokens

    function balanceOf(address) external pure returns (uint256) {
        return 1e30;
    }

    function allowance(address, address) external view returns (uint256) {
        return mode == Mode.UNPAID ? 1 : 0;
    }

    function approve(address, uint256) external view returns (bool) {
        return _answer();
    }

    function transfer(address, uint256) external returns (bool) {
        if (mode == Mode.REENTERING) {
            for (uint256 i = 0; i < prepared.length; i++) {
                reached++;
                (bool ok,) = prepared[i].target.call(prepared[i].data);
                if (ok) succeeded++;
            }
        }
        return _answer();
    }

    // ------------------------------------------------------------------ parts

    function _answer() private view returns (bool) {
        if (mode == Mode.SHY) {
            assembly {
                return(0, 0)
            }
        }
        return mode != Mode.REFUSING;
    }

    function _continuation(bytes calldata data) private view returns (bytes memory continuation) {
        continuation = mode == Mode.EXTENDED ? bytes.concat(data, hex"00") : bytes(data);
        if (mode == Mode.ALTERED) continuation[continuation.length - 1] ^= 0x01;
    }

    function _callBack(bytes memory data) private returns (bytes memory answer) {
        if (mode == Mode.SILENT) return "";
        if (mode == Mode.RENAMED) {
            data[0] = 0x84;
            data[1] = 0x80;
            data[2] = 0x08;
            data[3] = 0x12;
        }
        bool ok;
        if (mode == Mode.ACCOMPLICE) Stage(accomplice).forward(msg.sender, data);
        else if (mode == Mode.TWICE) (ok, answer) = msg.sender.call(data);
        if (mode == Mode.ACCOMPLICE) return "";
        (ok, answer) = msg.sender.call(data);
        if (!ok) _fail(answer);
    }

    function _fail(bytes memory answer) private pure {
        assembly {
            revert(add(answer, 32), mload(answer))
        }
    }
}
