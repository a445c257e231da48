// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// Tokens that behave, and tokens that do not: each is `Plain` but for one thing.
contract Plain {
    mapping(address => uint256) internal held;
    uint8 public constant decimals = 9;

    function mint(address to, uint256 amount) external virtual {
        held[to] += amount;
    }

    function balanceOf(address owner) public virtual returns (uint256) {
        return held[owner];
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) internal virtual {
        held[from] -= amount;
        held[to] += amount;
    }
}

contract NoReturn {
    mapping(address => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }
}

contract Fee is Plain {
    function _move(address from, address to, uint256 amount) internal override {
        held[from] -= amount;
        held[to] += amount - amount * 137 / 10_000;
    }
}

/// Takes its share only when the pool is paid.
contract SellFee is Plain {
    address internal pool;

    function mint(address to, uint256 amount) external override {
        pool = to;
        held[to] += amount;
    }

    function _move(address from, address to, uint256 amount) internal virtual override {
        held[from] -= amount;
        held[to] += to == pool ? amount - amount / 4 : amount;
    }
}

/// The sender pays the fee on top.
contract FeeOnTop is Plain {
    function _move(address from, address to, uint256 amount) internal override {
        held[from] -= from.code.length > 0 && amount < held[from] ? amount + amount / 100 : amount;
        held[to] += amount;
    }
}

contract TakesAll is Plain {
    function _move(address from, address, uint256 amount) internal override {
        held[from] -= amount;
    }
}

/// Interest by the second, credited before every transfer: within one block all is exact.
contract Interest is Plain {
    mapping(address => uint256) internal since;

    function balanceOf(address owner) public view override returns (uint256) {
        return held[owner] + held[owner] * (block.timestamp - since[owner]) / 365 days / 20;
    }

    function _move(address from, address to, uint256 amount) internal override {
        _credit(from);
        _credit(to);
        super._move(from, to, amount);
    }

    function _credit(address owner) private {
        held[owner] = balanceOf(owner);
        since[owner] = block.timestamp;
    }
}

/// Balances are shares of a pot, rounded down, as with staked ether.
contract Shares is Plain {
    uint256 internal constant POT = 1_234_567_891;
    uint256 internal constant TOTAL = 1_000_000_007;

    function balanceOf(address owner) public view override returns (uint256) {
        return held[owner] * POT / TOTAL;
    }

    function _move(address from, address to, uint256 amount) internal override {
        uint256 shares = amount * TOTAL / POT;
        held[from] -= shares;
        held[to] += shares;
    }
}

/// Exact in every transfer, but its own words give it away.
contract NamedShares is Plain {
    function scaledBalanceOf(address owner) external view returns (uint256) {
        return held[owner];
    }
}

contract ReturnsFalse is Plain {
    function transfer(address to, uint256 amount) external override returns (bool) {
        _move(msg.sender, to, amount);
        return false;
    }
}

contract DoesNothing is Plain {
    function transfer(address, uint256) external pure override returns (bool) {
        return true;
    }
}

contract ReturnsTwo is Plain {
    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        assembly {
            mstore(0, 2)
            return(0, 32)
        }
    }
}

contract ReturnsMuch is Plain {
    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        assembly {
            mstore(0, 1)
            return(0, 300000)
        }
    }
}

contract BalanceReturnsMuch is Plain {
    function balanceOf(address owner) public override returns (uint256 held_) {
        held_ = held[owner];
        assembly {
            mstore(0, held_)
            return(0, 200000)
        }
    }
}

contract Pausable is Plain {
    bool public paused;

    function pause() external {
        paused = true;
    }

    function _move(address from, address to, uint256 amount) internal override {
        require(!paused, "paused");
        super._move(from, to, amount);
    }
}

contract Blocklist is Plain {
    mapping(address => bool) public isBlacklisted;

    function blacklist(address account) external {
        isBlacklisted[account] = true;
    }

    function _move(address from, address to, uint256 amount) internal override {
        require(!isBlacklisted[from] && !isBlacklisted[to], "listed");
        super._move(from, to, amount);
    }
}

/// Whoever buys cannot sell.
contract Honeypot is SellFee {
    function _move(address from, address to, uint256 amount) internal override {
        require(from == pool, "not yet");
        held[from] -= amount;
        held[to] += amount;
    }
}

/// Arrives in full where it was bought; a tenth is left when it is sent on.
contract Salmonella is SellFee {
    function _move(address from, address to, uint256 amount) internal override {
        held[from] -= amount;
        held[to] += from == pool ? amount : amount / 10;
    }
}

contract LargestTransfer is Plain {
    function _move(address from, address to, uint256 amount) internal override {
        require(amount * 10 < held[from], "too much at once");
        super._move(from, to, amount);
    }
}

contract SameForAll is Plain {
    function balanceOf(address) public pure override returns (uint256) {
        return 10 ** 17;
    }
}

contract LiesToOthers is Plain {
    function balanceOf(address owner) public view override returns (uint256) {
        return msg.sender == owner ? held[owner] : 2 * held[owner];
    }
}

contract Inflates is Plain {
    function _move(address from, address to, uint256 amount) internal override {
        held[from] -= amount;
        held[to] += amount + amount / 50;
    }
}

interface IHook {
    function tokensReceived(address from, uint256 amount) external;
    function sync() external;
    function token0() external view returns (address);
}

contract CallsReceiver is Plain {
    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        if (to.code.length > 0) IHook(to).tokensReceived(from, amount);
    }
}

contract SyncsPool is Plain {
    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        if (from.code.length > 0) IHook(from).sync();
    }
}

/// Tries to have the holder send it once more, in the middle of its own transfer.
contract SendsAgain is Plain {
    bool internal inside;

    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        if (inside || from.code.length == 0) return;
        inside = true;
        (bool sent,) = from.call(
            abi.encodeWithSignature("send(address,address,uint256)", address(this), address(0xdead), amount)
        );
        sent;
        inside = false;
    }
}

/// Only looks, as tokens do that tell pools from other accounts.
contract LooksAtReceiver is Plain {
    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        if (to.code.length > 0) IHook(to).token0();
    }
}

contract Loops is Plain {
    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        while (true) {}
    }
}

contract BalanceLoops is Plain {
    function balanceOf(address) public pure override returns (uint256) {
        while (true) {}
        return 0;
    }
}

/// Writes when it is asked for a balance.
contract BalanceWrites is Plain {
    function balanceOf(address owner) public override returns (uint256) {
        held[address(1)] += 1;
        return held[owner];
    }
}

/// Says yes to everything.
contract AnswersAll is Plain {
    fallback(bytes calldata) external returns (bytes memory) {
        return abi.encode(1);
    }
}

/// Balances where Vyper, solady and OpenZeppelin 5 have them: ``layout`` 0, 1, 2.
contract Layouts {
    uint256 public immutable layout;

    constructor(uint256 layout_) {
        layout = layout_;
    }

    function balanceOf(address owner) public view returns (uint256 amount) {
        bytes32 slot = _slot(owner);
        assembly {
            amount := sload(slot)
        }
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        unchecked {
            _add(msg.sender, 0 - amount);
        }
        _add(to, amount);
        return true;
    }

    function _add(address owner, uint256 amount) private {
        bytes32 slot = _slot(owner);
        uint256 sum;
        unchecked {
            sum = balanceOf(owner) + amount;
        }
        require(sum < 2 ** 128, "not enough");
        assembly {
            sstore(slot, sum)
        }
    }

    function _slot(address owner) private view returns (bytes32) {
        if (layout == 0) return keccak256(abi.encode(uint256(3), owner));
        if (layout == 1) return keccak256(abi.encodePacked(owner, uint96(0x87a211a2)));
        return keccak256(abi.encode(owner, 0x52c63247e1f47db19d5ce0460030c497f067ca4cebf71ba98eeadabe20bace00));
    }
}
