// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Plays any pool, lender, token, operator or stranger by a script
/// @notice Whatever is called on it, outside static calls, is a touch; each touch plays the lines of the script that carry its
/// number. A line that fails changes nothing. Its code can be put at any address, and an account can delegate to it.
contract Puppet {
    enum Kind {
        CALL, // target.call(data)
        ANSWER, // caller.call(data | length | continuation | tail): a callback, the continuation taken from the touch
        ACCOMPLICE, // the same, through the puppet `target`
        PULL, // data is token(32): take from the caller what it allows
        MANNERS, // what it does by default, here and not after the other lines
        SILENT // no manners this time
    }

    /// @dev What a well-behaved pool or lender does when it is called by a selector: call back, then take what it is owed.
    struct Manners {
        bytes head; // of the callback, up to the length of its bytes
        uint256 debt; // one above the argument that is the token to take, 0 for none
        bool always; // also when there are no bytes
    }

    /// @dev How the continuation of a callback differs from the one given.
    enum Change {
        NONE,
        LAST_BYTE,
        FIRST_BYTE,
        LONGER,
        SHORTER,
        EMPTY,
        TAIL // unchanged, with more calldata behind it than was announced
    }

    struct Line {
        uint256 touch;
        Kind kind;
        Change change;
        bool fatal; // its failure is passed on, and it stands for the manners
        address target;
        bytes data;
    }


    uint256 private constant COUNT_GAS = 60_000; // a static call would burn all it is given

    Line[] private lines;
    mapping(bytes4 => Manners) private manners;
    uint256 public touches;
    uint256 public answer;
    uint256 public told; // what it answers to static calls, such as for a balance
    bool public quiet; // answers nothing at all

    receive() external payable {}

    /// @notice Replace the script.
    function load(Line[] calldata script, uint256 answer_, uint256 told_, bool quiet_) external {
        delete lines;
        for (uint256 i = 0; i < script.length; i++) lines.push(script[i]);
        touches = 0;
        answer = answer_;
        told = told_;
        quiet = quiet_;
    }

    function teach(bytes4 selector, bytes calldata head, uint256 debt, bool always) external {
        manners[selector] = Manners(head, debt, always);
    }

    /// @notice Play lines now, whatever touch they carry; tells which of them went through.
    function act(Line[] calldata script) external payable returns (bool[] memory done) {
        done = new bool[](script.length);
        for (uint256 i = 0; i < script.length; i++) (done[i],) = _play(script[i]);
    }

    function forward(address target, bytes calldata data) external {
        (bool ok, bytes memory reason) = target.call(data);
        if (!ok) _fail(reason);
    }

    fallback() external payable {
        try this.count{gas: COUNT_GAS}() returns (uint256 touch) {
            bool mannered;
            for (uint256 i = 0; i < lines.length; i++) {
                if (lines[i].touch != touch) continue;
                Line memory line = lines[i];
                if (line.kind == Kind.MANNERS || line.kind == Kind.SILENT || line.fatal) mannered = true;
                (bool ok, bytes memory reason) = _play(line);
                if (!ok && line.fatal) _fail(reason);
            }
            if (!mannered) {
                (bool ok, bytes memory reason) = _behave();
                if (!ok) _fail(reason);
            }
            if (quiet) return;
            uint256 word = answer;
            assembly {
                mstore(0x00, word)
                mstore(0x20, 0)
                return(0x00, 0x40)
            }
        } catch {
            uint256 word = told;
            assembly {
                mstore(0x00, word)
                return(0x00, 0x20)
            }
        }
    }

    /// @dev Fails in a static call.
    function count() external returns (uint256 touch) {
        touch = touches;
        touches = touch + 1;
    }

    // ------------------------------------------------------------------ parts

    function _play(Line memory line) private returns (bool ok, bytes memory reason) {
        if (line.kind == Kind.CALL) return line.target.call(line.data);
        if (line.kind == Kind.PULL) return _pull(abi.decode(line.data, (address)));
        if (line.kind == Kind.MANNERS) return _behave();
        if (line.kind == Kind.SILENT) return (true, "");
        (bytes memory continuation,) = _continuation();
        bytes memory tail = "";
        uint256 length = continuation.length;
        if (line.change == Change.LAST_BYTE && length > 0) continuation[length - 1] ^= 0x01;
        else if (line.change == Change.FIRST_BYTE && length > 0) continuation[0] ^= 0x01;
        else if (line.change == Change.LONGER) continuation = bytes.concat(continuation, hex"00");
        else if (line.change == Change.SHORTER && length > 0) continuation = _cut(continuation);
        else if (line.change == Change.EMPTY) continuation = "";
        else if (line.change == Change.TAIL) tail = bytes.concat(continuation, continuation);
        bytes memory callback = bytes.concat(line.data, abi.encode(continuation.length), continuation, tail);
        if (line.kind == Kind.ANSWER) return msg.sender.call(callback);
        return line.target.call(abi.encodeCall(this.forward, (msg.sender, callback)));
    }

    function _behave() private returns (bool ok, bytes memory reason) {
        (bytes memory continuation, bool raw) = _continuation();
        Manners memory own = manners[msg.sig];
        if (own.head.length == 0 || (continuation.length == 0 && !own.always)) return (true, "");
        bytes memory head = raw ? bytes.concat(bytes4(0), abi.encode(0x20)) : own.head;
        (ok, reason) = msg.sender.call(bytes.concat(head, abi.encode(continuation.length), continuation));
        if (ok && own.debt > 0) return _pull(address(uint160(uint256(bytes32(msg.data[32 * own.debt - 28:])))));
    }

    function _pull(address token) private returns (bool ok, bytes memory reason) {
        (ok, reason) = token.call(abi.encodeWithSelector(0xdd62ed3e, msg.sender, address(this))); // allowance
        if (!ok || reason.length < 32) return (false, reason);
        uint256 amount = abi.decode(reason, (uint256));
        return token.call(abi.encodeWithSelector(0x23b872dd, msg.sender, address(this), amount)); // transferFrom
    }

    /// @dev The last argument of the call, by the convention that it is the only `bytes` there: the argument whose offset leads
    /// to a length that just fits what is left. `raw` when it is a whole callback already, as Balancer V3's vault gets it.
    function _continuation() private pure returns (bytes memory continuation, bool raw) {
        for (uint256 word = 0; word < 8; word++) {
            uint256 head = 4 + 32 * word;
            if (msg.data.length < head + 32) break;
            uint256 offset = uint256(bytes32(msg.data[head:head + 32]));
            if (offset < 32 || offset > 1024 || 4 + offset + 32 > msg.data.length) continue;
            uint256 start = 4 + offset + 32;
            uint256 length = uint256(bytes32(msg.data[start - 32:start]));
            if (length <= msg.data.length - start && msg.data.length - start < length + 32) {
                raw = length > 67 && bytes32(msg.data[start:start + 32]) == 0 && msg.data[start + 35] == 0x20;
                if (raw) (start, length) = (start + 68, length - 68);
                return (msg.data[start:start + length], raw);
            }
        }
    }

    function _cut(bytes memory data) private pure returns (bytes memory shorter) {
        shorter = new bytes(data.length - 1);
        for (uint256 i = 0; i < shorter.length; i++) shorter[i] = data[i];
    }

    function _fail(bytes memory reason) private pure {
        assembly {
            revert(add(reason, 32), mload(reason))
        }
    }
}
